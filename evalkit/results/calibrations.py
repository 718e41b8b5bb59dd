"""Calibrations of judges: what people say of answers that a judge judged, in one committed file.

    evalkit_calibrations: 1
    calibrations:
      - rubric: "The answer is polite."
        rubric_digest: "6c1f…"
        expected: {"min": 0.7}
        model: "gemini-3.5-flash"
        model_version: "gemini-3.5-flash-001"
        judged: "2026-11-22T17:11:37Z"
        labels: 4
        clusters:
          "weather::london": [3, 0, 0, 1]

The file is in the project's root and is written by ``evalkit calibrate``. It has counts only: every
figure is computed by its readers, and no verdict of a check depends on it. A calibration applies to
exactly the rubric, limit, model and version of its judge; ``judged`` is the start of the newest run
whose judgments were labelled. A file of any other shape is refused with its line.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from evalkit._lib import yaml
from evalkit._lib.files import (
    FILE_ERRORS,
    display_path,
    file_errors,
    read_file,
    reason_of,
    write_atomic,
)
from evalkit._lib.json import JSON, canonical
from evalkit._lib.problems import first_entry_problem
from evalkit._lib.text import quoted, shorten, visible
from evalkit.errors import UsageError
from evalkit.results.judgments import JudgeKey

NAME = "evalkit-calibration.yaml"
_HEAD = """\
# What people say of answers that judges judged. 'evalkit calibrate' writes it; commit it.
# clusters: [both pass, only people pass, only the judge passes, both fail], weighted.
evalkit_calibrations: 1
calibrations:
"""
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"
"""A regular expression of the times in it."""

_MAX_RUBRIC = 200
_ROUNDING = 1e-3
_DIFFERENCES = (
    (1, "was calibrated for another limit: {}, not {}"),
    (2, "was calibrated for {}, and {} judges now"),
    (3, "was calibrated for {}, and {} answers now"),
)
"""What differs from a calibration of the same rubric, by its index in the key."""
Weight = Annotated[float, Field(ge=0, le=1_000_000)]
Counts = Annotated[list[Weight], Field(min_length=4, max_length=4)]


class Calibration(BaseModel):
    """One entry of the file. The fields, in this order, are its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    rubric: str = Field(description="The beginning of the rubric, for readers.")
    rubric_digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    expected: dict[str, JSON] = Field(description="What the judge must answer to pass.")
    model: str = Field(min_length=1, description="The judge's model, as requested.")
    model_version: str = Field("", description="The model that answered.")
    judged: str = Field(
        pattern=TIME, description="Start of the newest run whose judgments were labelled."
    )
    labels: int = Field(ge=1, le=1_000_000, description="Number of labelled judgments.")
    clusters: dict[str, Counts] = Field(
        min_length=1,
        description="For each scenario or case, weighted: both pass, only people pass, only the "
        "judge passes, both fail.",
    )

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        if sum(map(sum, self.clusters.values())) < self.labels - _ROUNDING:
            raise ValueError(f"the clusters have fewer judgments than {self.labels} labels")
        return self

    @property
    def key(self) -> JudgeKey:
        """What it is bound to."""
        return JudgeKey(
            self.rubric_digest, canonical(self.expected), self.model, self.model_version
        )


class CalibrationFile(BaseModel):
    """What people say of answers that judges judged, counted by judge."""

    model_config = ConfigDict(extra="forbid", strict=True)

    evalkit_calibrations: Literal[1]
    calibrations: list[Calibration]


def read_calibrations(root: Path) -> list[Calibration]:
    """Return the calibrations of a project, none without the file. Raises UsageError."""
    path = root / NAME
    name = display_path(path)
    try:
        text = read_file(path).decode("utf-8")
    except FileNotFoundError:
        return []
    except FILE_ERRORS as error:
        raise UsageError(f"{name} cannot be read: {reason_of(error)}") from error
    try:
        value, lines = yaml.load_lines(text)
    except yaml.YamlError as error:
        raise _invalid(name, error.line, error.message) from error
    try:
        calibrations = CalibrationFile.model_validate(value).calibrations
    except ValidationError as error:
        raise _invalid(name, *first_entry_problem(error, value, lines, "calibrations")) from error
    first: dict[JudgeKey, int] = {}
    for line, calibration in zip(lines.of(value["calibrations"]), calibrations, strict=True):
        if first.setdefault(calibration.key, line) != line:
            where = f"the judge of line {first[calibration.key]} is calibrated again"
            raise _invalid(name, line, where)
    return calibrations


def _invalid(name: str, line: int, reason: str) -> UsageError:
    return UsageError(
        f"{name}:{line}: not what 'evalkit calibrate' writes ({reason}); restore the file or "
        "delete it and calibrate again"
    )


def write_calibrations(root: Path, calibrations: Iterable[Calibration]) -> Path:
    """Write the file: one key per line, sorted by rubric and judge. Raises UsageError."""
    path = root / NAME
    entries = sorted(calibrations, key=lambda one: (one.rubric, one.key))
    with file_errors(path, "cannot be written"):
        write_atomic(path, _HEAD + "".join(map(_entry, entries)))
    return path


def _entry(calibration: Calibration) -> str:
    values = calibration.model_dump(mode="json", exclude={"clusters"})
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    lines.append("clusters:")
    for name, counts in sorted(calibration.clusters.items()):
        numbers = ", ".join(f"{count:g}" for count in counts)
        lines.append(f"  {json.dumps(visible(name), ensure_ascii=False)}: [{numbers}]")
    return "  - " + "\n    ".join(lines) + "\n"


def rubric_excerpt(rubric: str) -> str:
    """Return the beginning of a rubric on one line."""
    return shorten(visible(rubric), _MAX_RUBRIC)


def find_calibration(
    key: JudgeKey, clusters: Collection[str], calibrations: Sequence[Calibration]
) -> tuple[Calibration | None, str]:
    """Return the calibration that applies to a judge, else a clause that says why none does.

    ``clusters`` are the scenarios that it judges: a calibration of the same ones by another rubric
    says that the rubric has changed.
    """
    for calibration in calibrations:
        if calibration.key == key:
            return calibration, ""
    same = [one for one in calibrations if one.rubric_digest == key.rubric]
    for index, sentence in _DIFFERENCES:
        others = sorted({one.key[index] for one in same})
        if same and key[index] not in others:
            sides = (
                quoted(one) if one else "an unnamed version" for one in (others[-1], key[index])
            )
            return None, sentence.format(*sides)
        same = [one for one in same if one.key[index] == key[index]]
    if any(one.model == key.model and one.clusters.keys() & set(clusters) for one in calibrations):
        return None, "has another rubric than when its answers were calibrated"
    return None, "is not calibrated"
