"""Keep what may not be written out of what is imported: an allow-list of fields. Pure.

Secrets and patterns are redacted by ``traffic_reader.without_secrets``; both happen before drafts
are made, so before anything is written.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from evalkit._lib.json import JSON, dumps, loads
from evalkit._lib.text import did_you_mean, quoted
from evalkit.cassette.recording import Recording
from evalkit.errors import UsageError
from evalkit.protocol.sse import read_events
from evalkit.protocol.stream_writer import sse_text
from evalkit.results import genai_names as genai

NEEDED = frozenset(
    (
        "model",
        "agent",
        "input",
        "previous_interaction_id",
        "continuation_token",
        "store",
        "stream",
        "background",
        "id",
        "object",
        "status",
        "steps",
        "error",
    )
)
"""Fields without which a conversation cannot be replayed; they need no permission."""
_KNOWN = NEEDED | {*genai.FIELDS.values(), "agent_config", "response_format", "labels", "metadata"}


def only_fields(
    sources: Mapping[str, Sequence[Recording]], names: Collection[str]
) -> dict[str, list[Recording]]:
    """Return recordings whose bodies have only the named top-level fields, and the needed ones.

    A name may be that of an attribute of spans. A body that is not JSON becomes empty. Raises
    UsageError for a name that no body has.
    """
    allowed = NEEDED | {genai.FIELDS.get(name, name) for name in names}
    seen: set[str] = set()
    filtered = {
        source: [
            replace(
                recording,
                request_body=recording.request_body
                and _only(recording.request_body, allowed, seen),
                body=_only(recording.body, allowed, seen),
            )
            for recording in recordings
        ]
        for source, recordings in sources.items()
    }
    known = seen | _KNOWN | genai.FIELDS.keys()
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise UsageError(f"--fields: no request or response has the field {quoted(name)}{hint}")
    return filtered


def _only(body: str | bytes, allowed: frozenset[str], seen: set[str]) -> str:
    """Return a body with the allowed fields only."""
    try:
        value = loads(body)
    except (ValueError, RecursionError):
        text = body if isinstance(body, str) else ""
        events = [event for event in read_events(text).events if isinstance(event, dict)]
        return "".join(sse_text([_only_of_event(one, allowed, seen) for one in events]))
    return dumps(_filter(value, allowed, seen)) if isinstance(value, dict) else ""


def _only_of_event(
    event: dict[str, JSON], allowed: frozenset[str], seen: set[str]
) -> dict[str, JSON]:
    inner = event.get("interaction")
    filtered = _filter(inner, allowed, seen) if isinstance(inner, dict) else inner
    return {**event, "interaction": filtered} if "interaction" in event else event


def _filter(value: dict[str, JSON], allowed: frozenset[str], seen: set[str]) -> dict[str, JSON]:
    seen.update(value)
    return {key: item for key, item in value.items() if key in allowed}
