"""Walk stored conversations back through ``previous_interaction_id``, and make recordings of them.

Each interaction is read by GET with its input (docs/protocol.md section 1). What the client sent is
rebuilt from what the resource repeats of its request; the rest of the resource is the response.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from evalkit._lib.json import JSON, dumps
from evalkit._lib.text import plural, quoted, visible
from evalkit.cassette.recording import Recording
from evalkit.errors import ConnectFailed, TransportError, UsageError
from evalkit.protocol.error_bodies import read_error
from evalkit.protocol.received_json import read_received
from evalkit.protocol.step_reader import is_running, strip_user_input
from evalkit.protocol.wire_facts import interactions_path
from evalkit.transcript import Request, Response

_REQUEST_FIELDS = (
    "model",
    "agent",
    "agent_config",
    "system_instruction",
    "tools",
    "generation_config",
    "response_format",
    "environment",
    "service_tier",
    "safety_settings",
    "cached_content",
    "labels",
    "previous_interaction_id",
)
"""What a resource repeats of its request, in the order in which a request is written."""
_NOT_IN_IDS = re.compile(r"[\s\"'\[\]{},/?]")
"""An id is opaque, but neither JSON nor an address."""


@dataclass(slots=True)
class StoredConversations:
    """Recordings of each conversation by its last id; why others could not be read, by their id."""

    recordings: dict[str, list[Recording]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


class _NotUsable(Exception):
    """A stored interaction cannot be imported, for this reason."""


def read_stored(
    ids: Iterable[str], send: Callable[[Request], Response], *, base_url: str, version: str
) -> StoredConversations:
    """Read conversations by the ids of their last interactions.

    An id that another conversation contains is part of that one. ``send`` raises TransportError.
    Raises UsageError where no other interaction can be read either: for a wrong key, or a service
    that is not reached.
    """
    reader = _Reader(send, base_url, version)
    found = StoredConversations()
    chains: dict[str, list[str]] = {}
    for id_ in dict.fromkeys(ids):
        try:
            chains[id_] = reader.chain(id_)
        except _NotUsable as error:
            found.problems[id_] = str(error)
    earlier = {id_ for chain in chains.values() for id_ in chain[:-1]}
    for id_, chain in chains.items():
        if id_ not in earlier:
            found.recordings[id_] = [reader.recording(one) for one in chain]
    return found


def read_ids(text: str, name: str) -> list[str]:
    """Return the ids of a file: one a line, empty lines and comments (``#``) left out.

    Raises UsageError.
    """
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    ids = [line for line in lines if line]
    if not ids:
        raise UsageError(f"{name}: has no id; write one interaction id in each line")
    for number, id_ in enumerate(ids, 1):
        check_id(id_, f"{name}: id {number}")
    return ids


def check_id(id_: str, place: str) -> None:
    """Raise UsageError for what cannot be the id of an interaction."""
    if not id_ or _NOT_IN_IDS.search(id_):
        raise UsageError(
            f"{place} is {quoted(id_)} (expected one id, such as v1_ChdXYnM1S0); correct it"
        )


class _Reader:
    """Reads each interaction once."""

    def __init__(self, send: Callable[[Request], Response], base_url: str, version: str) -> None:
        self._send = send
        self._path = interactions_path(version)
        self._uri = base_url.rstrip("/") + self._path
        self._read: dict[str, dict[str, JSON]] = {}
        self._recordings: dict[str, Recording] = {}

    def chain(self, last: str) -> list[str]:
        """Return the ids of a conversation, the first interaction first. Raises _NotUsable."""
        ids = [last]
        while True:
            place = "" if ids[-1] == last else f"its earlier interaction {visible(ids[-1])} "
            try:
                interaction = self._interaction(ids[-1])
                self._recordings[ids[-1]] = self._recording_of(interaction)
            except _NotUsable as error:
                raise _NotUsable(f"{place}{error}") from None
            previous = interaction.get("previous_interaction_id")
            if not isinstance(previous, str) or not previous:
                return ids[::-1]
            if previous in ids:
                raise _NotUsable(
                    f"{place}continues itself ({plural(len(ids), 'interaction')} read)"
                )
            ids.append(previous)

    def recording(self, id_: str) -> Recording:
        """Return the recording of an interaction of a chain."""
        return self._recordings[id_]

    def _interaction(self, id_: str) -> dict[str, JSON]:
        if id_ not in self._read:
            path = f"{self._path}/{quote(id_, safe='')}"
            try:
                response = self._send(Request("GET", path, query=(("include_input", "true"),)))
            except ConnectFailed as reason:
                raise UsageError(f"interaction {id_}: cannot be read: {reason}") from None
            except TransportError as reason:
                raise _NotUsable(f"cannot be read: {reason}") from None
            if not 200 <= response.status < 300:
                error = read_error(response.status, response.text)
                advice = error.advice
                if response.status in (404, 410) and not advice:
                    advice = "it expired, was deleted, or is of another project"
                problem = f"cannot be read: {error.summary}{f'; {advice}' if advice else ''}"
                if response.status in (400, 401) and error.advice:
                    raise UsageError(f"interaction {id_}: {problem}")
                raise _NotUsable(problem)
            try:
                body = read_received(response.text)
            except (ValueError, RecursionError) as reason:
                raise _NotUsable(f"is not JSON ({reason})") from None
            if not isinstance(body, dict):
                raise _NotUsable("is not an interaction")
            self._read[id_] = body
        return self._read[id_]

    def _recording_of(self, interaction: dict[str, JSON]) -> Recording:
        if is_running(interaction):
            raise _NotUsable(f"is {interaction.get('status')}; import it when it has ended")
        steps = interaction.get("steps")
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            raise _NotUsable("has no steps")
        answered = strip_user_input(steps)
        sent = interaction.get("input") or steps[: len(steps) - len(answered)]
        if not sent:
            raise _NotUsable(
                f"does not say what was sent to it (status {interaction.get('status')}); the "
                "service leaves the input out while an interaction waits for results"
            )
        fields = {key: interaction[key] for key in _REQUEST_FIELDS if interaction.get(key)}
        if fields.get("service_tier") == "standard":
            # The resource says what served it; nobody may have asked for it.
            del fields["service_tier"]
        response = {key: value for key, value in interaction.items() if key != "input"}
        return Recording(
            method="POST",
            uri=self._uri,
            request_body=dumps({**fields, "input": sent}),
            response_headers={"content-type": ["application/json"]},
            body=dumps({**response, "steps": answered}),
        )
