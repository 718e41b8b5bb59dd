"""Encodings in which services, models and programs write a secret, and kinds of secrets."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote

SECRETS = {
    "API key": "AIzaSyD-planted_key0123456789abcdEFGHij",
    "base64 secret": "Zm9v/YmFy+QUJDRA0123456789xyzXYZ==",
    "hex token": "3f2a9c01d4e5b6a7988796a5b4c3d2e1",
    "password": 'p@ss&w0rd<9>"quoted"\\%41_x',
    "unicode": "schlüssel-für-Ämter-42-öffnen",
    "JWT": "eyJhbGciOiJI.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4",
}


def markdown(text: str) -> str:
    """Return a text with every mark of Markdown escaped."""
    return "".join(f"\\{char}" if char in r"\`*_{}[]()#+-.!|/=&%;" else char for char in text)


def json_escaped(text: str, every: int = 1, digits: str = "04x") -> str:
    """Return a text with JSON escapes; a backslash always needs one."""
    units = [
        "".join(
            f"\\u{int.from_bytes(unit, 'big'):{digits}}"
            for unit in (
                char.encode("utf-16-be")[at : at + 2]
                for at in range(0, len(char.encode("utf-16-be")), 2)
            )
        )
        for char in text
    ]
    return "".join(
        unit if number % every == 0 or char in '\\"' else char
        for number, (char, unit) in enumerate(zip(text, units, strict=True))
    )


def percent(text: str, every: int = 1, digits: str = "02X") -> str:
    """Return a text with percent escapes; a percent sign always needs one."""
    return "".join(
        "".join(f"%{byte:{digits}}" for byte in char.encode())
        if number % every == 0 or char == "%" or not char.isascii()
        else char
        for number, char in enumerate(text)
    )


def b64(text: str, *, before: str = "", after: str = "", width: int = 0) -> str:
    """Return a text in Base64, between others, on lines of a width."""
    encoded = base64.b64encode(f"{before}{text}{after}".encode()).decode()
    if not width:
        return encoded
    return "\r\n".join(encoded[at : at + width] for at in range(0, len(encoded), width))


def url_safe(encoded: str) -> str:
    """Return Base64 in the alphabet for URLs, without padding."""
    return encoded.replace("+", "-").replace("/", "_").rstrip("=")


LINE = "some words that come before it and fill more than half a line: "
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda text: quote(text, safe=""),
    "percent, every character": percent,
    "percent, lower case": lambda text: percent(text, digits="02x"),
    "percent, in part": lambda text: percent(text, every=3),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, every character": json_escaped,
    "JSON, in part": lambda text: json_escaped(text, every=2, digits="04X"),
    "base64": b64,
    "base64 without padding": lambda text: b64(text).rstrip("="),
    "base64 for URLs": lambda text: url_safe(b64(text)),
    "base64, offset 1": lambda text: b64(text, before="x", after=" end"),
    "base64, offset 2": lambda text: url_safe(b64(text, before="xy", after="z")),
    "base64, lines of 64": lambda text: b64(text, before=LINE, after=LINE, width=64),
    "base64, lines of 76": lambda text: b64(text, before=LINE, after=LINE, width=76),
    "hex": lambda text: text.encode().hex(),
    "hex, upper case": lambda text: text.encode().hex().upper(),
    "HTML": html.escape,
    "HTML, decimal": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(char):x};" for char in text),
    "HTML without semicolons": lambda text: "".join(f"&#{ord(char)}" for char in text),
    "HTML in a query": lambda text: html.escape("".join(f"&#x{ord(char):06X};" for char in text)),
    "Markdown": markdown,
    "octal": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "percent, of JavaScript": lambda text: "".join(f"%u{ord(char):04X}" for char in text),
    "hex, an array": lambda text: ", ".join(f"0x{byte:02x}" for byte in text.encode()),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
}
