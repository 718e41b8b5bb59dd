"""Content codings of bodies (RFC 9110, section 8.4), undone within a limit. Pure.

A few hundred kilobytes of gzip may open to gigabytes. So every coding is undone piece by piece, and
ends with TooLarge where more comes out than the limit ``response`` allows.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NamedTuple

from evalkit._lib.limits import TooLarge, exceeded, limits
from evalkit.cassette.bodies import to_bytes

_PIECE = 256 * 1024
_CODINGS = ("gzip", "x-gzip", "deflate", "br", "zstd", "identity", "")
_INFLATED = ("gzip", "x-gzip", "deflate")
STREAMED_CODINGS = (*_INFLATED, "identity", "")
"""Codings that can be undone while a stream arrives."""
# None is a dependency: a client asks for a coding only if it has one of its libraries.
_LIBRARIES = {
    "br": ("brotli", "brotlicffi"),
    "zstd": ("compression.zstd", "backports.zstd", "zstandard"),
}
_GZIP = b"\x1f\x8b"
_MAX_CODINGS = 4
# Old versions of the libraries for brotli cannot limit their output: at most 16 MB for a few bytes.
_BROTLI_INPUT = 8


def codings_of(headers: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the content codings in headers, in the order in which they were applied."""
    return [
        coding.strip().lower()
        for name, values in headers.items()
        if name.lower() == "content-encoding"
        for value in values
        for coding in value.split(",")
    ]


def decompress_body(body: str | bytes, headers: Mapping[str, Sequence[str]]) -> str | bytes:
    """Undo the content codings in the headers.

    A body that is not compressed any more is returned unchanged. Raises ValueError for an unknown
    coding, and TooLarge, which is one.
    """
    codings = codings_of(headers)
    unknown = [coding for coding in codings if coding not in _CODINGS]
    if unknown:
        raise ValueError(
            f"the body is compressed with {unknown[0]!r}, which cannot be read; "
            "record it with decode_compressed_response=True"
        )
    if len(codings) > _MAX_CODINGS:
        raise ValueError(f"the body is compressed {len(codings)} times (at most {_MAX_CODINGS})")
    for coding in reversed(codings):
        if isinstance(body, bytes) and coding not in ("identity", ""):
            body = _decompress(body, coding)
    return body


class CompressedBody(NamedTuple):
    """A body as it is read. ``format`` is what the bytes show it to be, where no header says so."""

    plain: str | bytes
    format: str = ""

    def compressed(self, plain: str | bytes) -> str | bytes:
        """Return another body in the same format."""
        if not self.format:
            return plain
        data = plain if isinstance(plain, bytes) else to_bytes(plain)
        return gzip.compress(data, mtime=0) if self.format == "gzip" else zlib.compress(data)


def compressed_body(body: str | bytes, headers: Mapping[str, Sequence[str]]) -> CompressedBody:
    """Decompress a body by its headers or, without one, by its first bytes, as those of a file.

    Raises ValueError as :func:`decompress_body` does.
    """
    if not isinstance(body, bytes) or any(codings_of(headers)):
        return CompressedBody(decompress_body(body, headers))
    if found := format_of(body):
        with suppress(ValueError):
            plain = decompress_body(body, {"content-encoding": [found]})
            if plain is not body:
                return CompressedBody(plain, found)
    return CompressedBody(body)


def format_of(data: bytes) -> str:
    """Return the coding that a body begins with, an empty text for a plain one."""
    if data.startswith(_GZIP):
        return "gzip"
    # RFC 1950, section 2.2: the method, and a check of both bytes.
    return "deflate" if data[:1] == b"x" and int.from_bytes(data[:2]) % 31 == 0 else ""


class Inflater:
    """Undoes ``gzip`` or ``deflate`` of a body that arrives in chunks; a piece is 256 KB at most.

    Any other coding is passed through. ``is_complete`` is whether the end of the data was seen.
    """

    def __init__(self, coding: str) -> None:
        self._inflater: Any = None
        self._is_plain = coding not in _INFLATED
        self.is_complete = self._is_plain

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes decompress to. Raises zlib.error for damaged data."""
        while data:
            if self._is_plain:
                yield data
                return
            if self._inflater is None:
                self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
                try:
                    piece = self._inflater.decompress(data, _PIECE)
                except zlib.error:
                    # Some servers send the raw format (RFC 9110, section 8.4.1.2).
                    self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
                    piece = self._inflater.decompress(data, _PIECE)
            else:
                piece = self._inflater.decompress(data, _PIECE)
            if piece:
                yield piece
            data = self._inflater.unconsumed_tail
            self.is_complete = self._inflater.eof
            if self._inflater.eof:
                # Another member of a gzip file may follow (RFC 1952, section 2.2).
                rest = self._inflater.unused_data
                if not rest.startswith(_GZIP):
                    return
                data, self._inflater = rest, None


def _decompress(body: bytes, coding: str) -> bytes:
    # vcrpy leaves the header if the client decompressed the body already, so a body that cannot be
    # decompressed is returned unchanged.
    if coding in _INFLATED:
        inflater = Inflater(coding)
        with suppress(zlib.error):
            data = joined(inflater.feed(body))
            return data if inflater.is_complete else body
        return body
    names = _LIBRARIES[coding]
    for name in names:
        try:
            library = import_module(name)
        except ImportError:
            continue
        pieces = _brotli_pieces if coding == "br" else _zstd_pieces
        try:
            return joined(pieces(library, body))
        except TooLarge:
            raise
        except Exception:  # noqa: BLE001 - each library has an exception of its own
            return body
    raise ValueError(
        f"the body is compressed with {coding!r}; install {names[-1]} to read it, "
        "or record it with decode_compressed_response=True"
    )


def joined(pieces: Iterator[bytes], limit_name: str = "response") -> bytes:
    """Return decompressed pieces as one value. Raises TooLarge beyond the limit of that name."""
    limit = getattr(limits(), limit_name)
    parts, size = [], 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise TooLarge(exceeded(limit_name, "it is too large after decompression"))
        parts.append(piece)
    return b"".join(parts)


def _brotli_pieces(library: Any, body: bytes) -> Iterator[bytes]:
    decompressor = library.Decompressor()
    process: Callable[..., bytes] = getattr(decompressor, "process", None) or (
        decompressor.decompress
    )
    try:
        yield process(body, output_buffer_limit=_PIECE)
        while not decompressor.is_finished() and (
            piece := process(b"", output_buffer_limit=_PIECE)
        ):
            yield piece
    except TypeError:
        for start in range(0, len(body), _BROTLI_INPUT):
            yield process(body[start : start + _BROTLI_INPUT])
    if not decompressor.is_finished():
        raise ValueError("the data end early")


def _zstd_pieces(library: Any, body: bytes) -> Iterator[bytes]:
    if hasattr(library, "ZstdFile"):
        reader: Any = library.ZstdFile(io.BytesIO(body))
    else:
        # Its ``decompress`` needs a size that streams do not have, and reads one frame.
        reader = library.ZstdDecompressor().stream_reader(body, read_across_frames=True)
    while piece := reader.read(_PIECE):
        yield piece
