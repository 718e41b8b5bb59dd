"""The JSON records of a run directory: a line of ``results.jsonl`` and ``manifest.json``.

The shapes are those of the JSON Schemas in ``schemas/``, which users validate against; a test keeps
the two equal. Raw JSON of the API (steps, bodies, events) stays untyped: unknown members pass
through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

from evalkit._lib.json import JSON

VerdictName = Literal["passed", "failed", "errored", "skipped"]


class WhereRecord(TypedDict, total=False):
    """What a finding refers to; numbers count from 1."""

    turn: int
    exchange: int
    step: int
    pointer: str
    part: str
    file: str
    kind: str


class FindingRecord(TypedDict):
    """A finding of a check."""

    code: str
    severity: Literal["error", "warn"]
    message: str
    where: WhereRecord
    expected: NotRequired[JSON]
    got: NotRequired[JSON]
    detail: NotRequired[str]


class CheckRecord(TypedDict):
    """The result of one check; ``turn`` is absent for a check of the whole conversation."""

    name: str
    verdict: VerdictName
    findings: list[FindingRecord]
    turn: NotRequired[int]
    declared: NotRequired[str]


class ApiErrorRecord(TypedDict):
    """An error that the API returned."""

    status: int
    code: str
    message: str


class RequestRecord(TypedDict):
    """An HTTP request."""

    method: str
    path: str
    body: JSON
    query: NotRequired[list[list[str]]]


class ResponseRecord(TypedDict):
    """An HTTP response: ``body`` of JSON, ``events`` of a stream, else ``text``."""

    status: int
    source: Literal["replayed", "recorded", "live"]
    body: NotRequired[JSON]
    events: NotRequired[list[JSON]]
    text: NotRequired[str]
    elapsed_ms: NotRequired[float]
    event_ms: NotRequired[list[float]]
    broken: NotRequired[str]


class ExchangeRecord(TypedDict):
    """A request and its response; ``number`` counts over the conversation."""

    number: int
    request: RequestRecord
    response: NotRequired[ResponseRecord]
    problems: NotRequired[list[dict[str, JSON]]]
    error: NotRequired[ApiErrorRecord]
    failure: NotRequired[str]


class StepRecord(TypedDict):
    """A step exactly as received or sent, and the exchange it belongs to."""

    origin: Literal["model", "client"]
    exchange: int
    step: dict[str, JSON]


class TurnRecord(TypedDict):
    """A turn of a conversation."""

    number: int
    user: list[JSON]
    outcome: str
    status: str | None
    text: str
    steps: list[StepRecord]
    exchanges: list[ExchangeRecord]
    error: NotRequired[ApiErrorRecord]
    reason: NotRequired[str]


class JudgeMetrics(TypedDict):
    """Token counts of the exchanges with judges, which are in no other sum."""

    tokens: dict[str, int]
    exchanges: int


class MetricsRecord(TypedDict, total=False):
    """Sums over a conversation; empty where there was none."""

    tokens: dict[str, int]
    exchanges: int
    tool_calls: int
    source: str | None
    elapsed_ms: float
    cost: float
    judge: JudgeMetrics


class Identity(TypedDict):
    """The variant and trial that a result is about."""

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


class ResultHead(Identity):
    """A result without its transcript."""

    schema_version: int
    verdict: VerdictName
    message: str
    checks: list[CheckRecord]
    metrics: MetricsRecord
    unplayed: Sequence[str]


class ResultLine(ResultHead):
    """A whole line of ``results.jsonl``; ``digest`` is absent until the line is written."""

    settings: dict[str, JSON]
    turns: list[TurnRecord]
    judge_exchanges: NotRequired[list[ExchangeRecord]]
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


class TotalsRecord(TypedDict):
    """Counts of a run."""

    collected: int
    deselected: int
    scored: int
    passed: int
    failed: int
    errored: int
    skipped: int
    warnings: int
    checks: int
    unplayed: int
    orphans: int
    tokens: int


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


class ManifestRecord(SessionRecord):
    """The whole ``manifest.json``."""

    schema_version: int
    suites: list[SuiteRecord]
    cassettes: list[FileRecord]
    totals: TotalsRecord
