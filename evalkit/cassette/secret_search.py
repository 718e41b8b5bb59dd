"""Find secrets in a text as a reader may decode it. Pure.

A reader, or a program, undoes escapes (percent, JSON, HTML, Markdown; also of each other), ignores
white space and invisible characters, and decodes Base64 and hexadecimal digits, wherever they
begin. So does the search: a secret is found through up to three of these layers, and the result is
its position in the text before any of them.

Nearly every text has no secret, and every result is searched. So what is searched for codes are the
different runs of letters and digits that are long enough, all at once and in C; only where one has
a secret are the positions computed.
"""

import binascii
import html
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from evalkit._lib.text import INVISIBLE

SEPARATOR = '","'
"""What is between texts that are searched together: no layer removes or decodes it."""

_ESCAPE = re.compile(
    r"\\(?:\\*(?:u(d[89ab][0-9a-f]{2})\\+u(d[c-f][0-9a-f]{2})"
    r"|u([0-9a-f]{4})|u\{0*([0-9a-f]{1,5})\}|U000([0-9a-f]{5})|x([0-9a-f]{2})"
    r"|([0-3][0-7]{2})|([nrtbf])))"
    r"|%(?:25)*(?:u([0-9a-f]{4})|([0-7][0-9a-f])|([c-f][0-9a-f](?:%(?:25)*[89ab][0-9a-f]){1,3}))"
    r"|&(?:amp;)*(\#[0-9]{1,7};?|\#x[0-9a-f]{1,6};?|[a-z]{2,8};)",
    re.IGNORECASE,
)
# Markdown may escape the marks of another escape.
_ESCAPED_MARK = re.compile(r"\\\\*(?=[%&#;])")
_MARKS = ("\\", "%", "&")
# Marks of Markdown, tags of HTML and colors of a terminal show as nothing, too.
_IGNORED = re.compile(
    r"[\s\\*~`\x00]+|\x1b\[[0-9;]*m"
    r"""|</?[A-Za-z](?:[^<>"]|"(?![,:]")){0,80}>"""  # no tag goes on after a string of JSON
    rf"|{INVISIBLE}+"
)
_IGNORED_ASCII = bytes(code for code in range(128) if _IGNORED.match(chr(code)))
_PRINTABLE = re.compile(rb"[\t\n\r -~]{16,}")
_UTF16 = re.compile(rb"(?:[\t\n\r -~]\0){16,}[\t\n\r -~]?")
_TO_MARK = bytes(
    ord("x") if chr(code) in "\t\n\r" or 32 <= code < 127 else 0 for code in range(256)
)
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_BASE64 = bytes(
    ord({"-": "+", "_": "/"}.get(chr(code), chr(code) if chr(code) in _BASE64 else "A"))
    for code in range(256)
)
_TO_HEX_MARK = bytes(
    ord("x") if chr(code) in "0123456789abcdefABCDEFxX:,-" else 0 for code in range(256)
)
_TO_CODE = bytes(
    code if re.match(r"[A-Za-z0-9+/_:,-]", chr(code)) else ord(" ") for code in range(256)
)
_HEX_MARKS = re.compile(rb"x{32,}")
_HEX_RUN = re.compile(r"(?:(?:0[xX])?[0-9a-fA-F]{2}[:,-]?){16,}")
_MAX_ESCAPES = 3
_MAX_DECODINGS = 2


class Match(NamedTuple):
    """Where a secret is in a text. ``coding`` is what it is encoded in as a whole, if anything."""

    start: int
    end: int
    coding: str = ""


class SecretSearch:
    """Searches texts for some secrets. Each is at least 16 characters, so none occurs by chance."""

    def __init__(self, secrets: Iterable[str]) -> None:
        needles: dict[str, None] = {}
        for secret in secrets:
            # A secret may look like an escape itself, and a space may be a plus in a query.
            for text in (secret, secret.replace(" ", "+"), *_unescaped(secret)):
                shown = _IGNORED.sub("", text)
                for needle in (shown, _latin(shown), _IGNORED.sub("", _latin(shown))):
                    needles[needle] = None
        self._needles = tuple(sorted(filter(None, needles), key=len, reverse=True))
        self._shortest = min(map(len, self._needles), default=0)
        self._has_quote = any('"' in needle for needle in self._needles)

    def has_secret(self, text: str) -> bool:
        """Return whether a text has a secret: the same as ``bool(find(text))``, but fast.

        Half of a document is repeated, too short for a secret, or has no escape. So this searches
        its different strings, and after each layer of escapes those that changed.
        """
        if _ESCAPED_MARK.search(text):
            text = SEPARATOR.join((text, _ESCAPED_MARK.sub("", text)))
        searched: set[str] = set()
        without: set[bytes] = set()
        for _ in range(_MAX_ESCAPES + 1):
            strings = self._strings(text) - searched
            shown = _Layer(SEPARATOR.join(strings), _IGNORED, "").result
            if any(self._plain(shown)) or any(self._decoded(shown, _MAX_DECODINGS, without)):
                return True
            searched |= strings
            escaped = [text for text in strings if any(mark in text for mark in _MARKS)]
            if not escaped:
                return False
            text = _ESCAPE.sub(_unescape, SEPARATOR.join(escaped))
        return False

    def _strings(self, text: str) -> set[str]:
        """Return the parts of a text that a secret may be in."""
        if self._has_quote:
            return {text}
        strings = text.replace('":"', SEPARATOR).split(SEPARATOR)
        return {string for string in strings if len(string) >= self._shortest}

    def find(self, text: str) -> list[Match]:
        """Return the positions of all secrets, in order and without overlaps."""
        found: list[Match] = []
        for match in sorted(self._search(text, _MAX_DECODINGS)):
            last = found[-1] if found else None
            if last is None or match.start >= last.end:
                found.append(match)
            elif match.end > last.end:
                found[-1] = Match(last.start, match.end, last.coding and match.coding)
        return found

    def _search(self, text: str, decodings: int) -> Iterator[Match]:
        yield from self._unescaped(text, [], decodings)
        if "\\" in text and _ESCAPED_MARK.search(text):
            layer = _Layer(text, _ESCAPED_MARK, "")
            yield from self._unescaped(layer.result, [layer], decodings)

    def _unescaped(self, text: str, layers: list["_Layer"], decodings: int) -> Iterator[Match]:
        for _ in range(_MAX_ESCAPES + 1):
            ignored = _Layer(text, _IGNORED, "")
            for match in self._plain(ignored.result):
                yield _source(match, [*layers, ignored])
            for match in self._decoded(ignored.result, decodings, set()):
                yield _source(match, [*layers, ignored])
            if not any(mark in text for mark in _MARKS):
                return
            layer = _Layer(text, _ESCAPE, _unescape)
            if layer.result == text:
                return
            layers = [*layers, layer]
            text = layer.result

    def _plain(self, text: str) -> Iterator[Match]:
        for needle in self._needles:
            at = text.find(needle)
            while at >= 0:
                yield Match(at, at + len(needle))
                at = text.find(needle, at + len(needle))

    def _decoded(self, text: str, decodings: int, without: set[bytes]) -> Iterator[Match]:
        """Yield the secrets in what is Base64 or hexadecimal digits in a text.

        Runs ``without`` a secret are skipped, and further ones are added.
        """
        if not decodings:
            return
        # One byte for each character keeps the positions.
        data = text.encode("latin-1", "replace")
        shortest = self._shortest * 4 // 3
        runs = {run for run in data.translate(_TO_CODE).split() if len(run) >= shortest} - without
        if any(self._in_codes(b" ".join(runs), decodings)):
            yield from self._in_codes(data, decodings)
        else:
            without |= runs

    def _in_codes(self, data: bytes, decodings: int) -> Iterator[Match]:
        letters = data.translate(_TO_BASE64) + b"AAA"
        for offset in range(4):
            whole = len(letters) - (len(letters) - offset) % 4
            decoded = binascii.a2b_base64(letters[offset:whole])
            for start, end, _ in self._nested(decoded, decodings):
                last = min(offset - (-end * 4 // 3), len(data))
                yield Match(offset + start * 4 // 3, last, "base64")
        hex_marks = data.translate(_TO_HEX_MARK)
        if b"x" * 32 not in hex_marks:
            return
        for part in _HEX_MARKS.finditer(hex_marks):
            for run in _HEX_RUN.finditer(data[part.start() : part.end()].decode()):
                at = part.start() + run.start()
                colons = _Layer(run[0], _COLONS, "")
                digits = colons.result.encode()
                for offset in range(2):
                    whole = len(digits) - (len(digits) - offset) % 2
                    decoded = binascii.unhexlify(digits[offset:whole])
                    for start, end, _ in self._nested(decoded, decodings):
                        inner = Match(offset + 2 * start, offset + 2 * end, "hex")
                        first, last, coding = _source(inner, [colons])
                        yield Match(at + first, at + last, coding)

    def _nested(self, decoded: bytes, decodings: int) -> Iterator[Match]:
        text = decoded.decode("latin-1")
        yield from self._plain(text)
        if "\0" in text and any(needle in text.replace("\0", "") for needle in self._needles):
            halved = _Layer(text, _ZERO, "")
            for match in self._plain(halved.result):
                yield _source(match, [halved])
        # Bytes that were not text give random bytes, and only texts are decoded further.
        marks = decoded.translate(_TO_MARK)
        if b"x" * 16 in marks:
            for run in _PRINTABLE.finditer(decoded):
                for start, end, coding in self._search(run[0].decode("ascii"), decodings - 1):
                    yield Match(run.start() + start, run.start() + end, coding)
        if b"x\0" * 16 in marks:
            for run in _UTF16.finditer(decoded):
                for start, end, coding in self._search(run[0][::2].decode("ascii"), decodings - 1):
                    yield Match(run.start() + 2 * start, run.start() + 2 * end, coding)


_ZERO = re.compile("\0")
_COLONS = re.compile("0[xX]|[:,-]")


class _Layer:
    """A text in which a pattern is replaced, and the way back to positions in the text before."""

    def __init__(
        self, text: str, pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str] | str
    ) -> None:
        self._text, self._pattern, self._replacement = text, pattern, replacement
        if pattern is _IGNORED and text.isascii() and "<" not in text and "\x1b" not in text:
            self.result = text.encode().translate(None, _IGNORED_ASCII).decode()
        else:
            self.result = pattern.sub(replacement, text)
        self._starts: list[int] = []
        self._edits: list[tuple[int, int, int]] = []

    def source(self, start: int, end: int) -> tuple[int, int]:
        """Return the part of the text that a part of the result was made of."""
        if not self._edits:
            shift = 0
            for match in self._pattern.finditer(self._text):
                length = len(self._replacement(match)) if callable(self._replacement) else 0
                self._starts.append(match.start() + shift)
                self._edits.append((match.start(), match.end(), length))
                shift += length - len(match[0])
        return self._position(start, after=False), self._position(end - 1, after=True)

    def _position(self, at: int, *, after: bool) -> int:
        """Return where the character ``at`` of the result begins or, ``after``, ends."""
        number = bisect_right(self._starts, at) - 1
        if number < 0:
            return at + after
        start, end, length = self._edits[number]
        if at < self._starts[number] + length:
            return end if after else start
        return end + at - self._starts[number] - length + after


def _source(match: Match, layers: list[_Layer]) -> Match:
    start, end = match.start, match.end
    for layer in reversed(layers):
        start, end = layer.source(start, end)
    return Match(start, end, match.coding)


def _unescape(match: re.Match[str]) -> str:
    high, low, *codes, octal, space, legacy, byte, utf8, entity = match.groups()
    if code := next(filter(None, (*codes, legacy, byte)), None):
        return chr(int(code, 16))
    if octal:
        return chr(int(octal, 8))
    if space:
        return " "
    if high:
        return bytes.fromhex(high + low).decode("utf-16-be", "replace")
    if utf8:
        return bytes.fromhex(utf8.replace("%25", "").replace("%", "")).decode("utf-8", "replace")
    return html.unescape(f"&{entity}")


def _unescaped(text: str) -> Iterator[str]:
    for _ in range(_MAX_ESCAPES):
        text = _ESCAPE.sub(_unescape, text)
        yield text


def _latin(text: str) -> str:
    """Return a text as the decoding of its bytes looks, one character for each byte."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1")
