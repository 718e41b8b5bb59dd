"""Answers to requests that no rule of the script matches.

They are deterministic, follow from the request alone, and are valid in the protocol.
``default_answer`` tries the functions of ``_ANSWERS`` in order; the first that returns an answer is
used. The order of steps is the service's (docs/protocol.md section 11): the text of an answer comes
before its search. Pure.
"""

import base64
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from evalkit._lib.json import JSON, MISSING
from evalkit._lib.text import plural, shorten, show
from evalkit.server.answers.interaction import InteractionDraft, count_tokens
from evalkit.server.answers.interaction_request import FunctionCallResult, InteractionRequest
from evalkit.server.answers.side_answers import judge_answer, simulator_answer
from evalkit.server.answers.step_builders import (
    SIZES,
    code_execution_steps,
    function_call,
    image_block,
    json_output,
    model_output,
    search_steps,
    text_output,
    tone,
    url_citation,
    video,
)
from evalkit.server.requests.create import response_formats, response_schema
from evalkit.server.schema_documents import NoDocument, sample_document

_URL = re.compile(r"https?://[^\s<>\"')]+")
_WORD = re.compile(r"[a-z0-9]+")
_CAMEL_CASE = re.compile(r"([a-z])([A-Z])")
_EXAMPLE = re.compile(r"e\.g\.,? ([^,.;)]+)")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")
_NAME = re.compile(
    r"(?:[A-Z]\w+)(?:[ '-](?:[A-Z]\w+|de|of|the|la|le|am)(?=\W|$))*(?<! de)(?<! of)(?<! the)"
)
_SENTENCE_END = re.compile(r"[.!?:]\s+|\n\s*|[\"“(]")
_FIRST_WORDS = frozenset(
    {
        "A", "An", "And", "Are", "At", "Book", "Can", "Compare", "Could", "Describe", "Do", "Does",
        "Find", "For", "From", "Get", "Give", "How", "I", "In", "Is", "It", "Of", "On", "Please",
        "Show", "Tell", "The", "To", "What", "When", "Where", "Which", "Who", "Why", "With",
        "Would",
    }
)  # fmt: skip
"""Words at the beginning of a sentence that are not part of the name after them."""


def default_answer(request: InteractionRequest) -> InteractionDraft:
    """Return the default answer to a request."""
    for answer in _ANSWERS:
        if (draft := answer(request)) is not None:
            return draft
    return InteractionDraft([text_output(_echo(request))])


def _report_results(request: InteractionRequest) -> InteractionDraft | None:
    """Report what the functions returned."""
    if not request.results:
        return None
    if response_schema(request.body) is not None:
        value = request.results[0].value
        preferred = value if isinstance(value, dict) else MISSING
        return InteractionDraft([json_output(request, preferred)])
    return InteractionDraft([text_output(" ".join(map(_result_text, request.results)))])


def _result_text(result: FunctionCallResult) -> str:
    if result.is_error:
        return f"{result.name} failed: {shorten(result.text, 200) or 'no reason given'}."
    content = shorten(result.text, 400) or "nothing"
    if isinstance(result.value, dict) and result.value:
        content = ", ".join(
            f"{key} {item if isinstance(item, str) else show(item, 60)}"
            for key, item in result.value.items()
        )
    return f"{result.name} returned: {content}."


def _image(request: InteractionRequest) -> InteractionDraft | None:
    """Draw a picture for an image model, or if an image is requested."""
    formats = response_formats(request.body, "image")
    if not _makes(request, "image", "-image", "nano-banana"):
        return None
    ratio = str(formats[0].get("aspect_ratio", "")) if formats else ""
    width, height = SIZES.get(ratio, SIZES["16:9"])
    return InteractionDraft([model_output(image_block(request.text, width, height))])


def _audio(request: InteractionRequest) -> InteractionDraft | None:
    """Return a tone for a speech model, or if audio is requested."""
    if not _makes(request, "audio", "-tts", "lyria-"):
        return None
    data = base64.b64encode(tone(request.text)).decode()
    block = {"type": "audio", "data": data, "mime_type": "audio/wav", "sample_rate": 8_000}
    return InteractionDraft([model_output(block)])


def _video(request: InteractionRequest) -> InteractionDraft | None:
    """Return a video for a model that makes videos, or if one is requested."""
    if not _makes(request, "video", "-omni-"):
        return None
    block = {"type": "video", "mime_type": "video/mp4"}
    uris = [entry.get("gcs_uri") for entry in response_formats(request.body, "video")]
    if uris and uris[0]:
        return InteractionDraft([model_output({**block, "uri": str(uris[0])})])
    data = base64.b64encode(video()).decode()
    return InteractionDraft([model_output({**block, "data": data})])


def _makes(request: InteractionRequest, kind: str, *models: str) -> bool:
    """Return whether an answer is of a kind: the request says it, or the name of its model."""
    is_requested = bool(response_formats(request.body, kind)) or kind in (
        request.body.get("response_modalities") or ()
    )
    return is_requested or any(name in request.model for name in models)


def _call_function(request: InteractionRequest) -> InteractionDraft | None:
    """Call the declared function that has most words in common with the question."""
    if not request.functions:
        return None
    question = word_stems(request.text)

    def common_words(tool: Mapping[str, JSON]) -> int:
        return len(question & word_stems(f"{tool['name']} {tool.get('description') or ''}"))

    function = max(request.functions, key=common_words)
    arguments = _preferred_values(function.get("parameters") or {}, request.text)
    return InteractionDraft([function_call(request, function["name"], arguments)])


def word_stems(text: str) -> set[str]:
    """Return the first letters of the words in a text, by which texts are compared."""
    words = _WORD.findall(_CAMEL_CASE.sub(r"\1 \2", text).lower())
    return {word[:6] for word in words if len(word) > 2}


def _preferred_values(schema: Mapping[str, JSON], text: str) -> dict[str, JSON]:
    """Return a value for every property, optional ones included.

    Strings get the names in the question, numbers its numbers, in order; other properties get the
    example in their description, or a generated value.
    """
    values = _document(schema)
    preferred: dict[str, JSON] = dict(values) if isinstance(values, dict) else {}
    names: list[JSON] = list(names_in(text))
    numbers: list[JSON] = list(numbers_in(text))
    candidates = {"string": names, "number": numbers, "integer": numbers}
    for name, part in (schema.get("properties") or {}).items():
        if not isinstance(part, dict):
            continue
        kind = str(part.get("type"))
        available = candidates.get(kind, [])
        example = _EXAMPLE.search(str(part.get("description", "")))
        examples = [example[1].strip()] if example and kind == "string" else []
        options = (value for value in [*available, *examples] if _document(part, value) == value)
        value = next(options, None)
        if value is not None:
            preferred[name] = value
        if value in available:
            available.remove(value)
    return preferred


def _document(schema: JSON, preferred: JSON = MISSING) -> JSON:
    """Return a valid document for a schema, None if there is none."""
    try:
        return sample_document(schema, preferred)
    except NoDocument:
        return None


def _structured_output(request: InteractionRequest) -> InteractionDraft | None:
    """Return a valid document for the requested schema."""
    schema = response_schema(request.body)
    if schema is None:
        return None
    preferred: JSON = {"answer": _echo(request)}
    if isinstance(schema, dict):
        preferred = _preferred_values(schema, request.text)
    steps = [json_output(request, preferred)]
    if "google_search" in request.tools:
        steps += _search(request)
    return InteractionDraft(steps)


def _searched_answer(request: InteractionRequest) -> InteractionDraft | None:
    """Return an answer with a citation for each sentence, and the search behind it."""
    if "google_search" not in request.tools:
        return None
    question = shorten(request.text, 120)
    first = f"According to the sources found for “{question}”, there is one plain answer."
    second = "A second source agrees with it."
    text = f"{first} {second}"
    citations = [
        url_citation(text, first, "https://example.com/plain-answer", "example.com"),
        url_citation(text, second, "https://example.org/agrees", "example.org"),
    ]
    return InteractionDraft([text_output(text, citations), *_search(request)])


def _search(request: InteractionRequest) -> list[dict[str, JSON]]:
    call, result = search_steps([shorten(request.text, 120)], search_type="web_search")
    return [call, {**result, "is_error": False}]


def _read_pages(request: InteractionRequest) -> InteractionDraft | None:
    """Read the pages linked in the question, if the tool url_context is declared."""
    urls = [match.rstrip(".,;:!?") for match in _URL.findall(request.text)]
    if "url_context" not in request.tools or not urls:
        return None
    text = f"I read {plural(len(urls), 'page')}: {', '.join(urls)}."
    citations = [url_citation(text, url, url, url.split("/")[2]) for url in dict.fromkeys(urls)]
    pages = [{"url": url, "status": "success"} for url in urls]
    return InteractionDraft(
        [
            {"type": "url_context_call", "arguments": {"urls": urls}},
            {"type": "url_context_result", "result": pages},
            text_output(text, citations),
        ]
    )


def _run_code(request: InteractionRequest) -> InteractionDraft | None:
    """Execute a line of code, for an agent or if the tool code_execution is declared."""
    if not request.agent and "code_execution" not in request.tools:
        return None
    count = count_tokens(request.text)
    code = f"words = {count}\nprint(f'The task has {{words}} words.')"
    result = f"The task has {count} words."
    text = f"Done. {result}"
    if request.environment_id:
        text += f" I worked in the environment {request.environment_id}."
    instruction = shorten(request.body.get("system_instruction", ""), 160)
    if request.agent and instruction:
        text += f" My instructions are: “{instruction}”"
    return InteractionDraft([*code_execution_steps(code, result + "\n"), text_output(text)])


def _list_media(request: InteractionRequest) -> InteractionDraft | None:
    """List the media attached to the question."""
    if not request.attached:
        return None
    counts = Counter(block["type"] for block in request.attached)
    files = " and ".join(plural(count, f"{kind} file") for kind, count in counts.items())
    return InteractionDraft([text_output(f"I received {files}. {_echo(request)}")])


def _echo(request: InteractionRequest) -> str:
    """Repeat the question."""
    question = shorten(request.text, 160)
    if not question:
        return "You sent no text."
    before = ""
    if len(request.texts) > 1 and request.texts[-2]:
        before = f" Before that you said: “{shorten(request.texts[-2], 160)}”."
    return f"You said: “{question}”.{before} This is a default answer from evalkit serve."


def names_in(text: str) -> Iterator[str]:
    """Yield the proper names in an English text: sequences of capitalized words.

    A word that is capitalized only because it begins a sentence is not part of a name.
    """
    starts = {0, *(match.end() for match in _SENTENCE_END.finditer(text))}
    for match in _NAME.finditer(text):
        name = match.group()
        first, _, rest = name.partition(" ")
        if match.start() in starts and (first in _FIRST_WORDS or not rest):
            name = rest
        if name:
            yield name


def numbers_in(text: str) -> list[float]:
    """Return the numbers written in digits in a text, whole ones as integers."""
    return [float(digits) if "." in digits else int(digits) for digits in _NUMBER.findall(text)]


_ANSWERS: tuple[Callable[[InteractionRequest], InteractionDraft | None], ...] = (
    judge_answer,
    simulator_answer,
    _report_results,
    _image,
    _audio,
    _video,
    _call_function,
    _structured_output,
    _searched_answer,
    _read_pages,
    _run_code,
    _list_media,
)
