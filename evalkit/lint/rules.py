"""The rules, as a table: code, topic, severity, meaning. What a code says is here; how it is found is its topic's module's business.

Codes are stable: users select them and tools read them. The codes of the topics ``history`` and ``stream`` are those of the checks of these
names, for it is these checks that find them. ``integrity`` marks what makes a file worthless: it ends the command with exit code 3.

Severities: ``error`` is wrong, ``warn`` is risky or wasteful, ``info`` is worth knowing. One rule has one severity, always.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from evalkit._lib.text import did_you_mean
from evalkit.errors import UsageError

Severity = Literal["error", "warn", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warn", "info")


class Rule(NamedTuple):
    """One rule."""

    code: str
    topic: str
    severity: Severity
    meaning: str
    integrity: bool = False


TOPICS: dict[str, str] = {
    "file": "the files themselves",
    "history": "stateless histories, re-sent as received (see checks/history.md)",
    "stream": "streams of events (see checks/stream.md)",
    "protocol": "answers and requests that are not as the API has them",
    "new": "what nothing here knows yet: the API moved on, or it is a mistake",
    "calls": "calls and their results over a conversation",
    "secrets": "credentials and accounts",
    "media": "pictures, sound, films and documents in bodies",
    "age": "when it was recorded, and from what",
    "suites": "cassettes against the suites that play them",
}

_ROWS: tuple[tuple[str, str, Severity, str], ...] = (
    (
        "cassette_unreadable",
        "file",
        "error",
        "not YAML, cut off, of another version, or no cassette",
    ),
    ("journal_left", "file", "warn", "an interrupted recording left its journal"),
    ("journal_damaged", "file", "error", "a journal that cannot be read"),
    ("media_missing", "file", "error", "a media file the cassette needs is not there"),
    ("media_altered", "file", "error", "a media file's content is not what its name says"),
    ("media_orphan", "file", "warn", "a media file that no cassette needs"),
    ("rule_crashed", "file", "error", "a rule failed on this file: please report it"),
    ("step_missing", "history", "error", "a step is not re-sent"),
    ("step_altered", "history", "error", "a step of the model was changed"),
    ("step_reordered", "history", "error", "a step stands elsewhere"),
    ("step_duplicated", "history", "error", "a step is sent twice"),
    ("step_invented", "history", "error", "a step that was never received"),
    ("signature_altered", "history", "error", "a signature was changed, dropped or added"),
    ("null_added", "history", "warn", "a null appeared; official SDKs do this"),
    ("null_dropped", "history", "warn", "a null disappeared; official SDKs do this"),
    (
        "input_rewritten",
        "history",
        "error",
        "a step of the client's own was changed after it had been sent",
    ),
    (
        "history_truncated",
        "history",
        "error",
        "the beginning or the end of the history is not re-sent",
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
        "a history is re-sent of which nothing is in this cassette",
    ),
    ("empty_stream", "stream", "error", "a stream without events"),
    ("created_missing", "stream", "error", "an event before interaction.created"),
    ("created_twice", "stream", "error", "interaction.created came again"),
    ("completed_missing", "stream", "error", "the stream ended without interaction.completed"),
    ("completed_twice", "stream", "error", "interaction.completed came again"),
    ("event_after_completed", "stream", "error", "an event after interaction.completed"),
    ("error_event", "stream", "info", "the service broke off with an error event"),
    ("event_not_json", "stream", "error", "an event's data is not JSON"),
    ("event_not_object", "stream", "error", "an event is no JSON object"),
    ("event_type_missing", "stream", "error", "an event has no event_type"),
    ("field_missing", "stream", "error", "an event lacks a field it must have"),
    ("id_changed", "stream", "error", "the interaction's id changed in mid-stream"),
    ("status_conflict", "stream", "error", "the statuses of one stream contradict each other"),
    ("status_running", "stream", "error", "interaction.completed says that the run goes on"),
    (
        "steps_conflict",
        "stream",
        "error",
        "interaction.completed carries other steps than were streamed",
    ),
    ("index_gap", "stream", "error", "a step's index leaves a gap"),
    ("start_twice", "stream", "error", "a step started twice"),
    ("delta_before_start", "stream", "error", "a delta before its step's start"),
    ("delta_after_stop", "stream", "error", "a delta after its step's stop"),
    ("stop_without_start", "stream", "error", "a stop without a start"),
    ("stop_twice", "stream", "error", "a step stopped twice"),
    ("step_not_stopped", "stream", "error", "a step never stopped"),
    ("delta_type_missing", "stream", "error", "a delta has no type"),
    ("delta_does_not_fit", "stream", "error", "a delta cannot be folded into its step"),
    ("arguments_not_json", "stream", "error", "streamed arguments are not JSON"),
    ("arguments_not_object", "stream", "error", "streamed arguments are no JSON object"),
    ("not_streamed", "stream", "error", "a stream was asked for, JSON came"),
    ("streamed_unasked", "stream", "warn", "JSON was asked for, a stream came"),
    ("stored_differs", "stream", "error", "the streamed interaction is not the one a GET returned"),
    ("stream_broken", "stream", "warn", "the recording says that the answer broke off"),
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
        "an answer that is no Interaction: not JSON, or steps that are no list of objects",
    ),
    (
        "content_type_other",
        "protocol",
        "error",
        "a good answer of neither JSON nor events: SDKs raise",
    ),
    ("required_missing", "protocol", "error", "an answer lacks a field that must be there"),
    ("wrong_type", "protocol", "error", "a field of an answer is of the wrong JSON type"),
    ("type_missing", "protocol", "error", "a step, content or annotation of an answer has no type"),
    (
        "steps_missing",
        "protocol",
        "warn",
        "an interaction that is completed, incomplete or waits for a result has no list of steps",
    ),
    (
        "request_incomplete",
        "protocol",
        "warn",
        "a request lacks a field or a type that must be there",
    ),
    ("request_wrong_type", "protocol", "warn", "a field of a request is of the wrong JSON type"),
    ("new_step_type", "new", "info", "a step type"),
    ("new_content_type", "new", "info", "a content type"),
    ("new_annotation_type", "new", "info", "an annotation type"),
    ("new_event_type", "new", "info", "an event type"),
    ("new_delta_type", "new", "info", "a delta type"),
    ("new_tool_type", "new", "info", "a tool type in a request"),
    ("new_field", "new", "info", "a field of something known"),
    ("new_request_field", "new", "info", "a field of a request"),
    ("new_status", "new", "info", "a status of an interaction"),
    ("new_error_shape", "new", "info", "an error in neither of the API's two shapes"),
    ("result_unpaired", "calls", "error", "a function_result that answers no call"),
    (
        "call_unanswered",
        "calls",
        "error",
        "a function_call that the next request leaves without a result",
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
    ("secret_token", "secrets", "error", "an API key or token in a form that is known"),
    ("secret_header", "secrets", "error", "a header that carries a credential"),
    ("secret_in_url", "secrets", "error", "a key parameter, or a user and password, in a URL"),
    ("private_key", "secrets", "error", "a private key"),
    ("cookie", "secrets", "warn", "a cookie"),
    ("account_identifier", "secrets", "warn", "a project number or a service account"),
    ("email_in_header", "secrets", "warn", "an e-mail address in a header"),
    ("media_not_base64", "media", "error", "inline data that is not base64"),
    ("media_damaged", "media", "error", "a media file that is cut off or does not decode"),
    (
        "media_type_differs",
        "media",
        "warn",
        "the bytes are not of the type they are declared to be",
    ),
    ("stale", "age", "warn", "older than --max-age"),
    ("old", "age", "info", "older than a year, where no --max-age is given"),
    ("format_other", "age", "warn", "written by a format version that this evalkit does not know"),
    (
        "revision_other",
        "age",
        "info",
        "recorded from another revision of the API than the one described here",
    ),
    ("cassette_orphan", "suites", "warn", "no variant of any suite plays this cassette"),
    ("cassette_missing", "suites", "warn", "a variant has no cassette"),
    ("snapshot_orphan", "suites", "warn", "an approved snapshot that no check of its suite wants"),
    ("recording_unplayed", "suites", "warn", "the run left a recording unplayed (--run)"),
    (
        "suite_unreadable",
        "suites",
        "warn",
        "a suite that cannot be loaded: its cassettes cannot be judged",
    ),
)
_INTEGRITY = frozenset(("cassette_unreadable", "journal_damaged", "media_missing", "media_altered"))

RULES: dict[str, Rule] = {row[0]: Rule(*row, integrity=row[0] in _INTEGRITY) for row in _ROWS}
"""Every rule by its code, topics together."""


def chosen(select: Sequence[str], ignore: Sequence[str]) -> frozenset[str]:
    """Return the codes that count: all or the selected ones, without the ignored ones. Topics stand for their codes.

    What makes a file worthless counts unselected too, for no other rule could judge such a file. Raises UsageError for a word that is neither
    code nor topic.
    """
    wanted = {*_codes(select), *_INTEGRITY} if select else set(RULES)
    return frozenset(wanted - set(_codes(ignore)))


def _codes(words: Sequence[str]) -> Iterable[str]:
    for word in words:
        if word in TOPICS:
            yield from (code for code, rule in RULES.items() if rule.topic == word)
        elif word in RULES:
            yield word
        else:
            known = did_you_mean(word, (*RULES, *TOPICS))
            raise UsageError(f"no rule or topic {word!r}{known}; `evalkit lint --rules` lists them")
