"""The table of rules: code, topic, severity, meaning; the options that select among them; findings.

The module of a topic implements its rules. Codes are stable: users select them and tools read them.
The codes of the topics ``history`` and ``stream`` are those of the checks with these names, which
find them. ``integrity`` marks what makes a file unusable: it ends the command with exit code 3.

Severities: ``error`` is wrong, ``warn`` is risky or wasteful, ``info`` is worth knowing. One rule
has one severity. A rule yields a ``RuleFinding``. The linter adds the file, the line and the
rule's severity, and masks what is quoted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from evalkit._lib.clock import now
from evalkit._lib.json import JSON, MISSING
from evalkit._lib.text import did_you_mean
from evalkit.errors import UsageError
from evalkit.verdict import Finding

LintSeverity = Literal["error", "warn", "info"]
SEVERITIES: tuple[LintSeverity, ...] = ("error", "warn", "info")


@dataclass(frozen=True, slots=True)
class LintRule:
    """One rule."""

    code: str
    topic: str
    severity: LintSeverity
    meaning: str
    integrity: bool = False


TOPICS: dict[str, str] = {
    "file": "the files themselves",
    "history": "stateless histories, re-sent as received (see checks/history.md)",
    "stream": "event streams (see checks/stream.md)",
    "protocol": "responses and requests that differ from the API",
    "new": "what evalkit does not know yet: the API has changed, or it is a mistake",
    "calls": "calls and their results over a conversation",
    "secrets": "credentials and accounts",
    "media": "images, audio, video and documents in bodies",
    "age": "when a cassette was recorded, and from which revision",
    "suites": "cassettes compared with the suites that play them",
}

_ROWS: tuple[tuple[str, str, LintSeverity, str], ...] = (
    (
        "cassette_unreadable",
        "file",
        "error",
        "not YAML, truncated, of another version, or not a cassette",
    ),
    ("journal_left", "file", "warn", "an interrupted recording left its journal behind"),
    ("journal_damaged", "file", "error", "a journal that cannot be read"),
    ("media_missing", "file", "error", "a media file of the cassette is missing"),
    (
        "media_altered",
        "file",
        "error",
        "the content of a media file does not match the digest in its name",
    ),
    ("media_orphan", "file", "warn", "no cassette uses a media file"),
    ("rule_crashed", "file", "error", "a rule crashed on this file: please report it"),
    ("step_missing", "history", "error", "a step is not re-sent"),
    ("step_altered", "history", "error", "a step of the model was changed"),
    ("step_reordered", "history", "error", "a step is at another position"),
    ("step_duplicated", "history", "error", "a step is sent twice"),
    ("step_invented", "history", "error", "a step that was never received"),
    ("signature_altered", "history", "error", "a signature was changed, dropped or added"),
    ("null_added", "history", "warn", "a null appeared; official SDKs do this"),
    ("null_dropped", "history", "warn", "a null disappeared; official SDKs do this"),
    (
        "input_rewritten",
        "history",
        "error",
        "a step of the client was changed after it was first sent",
    ),
    (
        "history_truncated",
        "history",
        "error",
        "the beginning or the end of the history is not re-sent",
    ),
    (
        "thought_unsigned",
        "history",
        "warn",
        "a thought without a signature before a function result; the service may refuse it",
    ),
    (
        "previous_unknown",
        "history",
        "info",
        "previous_interaction_id names no interaction of this cassette",
    ),
    (
        "history_unknown",
        "history",
        "info",
        "a re-sent history has no part in this cassette",
    ),
    ("empty_stream", "stream", "error", "a stream without events"),
    ("created_missing", "stream", "error", "an event before interaction.created"),
    ("created_twice", "stream", "error", "a second interaction.created"),
    ("completed_missing", "stream", "error", "the stream ended without interaction.completed"),
    ("completed_twice", "stream", "error", "a second interaction.completed"),
    ("event_after_completed", "stream", "error", "an event after interaction.completed"),
    ("error_event", "stream", "info", "the service ended the stream with an error event"),
    ("error_recovered", "stream", "info", "an error event arrived, and the stream was completed"),
    ("stream_cut", "stream", "info", "the stream was cut, and polling completed the run"),
    ("event_not_json", "stream", "error", "an event's data is not JSON"),
    ("event_not_object", "stream", "error", "an event is not a JSON object"),
    ("event_type_missing", "stream", "error", "an event has no event_type"),
    ("field_missing", "stream", "error", "an event lacks a required field"),
    ("id_changed", "stream", "error", "the interaction's id changed within the stream"),
    ("status_conflict", "stream", "error", "the statuses of one stream contradict each other"),
    (
        "status_running",
        "stream",
        "error",
        "interaction.completed has the status of a running interaction",
    ),
    (
        "steps_conflict",
        "stream",
        "error",
        "interaction.completed contains other steps than the stream",
    ),
    ("index_gap", "stream", "error", "a step's index leaves a gap"),
    ("start_twice", "stream", "error", "a step started twice"),
    ("delta_before_start", "stream", "error", "a delta before its step's start"),
    ("delta_after_stop", "stream", "error", "a delta after its step's stop"),
    ("stop_without_start", "stream", "error", "a stop without a start"),
    ("stop_twice", "stream", "error", "a step stopped twice"),
    ("step_not_stopped", "stream", "error", "a step never stopped"),
    ("delta_type_missing", "stream", "error", "a delta has no type"),
    ("delta_does_not_fit", "stream", "error", "a delta does not fit its step"),
    ("arguments_not_json", "stream", "error", "streamed arguments are not JSON"),
    ("arguments_not_object", "stream", "error", "streamed arguments are not a JSON object"),
    ("not_streamed", "stream", "error", "a stream was requested, the response is JSON"),
    ("streamed_unasked", "stream", "warn", "JSON was requested, the response is a stream"),
    (
        "stored_differs",
        "stream",
        "error",
        "the streamed interaction differs from the one that a GET returned",
    ),
    ("stream_broken", "stream", "warn", "the recording is marked as a broken response"),
    (
        "last_frame_open",
        "stream",
        "error",
        "the last event lacks its blank line: the JavaScript SDK drops it",
    ),
    (
        "answer_unreadable",
        "protocol",
        "error",
        "a response that is not an Interaction: not JSON, or steps that are not a list of objects",
    ),
    (
        "content_type_other",
        "protocol",
        "error",
        "a successful response that is neither JSON nor a stream: SDKs raise",
    ),
    ("required_missing", "protocol", "error", "a response lacks a required field"),
    ("wrong_type", "protocol", "error", "a field of a response has the wrong JSON type"),
    (
        "type_missing",
        "protocol",
        "error",
        "a step, content or annotation of a response has no type",
    ),
    (
        "steps_missing",
        "protocol",
        "warn",
        "an interaction that is completed, incomplete or requires action has no list of steps",
    ),
    (
        "request_incomplete",
        "protocol",
        "warn",
        "a request lacks a required field or a type",
    ),
    ("request_wrong_type", "protocol", "warn", "a field of a request has the wrong JSON type"),
    ("new_step_type", "new", "info", "a step type"),
    ("new_content_type", "new", "info", "a content type"),
    ("new_annotation_type", "new", "info", "an annotation type"),
    ("new_event_type", "new", "info", "an event type"),
    ("new_delta_type", "new", "info", "a delta type"),
    ("new_tool_type", "new", "info", "a tool type in a request"),
    ("new_field", "new", "info", "a field of a known object"),
    ("new_request_field", "new", "info", "a field of a request"),
    ("new_status", "new", "info", "a status of an interaction"),
    ("new_error_shape", "new", "info", "an error in neither of the API's two forms"),
    ("result_unpaired", "calls", "error", "a function_result without its call"),
    (
        "call_unanswered",
        "calls",
        "error",
        "a function_call without a result in the next request",
    ),
    (
        "call_open",
        "calls",
        "info",
        "the conversation ends with a function_call that waits for its result",
    ),
    (
        "server_call_unpaired",
        "calls",
        "warn",
        "a server-side call without a result, or a result without a call",
    ),
    ("secret_token", "secrets", "error", "an API key or token in a known format"),
    ("secret_header", "secrets", "error", "a header with a credential"),
    ("secret_in_url", "secrets", "error", "a key parameter, or a user and password, in a URL"),
    ("secret_field", "secrets", "error", "a field of a body that always contains a secret"),
    ("private_key", "secrets", "error", "a private key"),
    ("cookie", "secrets", "warn", "a cookie"),
    ("account_identifier", "secrets", "warn", "a project number or a service account"),
    ("email_in_header", "secrets", "warn", "an email address in a header"),
    ("media_not_base64", "media", "error", "inline data that is not Base64"),
    ("media_damaged", "media", "error", "media that is truncated or does not decode"),
    (
        "media_type_differs",
        "media",
        "warn",
        "the bytes are not of the declared type",
    ),
    ("stale", "age", "warn", "older than --max-age"),
    ("old", "age", "info", "older than a year, where no --max-age is given"),
    ("format_other", "age", "warn", "written in a format version that this evalkit does not know"),
    (
        "revision_other",
        "age",
        "info",
        "recorded from another revision of the API than evalkit describes",
    ),
    ("cassette_orphan", "suites", "warn", "no variant of any suite plays this cassette"),
    ("cassette_missing", "suites", "warn", "a variant has no cassette"),
    ("snapshot_orphan", "suites", "warn", "no check of its suite uses an approved snapshot"),
    ("recording_unplayed", "suites", "warn", "the run did not play a recording (--run)"),
    (
        "suite_unreadable",
        "suites",
        "warn",
        "a suite cannot be loaded, so its cassettes cannot be checked",
    ),
)
_INTEGRITY = frozenset(("cassette_unreadable", "journal_damaged", "media_missing", "media_altered"))

RULES: dict[str, LintRule] = {
    row[0]: LintRule(*row, integrity=row[0] in _INTEGRITY) for row in _ROWS
}
"""Every rule by its code, topics together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LintOptions:
    """What to lint for.

    ``codes`` are the selected rules, None for all. ``max_age`` is in days. ``suites`` are suite
    files or folders of them, ``root`` is the project's root, which no suite may leave. ``run`` is a
    run directory, read for unplayed recordings. Ages are measured at ``now``.
    """

    codes: frozenset[str] | None = None
    max_age: float | None = None
    suites: tuple[Path, ...] = ()
    root: Path = field(default_factory=Path.cwd)
    run: Path | None = None
    now: datetime = field(default_factory=now)

    def selects(self, *codes: str) -> bool:
        """Return whether any of these rules is selected."""
        return self.codes is None or any(code in self.codes for code in codes)


def select_codes(select: Sequence[str], ignore: Sequence[str]) -> frozenset[str]:
    """Return the selected codes, or all, without the ignored ones; a topic means all of its codes.

    Rules about unusable files are always selected, because no other rule can check such a file.
    Raises UsageError for a word that is neither code nor topic.
    """
    selected = {*_expand_topics(select), *_INTEGRITY} if select else set(RULES)
    return frozenset(selected - set(_expand_topics(ignore)))


def _expand_topics(words: Sequence[str]) -> Iterable[str]:
    for word in words:
        if word in TOPICS:
            yield from (code for code, rule in RULES.items() if rule.topic == word)
        elif word in RULES:
            yield word
        else:
            hint = did_you_mean(word, (*RULES, *TOPICS))
            raise UsageError(
                f"unknown rule or topic {word!r}{hint}; `evalkit lint --rules` lists all"
            )


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """One thing that a rule reports about a file.

    ``exchange`` counts from 1 over the file's recordings, ``line`` over its lines. ``part`` says
    what the JSON Pointer ``pointer`` points into: the ``request`` or ``response`` body of the
    exchange, the list of its ``events``, or the cassette's ``metadata``. ``expected`` and ``got``
    are JSON values or ``MISSING``.
    """

    code: str
    message: str
    exchange: int | None = None
    part: str | None = None
    pointer: str | None = None
    expected: Any = MISSING
    got: Any = MISSING
    line: int | None = None

    @classmethod
    def of_check(cls, finding: Finding) -> Self:
        """Return the finding of a check as one of lint."""
        where = finding.where
        return cls(
            finding.code,
            finding.message,
            exchange=where.exchange,
            part=where.part,
            pointer=where.pointer,
            expected=finding.expected,
            got=finding.got,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFinding:
    """One finding, as ``--json`` prints it.

    ``where`` contains what is known of ``line``, ``part`` and ``pointer``.
    """

    file: str
    exchange: int | None
    code: str
    severity: LintSeverity
    message: str
    where: dict[str, JSON] = field(default_factory=dict)
    expected: Any = MISSING
    got: Any = MISSING

    def to_json(self) -> dict[str, JSON]:
        """Return the finding with all of its keys; absent values are null."""
        return {
            "file": self.file,
            "exchange": self.exchange,
            "code": self.code,
            "severity": self.severity,
            "where": self.where,
            "message": self.message,
            "expected": None if self.expected is MISSING else self.expected,
            "got": None if self.got is MISSING else self.got,
        }
