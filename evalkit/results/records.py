"""The JSON records of a run directory: a line of ``results.jsonl`` and ``manifest.json``.

The shapes are those of the JSON Schemas in ``schemas/``, which users validate against; a test keeps
the two equal. They are typed as deep as evalkit itself relies on; the schemas define the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Literal, NotRequired, TypedDict

from evalkit._lib.json import JSON
from evalkit.verdict import JudgmentKind

VerdictName = Literal["passed", "failed", "errored", "skipped"]


class FindingRecord(TypedDict):
    """A finding of a check."""

    code: str
    severity: Literal["error", "warn"]
    message: str
    where: dict[str, JSON]
    expected: NotRequired[JSON]
    got: NotRequired[JSON]
    detail: NotRequired[str]


class JudgmentRecord(TypedDict):
    """What a judge answered to one question: :class:`evalkit.verdict.Judgment`.

    Its position is that of its check: ``turn`` and ``declared``.
    """

    kind: JudgmentKind
    rubric: str
    rubric_digest: str
    model: str
    verdict: Literal["passed", "failed"]
    expected: dict[str, JSON]
    model_version: NotRequired[str]
    question: NotRequired[str]
    score: NotRequired[float]
    choice: NotRequired[str]
    probability: NotRequired[float]
    confidence: NotRequired[float]
    uncertain: NotRequired[Literal[True]]


class CheckRecord(TypedDict):
    """The result of one check; ``turn`` is absent for a check of the whole conversation.

    ``conversation`` is its number where a test had several. ``judgments`` are absent without any.
    """

    name: str
    verdict: VerdictName
    findings: list[FindingRecord]
    turn: NotRequired[int]
    conversation: NotRequired[int]
    declared: NotRequired[str]
    judgments: NotRequired[list[JudgmentRecord]]


class TurnRecord(TypedDict):
    """A turn of a conversation."""

    number: int
    user: list[JSON]
    outcome: str
    status: str | None
    text: str
    steps: list[dict[str, JSON]]
    exchanges: list[dict[str, JSON]]
    error: NotRequired[dict[str, JSON]]
    reason: NotRequired[str]
    entry: NotRequired[int]
    simulated: NotRequired[dict[str, JSON]]


class MetricsRecord(TypedDict, total=False):
    """Sums over a conversation; empty where there was none."""

    tokens: dict[str, int]
    exchanges: int
    tool_calls: int
    source: str | None
    elapsed_ms: float
    cost: float
    judge: dict[str, JSON]
    simulator: dict[str, JSON]
    retried: dict[str, JSON]


class ConversationRecord(TypedDict):
    """One of the conversations of a test; it ends where the next one begins."""

    first_turn: int
    settings: dict[str, JSON]


class Identity(TypedDict):
    """The variant and trial that a result is about.

    ``kind`` is absent for a variant. For a test of an application, ``suite`` and ``path`` are its
    module, ``scenario`` is its name in it, and ``parts`` are its parameters.
    """

    kind: NotRequired[Literal["test"]]
    id: str
    suite: str
    scenario: str
    title: str
    variant: dict[str, JSON]
    parts: Sequence[str]
    trial: int
    tags: Sequence[str]
    path: str
    line: int
    cassette: str | None


class PytestRecord(TypedDict):
    """As what pytest counts a test: a verdict, ``xfailed`` or ``xpassed``."""

    outcome: str
    reason: str


class RepeatRecord(TypedDict):
    """The test of which a result is one trial: the policy, and its outcome.

    Exactly one result of the test ``counts``: where tests are counted, it represents them all. It
    is a trial with the test's ``verdict``, if any is.
    """

    trials: int
    require: int
    passed: int
    verdict: VerdictName
    counts: bool


class LockRecord(TypedDict):
    """The conversation of a baseline that each turn of a result continues.

    ``answers`` is the digest of its answers, ``model`` its model or agent. ``history`` is
    ``unsigned`` where another model got its turns without thoughts and signatures.
    """

    answers: str
    model: str
    history: Literal["exact", "unsigned"]


class ResultHead(Identity):
    """A result without its transcript.

    ``pytest`` is absent where its outcome is the verdict, ``repeat`` where the result is a test of
    its own, ``locked`` where a turn continues the turns before it.
    """

    schema_version: int
    pytest: NotRequired[PytestRecord]
    repeat: NotRequired[RepeatRecord]
    locked: NotRequired[LockRecord]
    verdict: VerdictName
    message: str
    checks: list[CheckRecord]
    metrics: MetricsRecord
    unplayed: Sequence[str]


class ResultLine(ResultHead):
    """A whole line of ``results.jsonl``; ``digest`` is absent until the line is written.

    Only a test of an application has ``conversations``: its turns are those of all of them.
    """

    settings: dict[str, JSON]
    turns: list[TurnRecord]
    conversations: NotRequired[list[ConversationRecord]]
    judge_exchanges: NotRequired[list[dict[str, JSON]]]
    simulator_exchanges: NotRequired[list[dict[str, JSON]]]
    digest: NotRequired[str]


class FileRecord(TypedDict):
    """A file and its digest, None where the file does not exist."""

    path: str
    digest: str | None


class SuiteRecord(TypedDict):
    """A suite of a run and the files it uses."""

    suite: str
    path: str
    digest: str
    collected: int
    files: NotRequired[list[FileRecord]]


class ModuleRecord(TypedDict):
    """A module of a run with tests of applications, and how many."""

    path: str
    digest: str | None
    collected: int


class SessionRecord(TypedDict):
    """What a manifest says about the session."""

    evalkit: str
    python: str
    pytest: str
    platform: str
    started: str
    ended: str | None
    complete: bool
    options: dict[str, JSON]
    environment: dict[str, str]
    merged: NotRequired[list[MergedRun]]


class MergedRun(SessionRecord):
    """A run that was merged into another; ``digest`` is that of its ``results.jsonl``."""

    path: str
    digest: str


class SavingsRecord(TypedDict):
    """About what the scenarios would have cost that were not run by plan.

    ``source`` is the run by whose results this is estimated; what is not known is None.
    """

    results: int
    tokens: int | None
    cost: float | None
    currency: str
    source: Literal["the baseline", "this run"]


class SequentialRecord(TypedDict):
    """How a run could stop early (``--evalkit-until-decided``).

    Of ``scenarios`` (or cases of them) with ``largest`` results at most, visited in an order that
    follows from ``seed``, those in ``not_run`` were not started, each with so many tests, because
    the gate was decided: ``decision`` is None if it never was.
    """

    gate: str
    seed: int
    scenarios: int
    largest: int
    decision: Literal["pass", "fail"] | None
    not_run: dict[str, int]
    saved: NotRequired[SavingsRecord]


class ManifestRecord(SessionRecord):
    """The whole ``manifest.json``."""

    schema_version: int
    suites: list[SuiteRecord]
    modules: NotRequired[list[ModuleRecord]]
    cassettes: list[FileRecord]
    not_collected: NotRequired[list[str]]
    rejudged: NotRequired[dict[str, str]]
    sequential: NotRequired[SequentialRecord]
    totals: dict[str, int]


def judged_by(manifest: Mapping[str, JSON]) -> list[str]:
    """Return the files that say what a run expects: its suites, and its modules of tests."""
    records = (*(manifest.get("suites") or ()), *(manifest.get("modules") or ()))
    return [str(record["path"]) for record in records]


def schema_error(package: str, name: str, value: JSON) -> str:
    """Return where and how a value violates a JSON Schema of a package; empty if it is valid."""
    # jsonschema is slow to import, and most commands do not need it.
    import jsonschema

    text = (files(package) / "schemas" / f"{name}.schema.json").read_text("utf-8")
    validator = jsonschema.Draft202012Validator(json.loads(text))
    error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    return f"{error.json_path}: {error.message}" if error is not None else ""
