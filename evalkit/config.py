"""``evalkit.yaml``: the project's gates, prices and sign-off policy, read with located errors.

It is optional; nothing else of evalkit is configured here.

    prices:
      gemini-3.5-flash: {input_per_million: 0.30, output_per_million: 2.50}
    gates:
      release:
        max_regressions: 0
        non_inferiority: {margin: 0.05}
    signoff:
      allowed_signers: .evalkit/allowed_signers
      required: {qa: 1}

It is looked for in the folder a command is called in and in those above it, so that a command works from anywhere in a project.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalkit._lib import yaml
from evalkit._lib.files import display_path
from evalkit._lib.text import did_you_mean, quoted, show
from evalkit.compare.gates import DEFAULT, Gate
from evalkit.compare.prices import Prices
from evalkit.errors import Problem, SuiteErrors, UsageError
from evalkit.signoff.policy import SignoffPolicy
from evalkit.suite.catalog import Path as Path_
from evalkit.suite.source import Source
from evalkit.suite.wording import BOUNDS, EXPECTED

NAME = "evalkit.yaml"


class Config(BaseModel):
    """What ``evalkit.yaml`` holds; without one, nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gates: dict[str, Gate] = Field(default={}, description="Gates of 'evalkit compare', by name.")
    prices: dict[str, Prices] = Field(
        default={}, description="Prices of tokens, by the name of the model or agent."
    )
    signoff: SignoffPolicy = Field(default=SignoffPolicy(), description="Who must sign a run off.")

    def gate(self, name: str | None) -> tuple[str, Gate]:
        """Return a gate by name; without a name the one called ``default``, or nothing may regress. Raises UsageError."""
        wanted = name or "default"
        found = self.gates.get(wanted, DEFAULT if name is None else None)
        if found is None:
            there = (
                f"there are: {', '.join(sorted(self.gates))}"
                if self.gates
                else f"{NAME} declares none"
            )
            raise UsageError(f"no gate {quoted(wanted)}{did_you_mean(wanted, self.gates)}; {there}")
        return wanted, found


def find_config(start: Path) -> Path | None:
    """Return the nearest ``evalkit.yaml`` in a folder or one above it, not beyond the repository the folder is in."""
    for folder in (start.absolute(), *start.absolute().parents):
        if (folder / NAME).is_file():
            return folder / NAME
        if (folder / ".git").exists():
            break
    return None


def load_config(path: Path | None) -> Config:
    """Read a configuration; None gives an empty one. Raises SuiteErrors with every problem located, UsageError for an unreadable file."""
    if path is None:
        return Config()
    try:
        return parse_config(path.read_bytes(), display_path(path))
    except OSError as error:
        raise UsageError(f"{display_path(path)} cannot be read: {error}") from error


def parse_config(data: bytes, name: str) -> Config:
    """Read a configuration from bytes; ``name`` is what messages call it. Raises as :func:`load_config` does."""
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} cannot be read: {error}") from error
    source = Source(name, text)
    try:
        value = yaml.load(text)
    except yaml.YamlError as error:
        raise SuiteErrors([source.problem(error.line, error.column, error.message)]) from error
    if value is None:
        return Config()
    try:
        return Config.model_validate(value)
    except ValidationError as error:
        raise SuiteErrors(
            _problems(source, [dict(one) for one in error.errors(include_url=False)], value)
        ) from error


def _problems(source: Source, errors: Sequence[Mapping[str, Any]], value: Any) -> list[Problem]:
    """Locate pydantic's errors. Of the branches of a union (a number or a mapping) only the one that led furthest into the file is told."""
    placed = [(_path_in(value, error["loc"]), error) for error in errors]
    told: dict[Path_, Problem] = {}
    for path, error in placed:
        deeper = any(
            len(other) > len(path) and other[: len(path)] == path and error["type"] != "missing"
            for other, _ in placed
        )
        if not deeper:
            told.setdefault(path, _problem(source, path, error))
    return list(told.values())


def _problem(source: Source, path: Path_, error: Mapping[str, Any]) -> Problem:
    unknown = error["type"] == "extra_forbidden"
    name = quoted(str(path[-1])) if path else NAME
    if unknown:
        valid = _keys(path[:-1])
        message = (
            f"unknown key {name}{did_you_mean(str(path[-1]), valid)}; there are: {', '.join(valid)}"
        )
    elif error["type"] == "missing":
        message = f"missing key {quoted(str(error['loc'][-1]))}"
    else:
        got, bounds = (
            error["input"],
            {
                key: f"{limit:g}"
                for key, limit in error.get("ctx", {}).items()
                if isinstance(limit, int | float)
            },
        )
        takes = (
            BOUNDS[error["type"]].format(**bounds)
            if error["type"] in BOUNDS
            else _TAKES.get(error["type"], error["msg"])
        )
        message = f"{name} takes {takes}, not {'an empty value' if got is None else show(got, 40)}"
    line, column = source.place(path, "key" if unknown else "value")
    where = ".".join(map(str, path[:2])) if len(path) > 2 else ""
    return source.problem(line, column, f"{where}: {message}" if where else message)


_TAKES = {
    **EXPECTED,
    "model_type": "a mapping",
    "float_parsing": "a number",
    "int_parsing": "a whole number",
}


def _path_in(value: Any, loc: Path_) -> Path_:
    """Return as much of pydantic's location as leads through the document: names of union members do not."""
    path: list[str | int] = []
    for step in loc:
        if (isinstance(value, dict) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        ):
            inner: Any = value
            value = inner[step]
            path.append(step)
    return tuple(path)


def _keys(path: Path_) -> list[str]:
    """Return the keys of the mapping that a path leads to: ``("gates", "release")`` leads to a Gate's."""
    model: type[BaseModel] = Config
    for step in path:
        fields = model.model_fields
        if step in fields:  # the name of a gate, or of a model that has a price, is no field
            model = _model_in(fields[str(step)].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, getattr(annotation, "__args__", ()))), None)
