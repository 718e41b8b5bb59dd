"""Values that are secret because of the name before them, in texts that are not JSON. Pure.

A text may be a form, XML, a web page, or lines of settings. An assignment counts only if its value
looks random: a page may be *about* passwords.
"""

import re
from collections.abc import Callable
from urllib.parse import unquote_plus

from evalkit.cassette.secret_names import ANY_NAME, TOKEN, is_secret_field, looks_random
from evalkit.protocol.wire_facts import (
    KEY_PARAMETERS,
    OAUTH_CODE,
    OAUTH_REQUEST,
)

_FORM = re.compile(r"[^=&\s{}<>]{1,200}=[^&\r\n]*(?:&[^=&\s]{1,200}=[^&\r\n]*)*\s*")
_FORM_FIELD = re.compile(r"(?P<name>[^=&\s]+)=(?P<value>[^&\r\n]+)")
_FORM_PART = re.compile(
    r'(?is)content-disposition: *form-data;[^\r\n]*\bname="?(?P<name>[^"\s;]+)[^\r\n]*'
    r"(?:\r?\n[^\r\n]+)*\r?\n\r?\n(?P<value>.+?)(?=\r?\n--)"
)
_XML_VALUE = r"\s*(?:<(?:!\[CDATA\[|[a-z][^<>]*>)\s*)*(?P<value>[^<>]+?)\s*(?:\]\]>\s*)?</"
_XML_FIELD = re.compile(rf"(?i)<(?:\w+:)?(?P<name>{ANY_NAME})\b[^<>]*>{_XML_VALUE}")
# In a property list, and in a structure of XML-RPC.
_XML_PAIR = re.compile(rf"(?i)<(?:name|key)>\s*(?P<name>[\w.-]+)\s*</(?:name|key)>{_XML_VALUE}")
_TAG = re.compile(r"<[A-Za-z][\w:-]*\s[^<>]*>")
_ATTRIBUTE = re.compile(
    r"""(?i)(?<![\w-])(name|id|property|type|value|content)\s*=\s*"""
    r"""(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))"""
)
_ASSIGNMENT = re.compile(
    r"""(?i)(?<![\w.$-])(?P<name>[\w.$\[-]{3,60})["'\]]{0,2}\s*[=:]\s*["']?"""
    r"""(?:(?:bearer|basic|token)\s+)?(?P<value>[^\s"'`<>&;,=(){}\[\]\\]{16,})"""
)
_CHALLENGE = re.compile(r"(?i)\b(?:negotiate|ntlm|bearer|basic|token) +(?P<value>[\w.~+/-]{16,}=*)")

Redacted = tuple[str, list[str]]
"""A text without the values of secret fields, and these values."""


def redact_form(text: str) -> Redacted | None:
    """Redact the body of a form; return None for any other text."""
    if not _FORM.fullmatch(text):
        return None
    is_oauth = OAUTH_REQUEST in text

    def is_secret(name: str, value: str) -> bool:
        is_key = name.lower() in KEY_PARAMETERS or (is_oauth and name.lower() == OAUTH_CODE)
        return is_key or is_secret_field(name, value)

    return _redact(text, is_secret, _FORM_FIELD)


def redact_markup(text: str) -> Redacted:
    """Redact the parts of a form with files, and the elements of XML."""

    def is_secret(name: str, value: str) -> bool:
        return name.lower() in KEY_PARAMETERS or is_secret_field(name, value)

    return _redact(text, is_secret, _FORM_PART, _XML_FIELD)


def redact_assignments(text: str) -> Redacted:
    """Redact what a text assigns to secret names: in attributes, scripts, settings, messages."""
    clean, found = _redact(text, is_secret_field, _XML_PAIR)

    def redact_tag(tag: re.Match[str]) -> str:
        attributes = {one[1].lower(): one for one in _ATTRIBUTE.finditer(tag[0])}
        names = [attributes[name][one.lastindex or 0] for name in ("name", "id", "property")
                 if (one := attributes.get(name))]  # fmt: skip
        one = attributes.get("value") or attributes.get("content")
        is_password = "type" in attributes and "password" in attributes["type"][0].lower()
        if one is None or not (value := one[one.lastindex or 0]) or value == TOKEN:
            return tag[0]
        if not is_password and not any(is_secret_field(name, value) for name in names):
            return tag[0]
        found.append(value)
        start, end = one.span(one.lastindex or 0)
        return tag[0][:start] + TOKEN + tag[0][end:]

    clean = _TAG.sub(redact_tag, clean)

    def is_secret(name: str, value: str) -> bool:
        return looks_random(value) and is_secret_field(name, value)

    clean, more = _redact(clean, is_secret, _ASSIGNMENT)
    return clean, found + more


def redact_challenge(text: str) -> Redacted:
    """Redact a header that asks for credentials, which may contain some."""
    clean, found = redact_assignments(text)
    clean, more = _redact(clean, lambda name, value: looks_random(value), _CHALLENGE)
    return clean, found + more


def _redact(
    text: str, is_secret: Callable[[str, str], bool], *patterns: re.Pattern[str]
) -> Redacted:
    found: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        groups = match.groupdict()
        name, value = unquote_plus(groups.get("name", "")), unquote_plus(groups["value"]).strip()
        if value == TOKEN or not is_secret(name, value):
            return match[0]
        found.append(value)
        start, end = (at - match.start() for at in match.span("value"))
        return match[0][:start] + TOKEN + match[0][end:]

    for pattern in patterns:
        text = pattern.sub(replaced, text)
    return text, found
