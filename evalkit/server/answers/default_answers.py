"""Plain answers: what is said where no rule of the script holds. Deterministic, made of the request alone, true to the protocol.

``answer`` tries the ways below in order; the first that applies answers. Adding a way is adding a line to ``_WAYS``. Order of steps as the
service really answers (protocol section 11): a searched answer's text comes first, its search behind it. Pure.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Callable, Mapping

from evalkit._lib.json import JSON, MISSING
from evalkit._lib.text import plural, shorten, show
from evalkit.server.answers.answer import InteractionDraft
from evalkit.server.answers.interaction_request import FunctionCallResult, InteractionRequest
from evalkit.server.answers.judge_answers import judge_answer
from evalkit.server.answers.sample_media import SIZES, tone
from evalkit.server.answers.step_builders import (
    code_execution_steps,
    fitted_call,
    fitted_document,
    image_block,
    model_output,
    search_steps,
    text_block,
    url_citation,
)
from evalkit.server.answers.text_analysis import names, numbers, tokens
from evalkit.server.requests.create import answer_formats, answer_schema
from evalkit.server.schema_documents import NoDocument, sample_document

_URL = re.compile(r"https?://[^\s<>\"')]+")
_TRAILING = ".,;:!?"


def default_answer(ask: InteractionRequest) -> InteractionDraft:
    """Return the plain answer to anything."""
    return next(made for way in _WAYS if (made := way(ask)) is not None)


def _from_results(ask: InteractionRequest) -> InteractionDraft | None:
    """Say what the functions returned."""
    if not ask.results:
        return None
    if answer_schema(ask.body) is not None:
        value = ask.results[0].value
        return InteractionDraft(
            [fitted_document(ask, value if isinstance(value, dict) else MISSING)]
        )
    return InteractionDraft([model_output(text_block(" ".join(map(_told, ask.results))))])


def _told(result: FunctionCallResult) -> str:
    if result.is_error:
        return f"{result.name} failed: {shorten(result.text, 200) or 'no reason given'}."
    if isinstance(result.value, dict) and result.value:
        said = ", ".join(
            f"{key} {item if isinstance(item, str) else show(item, 60)}"
            for key, item in result.value.items()
        )
    else:
        said = shorten(result.text, 400) or "nothing"
    return f"{result.name} says: {said}."


def _picture(ask: InteractionRequest) -> InteractionDraft | None:
    """Draw, for an image model or where an image is asked for."""
    formats = answer_formats(ask.body, "image")
    if not formats and "-image" not in ask.model:
        return None
    width, height = SIZES.get(
        str(formats[0].get("aspect_ratio", "")) if formats else "", SIZES["16:9"]
    )
    return InteractionDraft([model_output(image_block(ask.text, width, height))])


def _sound(ask: InteractionRequest) -> InteractionDraft | None:
    """Sound a tone where audio is asked for."""
    if not answer_formats(ask.body, "audio") and not ask.model.endswith("-tts"):
        return None
    return InteractionDraft(
        [
            model_output(
                {
                    "type": "audio",
                    "data": base64.b64encode(tone(ask.text)).decode(),
                    "mime_type": "audio/wav",
                    "sample_rate": 8_000,
                }
            )
        ]
    )


def _call(ask: InteractionRequest) -> InteractionDraft | None:
    """Call the declared function that shares most words with the question; the first one where none does."""
    if not ask.functions:
        return None
    asked = _stems(ask.text)
    best = max(
        ask.functions,
        key=lambda tool: len(asked & _stems(f"{tool['name']} {tool.get('description') or ''}")),
    )
    return InteractionDraft(
        [fitted_call(ask, best["name"], _wishes(best.get("parameters") or {}, ask.text))]
    )


def _stems(text: str) -> set[str]:
    return {
        word[:6]
        for word in re.findall(r"[a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())
        if len(word) > 2
    }


def _wishes(schema: Mapping[str, JSON], text: str) -> dict[str, JSON]:
    """Return a value for every property, optional ones too: the question's names for strings, its numbers for numbers, in order."""
    try:
        made = sample_document(schema)
    except NoDocument:
        made = None  # told by whoever asks for the whole document
    wishes: dict[str, JSON] = dict(made) if isinstance(made, dict) else {}
    offered: dict[str, list[JSON]] = {"string": list(names(text)), "number": list(numbers(text))}
    offered["integer"] = offered["number"]
    for name, part in (schema.get("properties") or {}).items():
        if not isinstance(part, dict):
            continue
        for wish in offered.get(str(part.get("type")), []):
            if _fits(part, wish):
                wishes[name] = wish
                offered[str(part.get("type"))].remove(wish)
                break
        else:
            example = re.search(r"e\.g\.,? ([^,.;)]+)", str(part.get("description", "")))
            if example and part.get("type") == "string" and _fits(part, example[1].strip()):
                wishes[name] = example[1].strip()
    return wishes


def _fits(schema: JSON, value: JSON) -> bool:
    try:
        return bool(sample_document(schema, value) == value)
    except NoDocument:
        return False


def _document(ask: InteractionRequest) -> InteractionDraft | None:
    """Give a valid document for the schema asked for."""
    schema = answer_schema(ask.body)
    if schema is None:
        return None
    wish: JSON = _wishes(schema, ask.text) if isinstance(schema, dict) else {"answer": _said(ask)}
    steps = [fitted_document(ask, wish)]
    if "google_search" in ask.tools:
        steps += _search_steps(ask)
    return InteractionDraft(steps)


def _searched(ask: InteractionRequest) -> InteractionDraft | None:
    """Give an answer whose every sentence is cited, and the search behind it."""
    if "google_search" not in ask.tools:
        return None
    question = shorten(ask.text, 120)
    first = f"According to the sources found for “{question}”, there is one plain answer."
    second = "A second source agrees with it."
    text = f"{first} {second}"
    notes = [
        url_citation(text, first, "https://example.com/plain-answer", "example.com"),
        url_citation(text, second, "https://example.org/agrees", "example.org"),
    ]
    return InteractionDraft([model_output(text_block(text, notes)), *_search_steps(ask)])


def _search_steps(ask: InteractionRequest) -> list[dict[str, JSON]]:
    call, result = search_steps([shorten(ask.text, 120)], search_type="web_search")
    return [call, {**result, "is_error": False}]


def _read_pages(ask: InteractionRequest) -> InteractionDraft | None:
    """Read the pages the question names, where the url_context tool is there."""
    urls = [found.rstrip(_TRAILING) for found in _URL.findall(ask.text)]
    if "url_context" not in ask.tools or not urls:
        return None
    text = f"I read {plural(len(urls), 'page')}: {', '.join(urls)}."
    notes = [url_citation(text, url, url, url.split("/")[2]) for url in dict.fromkeys(urls)]
    return InteractionDraft(
        [
            {"type": "url_context_call", "arguments": {"urls": urls}},
            {
                "type": "url_context_result",
                "result": [{"url": url, "status": "success"} for url in urls],
            },
            model_output(text_block(text, notes)),
        ]
    )


def _run_code(ask: InteractionRequest) -> InteractionDraft | None:
    """Run a line of code, for an agent and where the code_execution tool is there."""
    if not ask.agent and "code_execution" not in ask.tools:
        return None
    count = tokens(ask.text)
    code = f"words = {count}\nprint(f'The task has {{words}} words.')"
    said = f"The task has {count} words."
    where = f" I worked in the environment {ask.environment_id}." if ask.environment_id else ""
    told = shorten(ask.body.get("system_instruction", ""), 160) if ask.agent else ""
    where += f" My instructions are: “{told}”" if told else ""
    return InteractionDraft(
        [*code_execution_steps(code, said + "\n"), model_output(text_block(f"Done. {said}{where}"))]
    )


def _describe(ask: InteractionRequest) -> InteractionDraft | None:
    """Name the media that came with the question."""
    if not ask.attached:
        return None
    counts = Counter(block["type"] for block in ask.attached)
    return InteractionDraft(
        [
            model_output(
                text_block(
                    f"I received {' and '.join(plural(count, f'{kind} file') for kind, count in counts.items())}. {_said(ask)}"
                )
            )
        ]
    )


def _talk(ask: InteractionRequest) -> InteractionDraft | None:
    return InteractionDraft([model_output(text_block(_said(ask)))])


def _said(ask: InteractionRequest) -> str:
    asked = shorten(ask.text, 160)
    if not asked:
        return "You sent no text."
    before = (
        f" Before that you said: “{shorten(ask.earlier[-1], 160)}”."
        if ask.earlier and ask.earlier[-1]
        else ""
    )
    return f"You said: “{asked}”.{before} This is a plain answer from evalkit serve."


_WAYS: tuple[Callable[[InteractionRequest], InteractionDraft | None], ...] = (
    judge_answer,
    _from_results,
    _picture,
    _sound,
    _call,
    _document,
    _searched,
    _read_pages,
    _run_code,
    _describe,
    _talk,
)
