"""``media``: images, audio and video in the output exist, have the declared type, and are whole."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from evalkit._lib.json import JSON
from evalkit._lib.text import show
from evalkit.checks.core.arguments import Amount, Bounds, Words, format_number
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.formatting import table
from evalkit.checks.core.strictness import Strictness, bounds_from
from evalkit.checks.media.files import decode, examine, same_type
from evalkit.protocol.step_reader import content_blocks
from evalkit.verdict import Finding, Where

_TYPES = ("image", "audio", "video")
_AT_LEAST_ONE = Bounds(min=1)


class Media(Check):
    """The output contains the expected number of media, each of its declared type and decodable.

    The empty case: without ``count`` at least one is expected, so an answer without media fails;
    ``count: 0`` expects none. Media given only by ``uri`` are counted and their declared type is
    checked. Rules about bytes fail for them, since their bytes are not in the answer.
    """

    name: ClassVar[str] = "media"
    shorthand: ClassVar[str | None] = "type"
    strictness: ClassVar[Mapping[str, Strictness]] = {
        "count": bounds_from(_AT_LEAST_ONE),
        "mime_type": "allowed",
        "min_bytes": "higher",
        "width": "bounds",
        "height": "bounds",
    }

    type: Literal["image", "audio", "video"] | None = Field(
        None, description="Only this kind of media."
    )
    count: Amount | None = Field(
        None,
        description="How many there must be: a number or min/max; at least one where absent.",
    )
    mime_type: Words | None = Field(
        None, description="The mime type, or several any of which is accepted."
    )
    min_bytes: int | None = Field(None, ge=0, description="Fewest bytes of each.")
    width: Amount | None = Field(
        None, description="Width in pixels of each image: a number or min/max."
    )
    height: Amount | None = Field(
        None, description="Height in pixels of each image: a number or min/max."
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield what is wrong with the number of media and with each of them."""
        media = list(_media(view, (self.type,) if self.type is not None else _TYPES))
        count = len(media)
        limits = self.count or _AT_LEAST_ONE
        if not limits.contains(count):
            yield Finding(
                "media_missing" if count < (limits.min or 0) else "media_unexpected",
                f"expected {limits} {self.type or 'media'}, got {count}",
                expected=limits.to_json(),
                got=count,
                detail=table(
                    [[str(where), show(block.get("mime_type"))] for block, where in media]
                ),
            )
        for block, where in media:
            for finding in self._problems(block):
                yield replace(finding, where=where)

    def _problems(self, block: dict[str, JSON]) -> Iterator[Finding]:
        kind, mime_type, data = block["type"], block.get("mime_type"), block.get("data")
        declared = mime_type.lower() if isinstance(mime_type, str) else None
        if declared is not None:
            declared = declared.partition(";")[0].strip()
        family = (declared or "").partition("/")[0]
        message = f"the {kind} is declared {show(declared)}"
        types = self.mime_type
        if types is not None and not any(same_type(each, declared or "") for each in types):
            message = f"{message}, not {' or '.join(types)}"
            yield Finding("mime_type_differs", message, expected=types, got=declared)
        elif family in _TYPES and family != kind:
            yield Finding("mime_type_differs", message, expected=kind, got=declared)
        if data is not None:
            raw, problem = decode(data)
            if raw is None:
                yield Finding(
                    "media_undecodable",
                    f"the {kind}'s data is not base64: {problem}",
                    got=show(data, 40),
                )
            else:
                yield from self._byte_problems(kind, declared, raw)
        elif (self.min_bytes, self.width, self.height) != (None, None, None):
            yield Finding(
                "media_not_inline",
                f"the {kind} is given by uri, so its bytes cannot be checked",
                got=show(block.get("uri")),
            )
        elif not block.get("uri"):
            yield Finding("media_empty", f"the {kind} has neither data nor uri")

    def _byte_problems(self, kind: str, declared: str | None, raw: bytes) -> Iterator[Finding]:
        if not raw:
            yield Finding("media_empty", f"the {kind} has no bytes", expected=1, got=0)
            return
        real, mismatch, structure = examine(raw, declared)
        if mismatch:
            yield Finding(
                "media_type_wrong",
                f"the {kind} is declared {show(declared)}, but {mismatch}",
                expected=declared,
                got=real,
            )
        if structure.damage:
            yield Finding(
                "media_damaged",
                f"the {kind} cannot be decoded: {structure.damage}",
                got=real,
            )
        if self.min_bytes is not None and len(raw) < self.min_bytes:
            least = format_number(self.min_bytes)
            yield Finding(
                "media_too_small",
                f"the {kind} has {format_number(len(raw))} bytes, expected at least {least}",
                expected=self.min_bytes,
                got=len(raw),
            )
        for name, expected, got in (
            ("width", self.width, structure.width),
            ("height", self.height, structure.height),
        ):
            if expected is not None and got is None:
                yield Finding(
                    "media_size_unknown",
                    f"the {name} of this {kind} cannot be read from its header",
                    expected=expected.to_json(),
                )
            elif expected is not None and got is not None and not expected.contains(got):
                yield Finding(
                    "media_size_differs",
                    f"the {kind} has {name} {got}, expected {expected}",
                    expected=expected.to_json(),
                    got=got,
                )


def _media(view: View, types: tuple[str, ...]) -> Iterator[tuple[dict[str, JSON], Where]]:
    for each in view.numbered_steps:
        if each.step.type == "model_output":
            for index, block in enumerate(content_blocks(each.step.raw)):
                if isinstance(block, dict) and block.get("type") in types:
                    yield block, each.where(f"/content/{index}")
