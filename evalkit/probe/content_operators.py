"""Operators that change structured output, citations, media and usage of an answer."""

from collections.abc import Callable, Iterator, Mapping

from evalkit._lib.json import JSON, dumps, json_type, loads_or
from evalkit._lib.text import show
from evalkit.probe.recorded import (
    Answer,
    Mutant,
    Recorded,
    answer_mutant,
    answers_of,
    block_copy,
    with_text,
)
from evalkit.protocol.step_reader import content_blocks, steps_of, text_blocks
from evalkit.transcript import Turn

_UNCITED = " This was confirmed by several experts."
_OTHER_SITE = "https://example.net/page"
_OTHER_TYPES = {"image": "image/webp", "audio": "audio/flac", "video": "video/webm"}


def _fields(
    operator: str, change: str, edit: Callable[[dict[str, JSON], str], None]
) -> Callable[[Recorded], Iterator[Mutant]]:
    """Return an operator that edits each field of a JSON document in turn."""

    def mutate(recorded: Recorded) -> Iterator[Mutant]:
        for turn, answer, step, block, value in _documents(recorded):
            for name in value:
                changed = dict(value)
                edit(changed, name)
                yield answer_mutant(
                    operator,
                    turn,
                    change.format(name=name, value=show(value[name])),
                    answer,
                    with_text(answer, step, block, dumps(changed)),
                    {"json_schema": _schema(value)},
                )

    return mutate


def _set_null(value: dict[str, JSON], name: str) -> None:
    value[name] = None


def _set_other_type(value: dict[str, JSON], name: str) -> None:
    old = value[name]
    value[name] = [old] if isinstance(old, str) else show(old)


missing_fields = _fields("field_missing", "{name} is missing", lambda value, name: value.pop(name))
null_fields = _fields("field_null", "{name} is null instead of {value}", _set_null)
fields_of_other_types = _fields(
    "field_type", "{name} has another type than {value}", _set_other_type
)


def extra_fields(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants with a field that nobody asked for."""
    for turn, answer, step, block, value in _documents(recorded):
        text = dumps({**value, "comment": "as requested"})
        change, schema = "the field comment was added", _schema(value)
        changed = with_text(answer, step, block, text)
        yield answer_mutant("field_extra", turn, change, answer, changed, {"json_schema": schema})


def dropped_citations(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants without one of the citations, and without all of them."""
    for turn, answer, step, block, cited in _cited(recorded):
        for index in range(len(cited)):
            copy, changed = block_copy(answer, step, block)
            changed["annotations"] = [*cited[:index], *cited[index + 1 :]]
            change = f"the citation of {_source(cited[index])} is missing"
            yield answer_mutant(
                "citation_dropped", turn, change, answer, copy, {"citations": {"min": len(cited)}}
            )


def moved_citations(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants whose citation is after the end of the text."""
    for turn, answer, step, block, cited in _cited(recorded):
        for index, citation in enumerate(cited):
            moved = {
                key: citation[key] + 100_000
                for key in ("start_index", "end_index")
                if isinstance(citation.get(key), int)
            }
            if moved:
                copy, changed = block_copy(answer, step, block)
                changed["annotations"] = _with_item(cited, index, {**citation, **moved})
                change = f"the citation of {_source(citation)} is after the end of the text"
                suggestion = {"citations": {"spans": "valid"}}
                yield answer_mutant("citation_moved", turn, change, answer, copy, suggestion)


def citations_of_other_sites(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants that cite another site."""
    for turn, answer, step, block, cited in _cited(recorded):
        titles = [one["title"] for one in cited if isinstance(one.get("title"), str)]
        for index, citation in enumerate(cited):
            if "url" in citation:
                copy, changed = block_copy(answer, step, block)
                other = {**citation, "url": _OTHER_SITE, "title": "example.net"}
                changed["annotations"] = _with_item(cited, index, other)
                change = f"example.net is cited instead of {_source(citation)}"
                suggestion = {"citations": {"titles": sorted(set(titles))}} if titles else None
                yield answer_mutant("citation_domain", turn, change, answer, copy, suggestion)


def uncited_claims(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants with a sentence without a source in a text that cites."""
    for turn, answer, step, block, cited in _cited(recorded):
        text = content_blocks(steps_of(answer.interaction)[step])[block]["text"]
        size = len(text.encode())
        spans = sum(
            one["end_index"] - one["start_index"]
            for one in cited
            if isinstance(one.get("end_index"), int) and isinstance(one.get("start_index"), int)
        )
        share = int(100 * min(spans / max(size, 1), 1)) / 100
        yield answer_mutant(
            "claim_uncited",
            turn,
            f"{_UNCITED.strip()!r} was added without a source",
            answer,
            with_text(answer, step, block, text + _UNCITED),
            {"citations": {"coverage": share}} if share else None,
        )


def media_of_other_types(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants whose picture, sound or film is declared to be of another format."""
    for turn, answer, step, index, block in _media(recorded):
        other = _OTHER_TYPES[block["type"]]
        if block.get("mime_type") != other:
            copy, changed = block_copy(answer, step, index)
            changed["mime_type"] = other
            change = f"the {block['type']} is {other} instead of {block.get('mime_type')}"
            suggestion = {"media": {"type": block["type"], "mime_type": block.get("mime_type")}}
            yield answer_mutant("media_type", turn, change, answer, copy, suggestion)


def cut_media(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants with half of a picture, sound or film."""
    for turn, answer, step, index, block in _media(recorded):
        data = block["data"]
        copy, changed = block_copy(answer, step, index)
        changed["data"] = data[: len(data) // 8 * 4]
        change = f"the {block['type']} ends in the middle"
        yield answer_mutant(
            "media_cut", turn, change, answer, copy, {"media": {"type": block["type"]}}
        )


def doubled_usage(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants in which the answers of a turn took twice as many tokens."""
    for turn in recorded.turns:
        changed, total = {}, 0
        for answer in answers_of(turn):
            usage = answer.interaction.get("usage")
            if isinstance(usage, dict) and isinstance(usage.get("total_tokens"), int):
                copy = answer.copy()
                copy["usage"] = {
                    key: 2 * value if isinstance(value, int) else value
                    for key, value in usage.items()
                }
                changed[answer.exchange.number] = copy
                total += usage["total_tokens"]
        if total:
            limit = {"total_tokens": {"max": total * 3 // 2}}
            yield Mutant(
                operator="usage_doubled",
                turn=turn.number,
                change=f"{2 * total:,} tokens instead of {total:,}",
                answers=changed,
                suggestion={"usage": limit},
            )


def _documents(recorded: Recorded) -> Iterator[tuple[Turn, Answer, int, int, dict[str, JSON]]]:
    for turn, answer in recorded.answers():
        for block in text_blocks(steps_of(answer.interaction)):
            value = loads_or(block.text, None)
            if isinstance(value, dict) and value:
                yield turn, answer, block.step, block.content, value


def _cited(
    recorded: Recorded,
) -> Iterator[tuple[Turn, Answer, int, int, list[dict[str, JSON]]]]:
    for turn, answer in recorded.answers():
        for block in text_blocks(steps_of(answer.interaction)):
            if block.annotations:
                yield turn, answer, block.step, block.content, block.annotations


def _media(
    recorded: Recorded,
) -> Iterator[tuple[Turn, Answer, int, int, dict[str, JSON]]]:
    for turn, answer in recorded.answers():
        for index, step in enumerate(steps_of(answer.interaction)):
            for at, block in enumerate(content_blocks(step)):
                if (
                    isinstance(block, dict)
                    and block.get("type") in _OTHER_TYPES
                    and isinstance(block.get("data"), str)
                ):
                    yield turn, answer, index, at, block


def _with_item(items: list[JSON], index: int, item: JSON) -> list[JSON]:
    return [*items[:index], item, *items[index + 1 :]]


def _source(citation: Mapping[str, JSON]) -> str:
    named = citation.get("title") or citation.get("url") or citation.get("file_name")
    return show(named or citation.get("type"))


def _schema(value: JSON) -> dict[str, JSON]:
    """Return a JSON Schema of what a value has: its fields, all required, and their types."""
    if isinstance(value, dict):
        return {
            "type": "object",
            "properties": {name: _schema(item) for name, item in value.items()},
            "required": list(value),
            "additionalProperties": False,
        }
    return {"type": json_type(value)}
