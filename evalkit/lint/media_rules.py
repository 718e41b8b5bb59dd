"""Topic ``media``: inline media of requests and responses are Base64 and of the declared type.

Media that a stateless conversation sends again and again are checked once. Media given by ``uri``
have no bytes to check. Missing and altered media files belong to the topic ``file``.
"""

from collections.abc import Iterator

from evalkit._lib.json import JSON, pointer
from evalkit._lib.text import show
from evalkit.cassette.files import PREFIX
from evalkit.checks.media.files import decode, examine
from evalkit.lint.cassette_view import CassetteView
from evalkit.lint.rules import RuleFinding
from evalkit.protocol.step_reader import steps_of
from evalkit.protocol.step_types import MEDIA_TYPES

_DEEPEST = 12  # levels below input or steps at which content can be, with room to spare


def check_media(view: CassetteView) -> Iterator[RuleFinding]:
    """Yield what is wrong with inline media."""
    seen: set[tuple[str, str, int]] = set()
    for exchange in view.api_exchanges:
        body = exchange.request.body
        parts: list[tuple[str, str, JSON]] = []
        if isinstance(body, dict):
            parts.append(("request", "/input", body.get("input")))
        if exchange.interaction is not None:
            parts.append(("response", "/steps", steps_of(exchange.interaction)))
        for part, at, value in parts:
            for block, position in _media_blocks(value, at):
                key = (block["type"], str(block.get("mime_type")), hash(block["data"]))
                if key not in seen:
                    seen.add(key)
                    yield from _check_block(block, exchange.number, part, position)


def _media_blocks(root: JSON, root_pointer: str) -> Iterator[tuple[dict[str, JSON], str]]:
    """Yield every media block with inline data below steps or contents, and its pointer."""
    pending = [(root, root_pointer, 0)]
    while pending:
        value, at, depth = pending.pop()
        if isinstance(value, dict):
            type_, data = value.get("type"), value.get("data")
            is_media = isinstance(type_, str) and type_ in MEDIA_TYPES
            if is_media and isinstance(data, str) and data:
                yield value, f"{at}/data"
                continue
            items = [(item, at + pointer(key)) for key, item in value.items()]
        elif isinstance(value, list):
            items = [(item, f"{at}/{index}") for index, item in enumerate(value)]
        else:
            continue
        if depth < _DEEPEST:
            pending += [(item, position, depth + 1) for item, position in reversed(items)]


def _check_block(
    block: dict[str, JSON], exchange: int, part: str, at: str
) -> Iterator[RuleFinding]:
    type_, data, declared = block["type"], block["data"], block.get("mime_type")
    if data.startswith(PREFIX):
        return  # the file is missing, which the topic "file" reports
    raw, reason = decode(data)
    if raw is None:
        yield RuleFinding(
            "media_not_base64",
            f"the data of the {type_} is not Base64: {reason}",
            exchange=exchange,
            part=part,
            pointer=at,
            expected="base64",
            got=show(data, 40),
        )
        return
    real, mismatch, structure = examine(raw, declared if isinstance(declared, str) else None)
    if mismatch:
        yield RuleFinding(
            "media_type_differs",
            f"the {type_} is declared {show(declared, 40)}, but {mismatch}",
            exchange=exchange,
            part=part,
            pointer=at,
            expected=declared,
            got=real,
        )
    if structure.damage:
        yield RuleFinding(
            "media_damaged",
            f"the {type_} does not decode: {structure.damage}",
            exchange=exchange,
            part=part,
            pointer=at,
            expected=real,
            got=f"{len(raw):,} bytes",
        )
