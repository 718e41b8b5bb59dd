"""A conversation as a scenario, and conversations as suites. Pure: media are handed out as bytes, for whoever writes files.

Conversations share a suite where their tools can be declared together; where two of them declare a function differently, or were answered
differently by it for the same arguments, the later one begins another suite. Whatever was said is written so that no template is read in it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from evalkit._lib.json import JSON
from evalkit._lib.text import plural
from evalkit.drafting.expectations import expectations
from evalkit.drafting.stubs import Tools, merge, tools_of
from evalkit.suite.model.attachments import KINDS, MIME_TYPES
from evalkit.suite.model.language import ScenarioKeys
from evalkit.transcript import Transcript, Turn

TAG = "drafted"
"""The tag of every drafted scenario: ``pytest -m drafted``."""

_OWN = frozenset({"history", "stream", "background", "tools"})
_TEMPLATE = re.compile(r"{[{%#]")
_WORD = re.compile(r"[a-z0-9]+")
_LONGEST = 40


@dataclass(slots=True)
class Draft:
    """One scenario: its entry, the tools it needs, media files by name, and what a reader should know."""

    entry: dict[str, JSON]
    tools: Tools
    media: dict[str, bytes] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """What could not be taken over as it was."""
        return self.tools.notes


@dataclass(slots=True)
class DraftedSuite:
    """One suite: its name, tools and scenarios."""

    name: str
    origin: str
    tools: dict[str, dict[str, JSON]] = field(default_factory=dict)
    drafts: list[Draft] = field(default_factory=list)

    def to_yaml_value(self) -> dict[str, JSON]:
        """Return the suite as it is written."""
        value: dict[str, JSON] = {
            "suite": self.name,
            "description": f"Drafted from {self.origin}. The expectations say what was, not what is right: keep what matters.",
        }
        if self.tools:
            value["tools"] = literal(self.tools)
        value["scenarios"] = [draft.entry for draft in self.drafts]
        return value


def draft(transcript: Transcript, scenario: str, origin: str) -> Draft:
    """Return a conversation as a scenario called ``scenario``; ``origin`` says where it comes from."""
    settings = dict(transcript.settings)
    tools = tools_of(transcript, settings.get("tools"))
    entry: dict[str, JSON] = {"id": scenario, "description": f"From {origin}.", "tags": [TAG]}
    more: dict[str, JSON] = {}
    for key, value in settings.items():
        if key not in _OWN and value is not None:
            (entry if key in ScenarioKeys.__annotations__ else more)[key] = literal(value)
    if settings.get("history") == "stateless":
        entry["history"] = "stateless"
    entry |= {key: True for key in ("stream", "background") if settings.get(key)}
    if more:
        entry["request"] = more
    if tools.used:
        entry["tools"] = [tool if isinstance(tool, str) else literal(tool) for tool in tools.used]
    made = Draft(entry, tools)
    entry["turns"] = [_turn(turn, settings, made) for turn in transcript.turns]
    return made


def suites(drafts: Iterable[Draft], name: str, origin: str) -> list[DraftedSuite]:
    """Return drafts in as few suites as their tools allow: ``name``, ``name-2``, …"""
    made: list[DraftedSuite] = []
    for one in drafts:
        home = next((suite for suite in made if one.tools.agrees(suite.tools)), None)
        if home is None:
            home = DraftedSuite(name if not made else f"{name}-{len(made) + 1}", origin)
            made.append(home)
        merge(home.tools, one.tools.functions)
        home.drafts.append(one)
    return made


def names(texts: Iterable[str]) -> Iterator[str]:
    """Yield a scenario's id for each first message: its first words, numbered where they stand already."""
    seen: dict[str, int] = {}
    for text in texts:
        words = "-".join(_WORD.findall(text.lower()))[:_LONGEST].strip("-") or "conversation"
        seen[words] = number = seen.get(words, 0) + 1
        yield words if number == 1 else f"{words}-{number}"


def first_text(transcript: Transcript) -> str:
    """Return the first words of a conversation; ``""`` where it begins without any."""
    user = transcript.turns[0].user if transcript.turns else []
    return next(
        (
            block["text"]
            for block in user
            if isinstance(block, dict) and isinstance(block.get("text"), str)
        ),
        "",
    )


def literal(value: JSON) -> JSON:
    """Return a value in which no string is a template, whatever it holds."""
    if isinstance(value, str):
        if not _TEMPLATE.search(value):
            return value
        # A text that holds the end of a raw block itself is given as a string to print.
        if "endraw" in value:
            return "{{ " + repr(value) + " }}"
        return "{% raw %}" + value + "{% endraw %}"
    if isinstance(value, Mapping):
        return {key: literal(item) for key, item in value.items()}
    return [literal(item) for item in value] if isinstance(value, list) else value


def _turn(turn: Turn, fields: Mapping[str, JSON], made: Draft) -> dict[str, JSON]:
    entry = _user(turn.user, made)
    expect = expectations(turn, fields)
    if expect:
        entry["expect"] = literal(expect)
    return entry


def _user(blocks: list[JSON], made: Draft) -> dict[str, JSON]:
    """Return a user's message: a text, a text with attachments where it is one text before media, else its blocks as they were."""
    texts = [block for block in blocks if isinstance(block, dict) and block.get("type") == "text"]
    media = [block for block in blocks if isinstance(block, dict) and block.get("type") in KINDS]
    plain = (
        len(texts) == 1
        and set(texts[0]) == {"type", "text"}
        and blocks[0] is texts[0]
        and len(texts) + len(media) == len(blocks)
    )
    attached = [_attached(block, made) for block in media]
    if plain and None not in attached:
        return {"user": literal(texts[0]["text"]), **({"attach": attached} if attached else {})}
    if not blocks:
        made.notes.append(f"{plural(1, 'turn')} began without a message of the user")
        return {"user": "…"}
    return {"user": literal(blocks)}


def _attached(block: Mapping[str, JSON], made: Draft) -> dict[str, JSON] | None:
    """Return a medium as an attachment, its data put among the files; None where it has more than an attachment can say."""
    kind, mime = block["type"], block.get("mime_type")
    if set(block) - {"type", "data", "uri", "mime_type"} or (
        mime is not None and not isinstance(mime, str)
    ):
        return None
    typed = {"mime_type": mime} if mime else {}
    if isinstance(block.get("uri"), str) and "data" not in block:
        return {kind: block["uri"], **typed}
    try:
        data = base64.b64decode(block["data"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None
    ending = next((ending for ending, known in MIME_TYPES[kind].items() if known == mime), "bin")
    name = f"{sha256(data).hexdigest()[:16]}.{ending}"
    made.media[name] = data
    return {kind: f"_media/{name}", **typed}
