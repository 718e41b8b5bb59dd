"""``media``: images, audio and video that the model put out are there, are what they say they are, and can be decoded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field

from evalkit._lib.json import JSON, MISSING
from evalkit._lib.text import show
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.formatting import table
from evalkit.checks.core.options import Amount, Words, format_number
from evalkit.checks.media.files import Facts, decode, examine, same_type
from evalkit.protocol.step_reader import content_blocks
from evalkit.verdict import Finding, Where

_KINDS = ("image", "audio", "video")


class Media(Check):
    """The output holds media: as many as expected, each with a mime type that its bytes bear out, whole and decodable.

    The empty case: with no ``count``, at least one is expected, so an answer without media fails; ``count: 0`` expects none. Media given by
    ``uri`` alone are counted and their mime type read, for their bytes are not in the answer; rules about bytes then fail.
    """

    name: ClassVar[str] = "media"
    shorthand: ClassVar[str | None] = "type"

    type: Literal["image", "audio", "video"] | None = Field(
        None, description="Only this kind of media."
    )
    count: Amount | None = Field(
        None,
        description="How many there must be: a number or min/max; at least one where absent.",
    )
    mime_type: Words | None = Field(
        None, description="The mime type, or several any of which will do."
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
        kinds = (self.type,) if self.type is not None else _KINDS
        found = list(_media(view, kinds))
        what = self.type or "media"
        wrong = not found if self.count is None else not self.count.contains(len(found))
        if wrong:
            expected = self.count.to_json() if self.count is not None else {"min": 1}
            wanted = str(self.count) if self.count is not None else "at least 1"
            rows = [[str(where), show(block.get("mime_type"))] for block, where in found]
            code = "media_missing" if len(found) < expected.get("min", 0) else "media_unexpected"
            yield Finding(
                code,
                f"expected {wanted} {what}, got {len(found)}",
                Where(),
                expected=expected,
                got=len(found),
                detail=table(rows),
            )
        for block, where in found:
            for code, message, expected_value, got in self._judge(block):
                yield Finding(code, message, where, expected=expected_value, got=got)

    def _judge(self, block: dict[str, JSON]) -> Iterator[tuple[str, str, Any, Any]]:
        kind, declared = block["type"], block.get("mime_type")
        declared = declared.lower().partition(";")[0].strip() if isinstance(declared, str) else None
        if self.mime_type is not None and not any(
            same_type(wanted, declared or "") for wanted in self.mime_type
        ):
            yield (
                "mime_type_differs",
                f"the {kind} is declared {show(declared)}, not {' or '.join(self.mime_type)}",
                self.mime_type,
                declared,
            )
        if (
            declared is not None
            and declared.partition("/")[0] in _KINDS
            and declared.partition("/")[0] != kind
        ):
            yield "mime_type_differs", f"the {kind} is declared {show(declared)}", kind, declared
        data = block.get("data")
        if data is None:
            if self.min_bytes is not None or self.width is not None or self.height is not None:
                yield (
                    "media_not_inline",
                    f"the {kind} is given by uri, so its bytes cannot be judged",
                    MISSING,
                    show(block.get("uri")),
                )
            elif not block.get("uri"):
                yield "media_empty", f"the {kind} has neither data nor uri", MISSING, MISSING
            return
        raw, problem = decode(data)
        if raw is None:
            yield (
                "media_undecodable",
                f"the {kind}'s data is not base64: {problem}",
                MISSING,
                show(data, 40),
            )
            return
        yield from self._bytes(kind, declared, raw)

    def _bytes(
        self, kind: str, declared: str | None, raw: bytes
    ) -> Iterator[tuple[str, str, Any, Any]]:
        facts = examine(raw, declared)
        if not raw:
            yield "media_empty", f"the {kind} has no bytes", 1, 0
            return
        if facts.mismatch:
            yield (
                "media_type_wrong",
                f"the {kind} is declared {show(declared)}, but {facts.mismatch}",
                declared,
                facts.mime_type,
            )
        if facts.damage:
            yield (
                "media_damaged",
                f"the {kind} cannot be decoded: {facts.damage}",
                MISSING,
                facts.mime_type,
            )
        if self.min_bytes is not None and len(raw) < self.min_bytes:
            yield (
                "media_too_small",
                f"the {kind} has {format_number(len(raw))} bytes, at least {format_number(self.min_bytes)} are needed",
                self.min_bytes,
                len(raw),
            )
        yield from self._sizes(kind, facts)

    def _sizes(self, kind: str, facts: Facts) -> Iterator[tuple[str, str, Any, Any]]:
        for word, wanted, got in (
            ("width", self.width, facts.width),
            ("height", self.height, facts.height),
        ):
            if wanted is None:
                continue
            if got is None:
                yield (
                    "media_size_unknown",
                    f"the {word} of this {kind} cannot be read from its header",
                    wanted.to_json(),
                    MISSING,
                )
            elif not wanted.contains(got):
                yield (
                    "media_size_differs",
                    f"the {kind} has {word} {got}, {wanted} is expected",
                    wanted.to_json(),
                    got,
                )


def _media(view: View, kinds: tuple[str, ...]) -> Iterator[tuple[dict[str, JSON], Where]]:
    for turn in view.turns:
        for place, step in enumerate(turn.steps, 1):
            if step.type != "model_output":
                continue
            for index, block in enumerate(content_blocks(step.raw)):
                if isinstance(block, dict) and block.get("type") in kinds:
                    yield (
                        block,
                        Where(
                            turn=turn.number,
                            exchange=step.exchange,
                            step=place,
                            pointer=f"/content/{index}",
                            part="step",
                        ),
                    )
