"""Recorded conversations as draft scenarios and suites. Media are returned as bytes.

Conversations share a suite where their tools can be declared together. Where two of them declare a
function differently, or received different results for the same arguments, the later one starts
another suite. Recorded texts are written so that no template is read in them.

Expectations are drafts: they say what happened, not what is right. Texts are not expected, because
no two answers have the same words, and thoughts are ignored in step sequences.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from evalkit._lib.exact_json import map_leaves
from evalkit._lib.json import JSON, equal, loads
from evalkit._lib.text import well_formed
from evalkit.cassette.recording import Recording
from evalkit.compare.alignment import cited_sources
from evalkit.importing.recorded_conversations import find_conversations
from evalkit.importing.tool_stubs import ToolStubs, merge_functions, stub_tools
from evalkit.protocol.step_reader import steps_of, texts_of
from evalkit.suite.model.language import ScenarioKeys
from evalkit.suite.model.project_files import KINDS, MIME_TYPES
from evalkit.transcript import Transcript, Turn

TAG = "drafted"
"""The tag of every drafted scenario: ``pytest -m drafted``."""

_VARYING = (
    "input",
    "previous_interaction_id",
    "continuation_token",
    "tools",
    "stream",
    "background",
)
_DERIVED_SETTINGS = frozenset({"history", "stream", "background", "tools"})
_EMPTY: tuple[JSON, ...] = (None, "", [], {})
_TEMPLATE = re.compile(r"{[{%#]")
_WORD = re.compile(r"[a-z0-9]+")
_LONGEST_ID = 40


@dataclass(slots=True)
class ScenarioDraft:
    """One conversation as a scenario: its entry, tools, media by file name, recordings, origin."""

    entry: dict[str, JSON]
    tools: ToolStubs
    source: str
    number: int
    recordings: list[Recording]
    media: dict[str, bytes] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The id of the scenario."""
        return str(self.entry["id"])


@dataclass(slots=True)
class SuiteDraft:
    """One suite: its name, tools and scenarios."""

    name: str
    origin: str
    tools: dict[str, dict[str, JSON]] = field(default_factory=dict)
    scenarios: list[ScenarioDraft] = field(default_factory=list)

    def to_yaml_value(self) -> dict[str, JSON]:
        """Return the suite as it is written."""
        value: dict[str, JSON] = {
            "suite": self.name,
            "description": f"Drafted from {self.origin}. The expectations say what happened, "
            "not what is right: keep what matters.",
        }
        if self.tools:
            value["tools"] = escape_templates(self.tools)
        value["scenarios"] = [scenario.entry for scenario in self.scenarios]
        return value


def draft_scenarios(
    sources: Mapping[str, list[Recording]], repeated: list[str] | None = None
) -> list[ScenarioDraft]:
    """Return the conversations of every file, in the order of first requests.

    ``sources`` are the recordings of each file by its name for messages. Conversations that others
    repeat are added to ``repeated``.
    """
    conversations = find_conversations(sources, [] if repeated is None else repeated)
    ids = scenario_ids(
        next(iter(texts_of(one.transcript.turns[0].user)), "") for one in conversations
    )
    return [
        _draft_scenario(id_, one.source, one.number, one.recordings, one.transcript)
        for id_, one in zip(ids, conversations, strict=True)
    ]


def group_into_suites(drafts: Iterable[ScenarioDraft], name: str, origin: str) -> list[SuiteDraft]:
    """Return drafts in as few suites as their tools allow: ``name``, ``name-2``, …"""
    suites: list[SuiteDraft] = []
    for draft in drafts:
        suite = next((suite for suite in suites if draft.tools.is_compatible(suite.tools)), None)
        if suite is None:
            suite = SuiteDraft(name if not suites else f"{name}-{len(suites) + 1}", origin)
            suites.append(suite)
        merge_functions(suite.tools, draft.tools.functions)
        suite.scenarios.append(draft)
    return suites


def scenario_ids(texts: Iterable[str]) -> Iterator[str]:
    """Yield a unique id per first message: its first words, numbered where they repeat."""
    counts: dict[str, int] = {}
    for text in texts:
        words = "-".join(_WORD.findall(text.lower()))[:_LONGEST_ID].strip("-") or "conversation"
        counts[words] = number = counts.get(words, 0) + 1
        yield words if number == 1 else f"{words}-{number}"


def escape_templates(value: JSON) -> JSON:
    """Return a value whose strings render as themselves, whatever they contain.

    YAML has no half surrogate pairs; each becomes U+FFFD.
    """
    return map_leaves(value, _escape_text)


def _escape_text(value: JSON) -> JSON:
    if not isinstance(value, str):
        return value
    text = well_formed(value)
    if not _TEMPLATE.search(text):
        return text
    # A text with the end of a raw block is printed as a string literal.
    if "endraw" in text:
        return "{{ " + repr(text) + " }}"
    return "{% raw %}" + text + "{% endraw %}"


def _draft_scenario(
    id_: str, source: str, number: int, recordings: list[Recording], transcript: Transcript
) -> ScenarioDraft:
    settings = dict(transcript.settings)
    creates = [each for each in transcript.exchanges if each.request.creates_interaction]
    # A suite has one setting for all turns, and a streamed response can be made a plain one.
    settings["stream"] = all(each.request.streamed and each.events is not None for each in creates)
    tools = stub_tools(transcript, [each.request.body.get("tools") for each in creates])
    sent = [{**each.request.body, **dict.fromkeys(_VARYING)} for each in creates]
    others = {key for body in sent for key in body if not equal(body[key], sent[0].get(key))}
    if others:
        names = ", ".join(sorted(others))
        tools.notes.append(f"requests differ in {names}; all turns have the first values")
    if not settings["stream"] and any(
        each.events is not None or each.request.streamed for each in creates
    ):
        tools.notes.append("some responses were streamed; here all of them are plain JSON")
    entry: dict[str, JSON] = {
        "id": id_,
        "description": f"From {source}, conversation {number}.",
        "tags": [TAG],
    }
    request_fields: dict[str, JSON] = {}
    for key, value in settings.items():
        if key not in _DERIVED_SETTINGS and value not in _EMPTY:
            target = entry if key in ScenarioKeys.__annotations__ else request_fields
            target[key] = escape_templates(value)
    entry |= {
        key: settings[key]
        for key, default in (("history", "stateful"), ("stream", False), ("background", False))
        if settings.get(key) not in (None, default)
    }
    if request_fields:
        entry["request"] = request_fields
    if tools.listed:
        entry["tools"] = escape_templates(tools.listed)
    draft = ScenarioDraft(entry, tools, source, number, recordings)
    entry["turns"] = [_draft_turn(turn, settings, draft) for turn in transcript.turns]
    return draft


def _draft_turn(turn: Turn, fields: Mapping[str, JSON], draft: ScenarioDraft) -> dict[str, JSON]:
    entry = _draft_user_message(turn.user, draft)
    if turn.error is not None:
        entry["expect"] = [{"error": {"status": turn.error.status, "code": turn.error.code}}]
    elif expectations := list(_draft_expectations(turn, fields)):
        entry["expect"] = escape_templates(expectations)
    return entry


def _draft_expectations(turn: Turn, fields: Mapping[str, JSON]) -> Iterator[JSON]:
    """Yield entries of ``expect``; ``fields`` were sent with every request."""
    if turn.status is not None:
        yield {"status": turn.status}
    steps = [step.raw for step in turn.steps]
    types = [str(step.get("type")) for step in steps if step.get("type") != "thought"]
    if types:
        yield {"steps": {"steps": types, "ignore": ["thought"]}}
    calls = [
        {"name": step["name"], **_expected_arguments(step.get("arguments") or {})}
        for step in steps
        if step.get("type") == "function_call" and isinstance(step.get("name"), str)
    ]
    if calls:
        yield {"tool_calls": calls}
    formats = fields.get("response_format")
    formats = formats if isinstance(formats, list) else [formats]
    if any(isinstance(item, Mapping) and "schema" in item for item in formats):
        try:
            loads(turn.text)
            yield {"json_schema": "response_format"}
        except (ValueError, RecursionError):
            pass  # the answer was not JSON, so it cannot be expected to be
    if cited_sources(steps_of({"steps": steps})):
        yield {"citations": {"min": 1, "spans": "valid"}}


def _expected_arguments(arguments: JSON) -> dict[str, JSON]:
    """Return the expectation of a call's arguments; none where they were not JSON."""
    return {"arguments": arguments} if isinstance(arguments, dict) else {}


def _draft_user_message(blocks: list[JSON], draft: ScenarioDraft) -> dict[str, JSON]:
    """Return a text, a text with attachments, or the blocks as they were sent."""
    if not blocks:
        draft.tools.notes.append("a turn began without a message of the user")
        return {"user": "…"}
    text, *media = blocks
    if isinstance(text, dict) and text == {"type": "text", "text": text.get("text") or None}:
        attachments = [_draft_attachment(block, draft) for block in media]
        if None not in attachments:
            user = {"user": escape_templates(text["text"])}
            return {**user, "attach": attachments} if attachments else user
    return {"user": escape_templates(blocks)}


def _draft_attachment(block: JSON, draft: ScenarioDraft) -> dict[str, JSON] | None:
    """Return media as an attachment and store its data; None where an attachment cannot say it."""
    if (
        not isinstance(block, dict)
        or block.get("type") not in KINDS
        or not block.keys() <= {"type", "data", "uri", "mime_type"}
        or not isinstance(block.get("mime_type") or "", str)
    ):
        return None
    kind, mime = block["type"], block.get("mime_type")
    mime_type = {"mime_type": mime} if mime else {}
    if isinstance(block.get("uri"), str) and "data" not in block:
        return {kind: block["uri"], **mime_type}
    try:
        data = base64.b64decode(block["data"], validate=True)
    except (KeyError, TypeError, ValueError):
        return None
    suffix = next((suffix for suffix, known in MIME_TYPES[kind].items() if known == mime), "bin")
    name = f"{sha256(data).hexdigest()[:16]}.{suffix}"
    draft.media[name] = data
    return {kind: f"_media/{name}", **mime_type}
