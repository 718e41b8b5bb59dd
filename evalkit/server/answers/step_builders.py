"""Build the raw steps that rules and default answers consist of, with pictures and sounds. Pure.

Ids, the leading thought and signatures are added later, by ``interaction``. Pictures and sounds are
real files, drawn with the standard library: an imaging library would be a dependency for a picture
that is only a placeholder. Formats: W3C PNG specification, third edition; WAV: RIFF, PCM.
"""

import base64
import hashlib
import html
import io
import itertools
import json
import math
import struct
import wave
import zlib
from collections.abc import Iterator

from evalkit._lib.json import JSON
from evalkit.protocol.step_reader import RawStep
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.requests.create import response_schema
from evalkit.server.requests.error_response import bad_request
from evalkit.server.schema_documents import NoDocument, sample_document

_PALETTES = (
    ((38, 20, 72), (255, 122, 64)),
    ((16, 32, 88), (255, 168, 92)),
    ((64, 16, 64), (255, 96, 112)),
    ((20, 44, 72), (248, 196, 112)),
)
"""Colors of the sky: at the top, at the horizon."""
SIZES = {
    "16:9": (320, 180),
    "9:16": (180, 320),
    "1:1": (240, 240),
    "4:3": (320, 240),
    "3:4": (240, 320),
    "3:2": (318, 212),
    "2:3": (212, 318),
    "4:5": (240, 300),
    "5:4": (300, 240),
    "21:9": (336, 144),
}
"""Width and height of a picture by the ``aspect_ratio`` of ``response_format``."""
# One second of one color: MP4 with an H.264 key frame, compressed.
_VIDEO = (
    "eNpjYGBQSCupLMgszs9lYGBiANFAbJRYlmyYW2BiCBR7l5ufX8bAwJCTW5aRwoACHCCYEYwQgBFVFTrfgQEvYAIi25"
    "KixGwgO6YkG2wnM6ZpWEwhxl4QoQLmqqSmlBQDaZnUnOIShA4HJL2MW3NTMhOBDIXcFOx+Dz0C5uhmpOQUwWTKMlNS"
    "kVWGAfn5Hol5KTmpIDWMCbmZeWlAhkhZLthQZGeqpEDkZFKKUtOQvMFTWpSjAGEzKhSXJOUA2XuKS4pTkNSsAUUajq"
    "AAuVWFwQNIe+BUgQ4k/v8HkqCk4MyYIsD1/yGDaDqQXrOj//MDJVCcMIEIFg5GBraMd8yTTmz4++MHSJ9AQWJxAdQG"
    "EBZJKimCBrDwBqAQB8js4hJw4DMg1IEDXgbop2RUcYQ5QLkqqJwiQiw5H6GeWQ5I25amlIAizTQ3FUyD1SNHEDBSix"
    "ILCnKQPcuRCUkFHGlFqaDY08xNSQTxZVM7Wlj2/7PefGCxRsudmSe5trZkLXrkbRRtabfM5iYAHkxwpw=="
)
_SUGGESTIONS = (
    "<style>.chip{border:1px solid #8886;border-radius:1em;padding:.25em .75em;"
    "font:14px sans-serif}</style>"
    '<div class="carousel"><span class="chip">{query}</span></div>'
)


def model_output(*blocks: dict[str, JSON]) -> RawStep:
    """Return a ``model_output`` step of content blocks."""
    return {"type": "model_output", "content": list(blocks)}


def text_output(text: str, annotations: list[dict[str, JSON]] | None = None) -> RawStep:
    """Return a ``model_output`` step of one text."""
    return model_output(text_block(text, annotations))


def text_block(text: str, annotations: list[dict[str, JSON]] | None = None) -> dict[str, JSON]:
    """Return a text block; it has ``annotations`` only if there are any."""
    return {"type": "text", "text": text, **({"annotations": annotations} if annotations else {})}


def url_citation(text: str, words: str, url: str, title: str) -> dict[str, JSON]:
    """Return a ``url_citation`` of the first occurrence of ``words`` in ``text``.

    Indexes are UTF-8 byte offsets, the end is exclusive. Raises ValueError if there is none.
    """
    start = text.find(words)
    if start < 0:
        raise ValueError(f"the cited words {words!r} are not in the text")
    start_index = len(text[:start].encode("utf-8", "surrogatepass"))
    return {
        "type": "url_citation",
        "url": url,
        "title": title,
        "start_index": start_index,
        "end_index": start_index + len(words.encode("utf-8", "surrogatepass")),
    }


def search_steps(
    queries: list[str], suggestions: str | None = None, **fields: JSON
) -> list[RawStep]:
    """Return a search call and its result; ``fields`` are further fields of the call.

    ``suggestions`` is the HTML of the result.
    """
    if suggestions is None:
        suggestions = _SUGGESTIONS.replace("{query}", html.escape(queries[0] if queries else ""))
    return [
        {"type": "google_search_call", "arguments": {"queries": queries}, **fields},
        {"type": "google_search_result", "result": [{"search_suggestions": suggestions}]},
    ]


def code_execution_steps(
    code: str, result: str, language: str = "python", *, is_error: bool = False
) -> list[RawStep]:
    """Return a code execution and its result."""
    call = {"type": "code_execution_call", "arguments": {"language": language, "code": code}}
    error = {"is_error": True} if is_error else {}
    return [call, {"type": "code_execution_result", "result": result, **error}]


def image_block(about: str, width: int = 320, height: int = 180) -> dict[str, JSON]:
    """Return an image block with a real PNG."""
    data = base64.b64encode(skyline(about, width, height)).decode()
    return {"type": "image", "data": data, "mime_type": "image/png"}


def function_call(request: InteractionRequest, name: str, arguments: JSON) -> RawStep:
    """Return a function call, its arguments as close to ``arguments`` as its declaration allows."""
    for tool in request.functions:
        if tool["name"] == name and tool.get("parameters") is not None:
            try:
                arguments = sample_document(tool["parameters"], arguments)
            except NoDocument as error:
                raise bad_request(
                    f"no arguments for the function '{name}' were found: {error}"
                ) from error
    is_object = isinstance(arguments, dict)
    return {"type": "function_call", "name": name, "arguments": arguments if is_object else {}}


def json_output(request: InteractionRequest, preferred: JSON) -> RawStep:
    """Return an output with one JSON document, valid against the schema of the request if any."""
    schema = response_schema(request.body)
    try:
        document = preferred if schema is None else sample_document(schema, preferred)
    except NoDocument as error:
        raise bad_request(f"no answer for 'response_format.schema' was found: {error}") from error
    return text_output(json.dumps(document, indent=2, ensure_ascii=False))


def skyline(about: str, width: int = 320, height: int = 180) -> bytes:
    """Return a PNG (8-bit RGB) of a skyline at sunset, chosen by the words of ``about``."""
    words = " ".join(about.split()).casefold()
    digest = hashlib.sha256(words.encode("utf-8", "surrogatepass")).digest()
    top_color, horizon_color = _PALETTES[digest[0] % len(_PALETTES)]
    sun_x, sun_y = width * (64 + digest[1] // 2) // 255, height * 3 // 5
    radius = max(4, height // 7)
    houses = list(_houses(digest, width, height))
    rows = bytearray()
    for y in range(height):
        share = y / max(1, height - 1)
        sky = bytes(
            round(top + (horizon - top) * share)
            for top, horizon in zip(top_color, horizon_color, strict=True)
        )
        row = bytearray(sky * width)
        half = math.isqrt(max(0, radius * radius - (y - sun_y) ** 2))
        left, right = max(0, sun_x - half), min(width, sun_x + half)
        row[3 * left : 3 * right] = bytes((255, 232, 168)) * (right - left)
        for left, right, roof, shade in houses:
            if y >= roof:
                row[3 * left : 3 * right] = bytes((shade, shade, shade + 12)) * (right - left)
        rows += b"\0" + row
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _png_chunk(b"IHDR", header)
        + _png_chunk(b"IDAT", zlib.compress(bytes(rows), 9))
        + _png_chunk(b"IEND", b"")
    )


def tone(about: str) -> bytes:
    """Return a WAV file (mono, 16 bit) of one soft tone, its pitch chosen by ``about``."""
    rate, count = 8_000, 4_000
    pitch = 220 + hashlib.sha256(about.encode("utf-8", "surrogatepass")).digest()[0]
    data = b"".join(
        struct.pack(
            "<h",
            round(
                8_000
                * math.sin(2 * math.pi * pitch * index / rate)
                * math.sin(math.pi * index / count)
            ),
        )
        for index in range(count)
    )
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, rate, count, "NONE", ""))
        writer.writeframes(data)
    return file.getvalue()


def video() -> bytes:
    """Return an MP4 file of one second, 64 by 36 pixels, always the same."""
    return zlib.decompress(base64.b64decode(_VIDEO))


def _houses(digest: bytes, width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield left, right, roof and shade of each house, from left to right."""
    left = 0
    for value in itertools.cycle(digest[2:] + digest[:2]):
        right = min(width, left + 14 + value % 23)
        yield left, right, height - height * (20 + value % 60) // 100, 18 + value % 24
        left = right
        if left >= width:
            return


def _png_chunk(name: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum
