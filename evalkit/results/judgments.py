"""The judgments of stored results, and ``judges.json``: pass rates corrected for judge error."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, cast

from evalkit._lib.files import sha256, write_atomic
from evalkit._lib.json import JSON, canonical
from evalkit._lib.text import quoted
from evalkit.results.records import JudgmentRecord
from evalkit.results.run_directory import read_extra_file

NAME = "judges.json"
_ID_LENGTH = 12
_MAX_RUBRIC = 60


class JudgeKey(NamedTuple):
    """What the error of a judge depends on; ``expected`` is canonical JSON.

    ``version`` is the model that answered, empty if the answer does not name it.
    """

    rubric: str
    expected: str
    model: str
    version: str


def judge_key(judgment: JudgmentRecord) -> JudgeKey:
    """Return by which rubric, limit, model and version a judgment was made."""
    # How sure it must be decides what people are asked, not what passes.
    expected = {
        key: value for key, value in judgment["expected"].items() if key != "min_confidence"
    }
    return JudgeKey(
        judgment["rubric_digest"],
        canonical(expected),
        judgment["model"],
        judgment.get("model_version", ""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJudgment:
    """A judgment of a stored result.

    ``id`` is the same for the same result line and position only. ``check`` is the index of its
    check, ``number`` its own index there. ``turn`` is None for the whole conversation, ``question``
    empty where its check asks one, ``score`` None where it gives none.
    """

    id: str
    check: int
    number: int
    key: JudgeKey
    rubric: str
    turn: int | None
    question: str
    declared: str
    passed: bool
    uncertain: bool
    score: float | None


def stored_judgments(line: Mapping[str, JSON]) -> Iterator[StoredJudgment]:
    """Yield the judgments of a result, or of its head.

    Raises KeyError, TypeError, ValueError or AttributeError if it is not a result.
    """
    for check_number, check in enumerate(line["checks"]):
        for number, judgment in enumerate(check.get("judgments", ())):
            identity = [line["id"], line.get("digest"), check_number, number]
            yield StoredJudgment(
                id=sha256(canonical(identity))[:_ID_LENGTH],
                check=check_number,
                number=number,
                key=judge_key(judgment),
                rubric=judgment["rubric"],
                turn=check.get("turn"),
                question=judgment.get("question", ""),
                declared=check.get("declared", ""),
                passed=judgment["verdict"] == "passed",
                uncertain=judgment.get("uncertain", False),
                score=float(judgment["score"]) if "score" in judgment else None,
            )


class FigureRecord(TypedDict):
    """A figure and its interval; ``value`` is None where it is not known."""

    value: float | None
    interval: Sequence[float]


class JudgeRateRecord(TypedDict):
    """The pass rate that a judge gave in a run, and the rate corrected for its error.

    ``corrected`` is None if it cannot be corrected, and ``problem`` says why: a clause about the
    judge. ``calibrated`` is the time of the judgments of which the error is known.
    """

    rubric: str
    rubric_digest: str
    expected: dict[str, JSON]
    model: str
    model_version: str
    judgments: int
    judged: FigureRecord
    corrected: FigureRecord | None
    method: str
    labels: int
    calibrated: str
    sensitivity: FigureRecord | None
    specificity: FigureRecord | None
    kappa: FigureRecord | None
    problem: str


def write_judge_rates(directory: Path, records: Sequence[JudgeRateRecord]) -> Path:
    """Store the rates in a run directory."""
    path = directory / NAME
    write_atomic(path, f"{json.dumps({'judges': records}, indent=1)}\n")
    return path


def read_judge_rates(directory: Path) -> Sequence[JudgeRateRecord]:
    """Return the stored rates, none where no judge was asked. Raises UsageError."""
    value = read_extra_file(directory / NAME, "evalkit calibrate", _is_valid)
    return [] if value is None else cast("Sequence[JudgeRateRecord]", value["judges"])


def _is_valid(value: Any) -> bool:
    """Return whether all that is shown can be shown."""
    return all(isinstance(judge_rate_text(one), str) for one in value["judges"])


def judge_rate_text(record: JudgeRateRecord) -> str:
    """Return a rate as a line of text."""
    judge = record["model_version"] or record["model"]
    share = percent(record["judged"])
    text = f"{quoted(record['rubric'], _MAX_RUBRIC)} ({judge}): passes {share} of "
    text += f"{record['judgments']:,}, "
    if record["corrected"] is None:
        return f"{text}not corrected: the judge {record['problem']}"
    low, high = record["corrected"]["interval"]
    return (
        f"{text}corrected {percent(record['corrected'])}, between {low:.1%} and {high:.1%} "
        f"({record['method']}, {record['labels']:,} labels)"
    )


def percent(figure: FigureRecord) -> str:
    """Return a share as text."""
    return "unknown" if figure["value"] is None else f"{figure['value']:.1%}"


def judged_text(line: Mapping[str, JSON], judgment: StoredJudgment) -> str:
    """Return the text of the answer that a judgment of a result is about, the last of several."""
    turns = {turn["number"]: turn["text"] or "" for turn in line["turns"]}
    return turns.get(judgment.turn, "") if judgment.turn else next(reversed(turns.values()), "")
