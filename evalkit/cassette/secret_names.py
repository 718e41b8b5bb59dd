"""Names of fields, parameters and settings whose values are secrets. Pure.

The names are in ``protocol.wire_facts``. One of them also counts at the end of a longer name, such
as ``dbPassword``, if the value looks random.
"""

import re

from evalkit.protocol.wire_facts import CREDENTIAL_HEADERS, SECRET_FIELDS

TOKEN = "REDACTED"  # noqa: S105 - the replacement, not a secret
ANY_NAME = "|".join(name.replace("_", "[_-]?") for name in SECRET_FIELDS)
"""The names of secret fields as part of a regular expression."""

_NAMES = frozenset(name.replace("_", "") for name in SECRET_FIELDS)
_ENDS = (*_NAMES, "secret", "secrets")
_OFTEN_SECRET = frozenset({"token", "jwt", *(name.replace("-", "") for name in CREDENTIAL_HEADERS)})
_SCHEME = re.compile(r"(?i)(?:bearer|basic|token) +")
_LAST_WORD = re.compile(r"[\w-]+(?=\W*\Z)")
_RUN = re.compile(r"(?=[a-z]*[0-9])[a-z0-9]{16,}|[0-9a-f]{8}-[0-9a-f-]{27}")
_MEDIA_TYPE = re.compile(r"[a-z]+/")


def looks_random(value: str) -> bool:
    """Return whether a value of a secret field is so random that it is nothing else elsewhere.

    The value of a field may be a media type, a region or a date, too.
    """
    if len(value) < 16 or any(map(str.isspace, value)) or "://" in value:
        return False
    if _MEDIA_TYPE.match(value):
        return False
    kinds = (str.isupper, str.islower, str.isdigit)
    return all(any(map(kind, value)) for kind in kinds) or _RUN.search(value) is not None


def plain_name(name: str) -> str:
    """Return the last word of a name in the form in which names are compared."""
    last = _LAST_WORD.search(name) if "." in name or "[" in name else None
    return (last[0] if last else name).replace("_", "").replace("-", "").lower()


def is_secret_field(name: str, value: str) -> bool:
    """Return whether a field of this name and value is a secret."""
    plain = plain_name(name)
    if plain in _NAMES:
        return True
    is_often = plain in _OFTEN_SECRET or plain.endswith(_ENDS)
    return is_often and looks_random(_SCHEME.sub("", value, count=1))
