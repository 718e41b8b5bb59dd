"""Allowed signers: OpenSSH's file of who may sign with which key (ssh-keygen(1), ALLOWED SIGNERS). Pure.

    ada@example.com namespaces="evalkit-signoff@v1" ssh-ed25519 AAAA… Ada's laptop
    *@qa.example.com cert-authority ssh-ed25519 AAAA…

For SSH signatures ``ssh-keygen`` reads the file and decides; this reading is used for two things it cannot do: to tell before a payload is
parsed whether a key is known at all, and to judge plain Ed25519 signatures. It follows the same rules: patterns with ``*``, ``?`` and ``!``,
``namespaces=``, ``valid-after=``, ``valid-before=``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import NamedTuple

from evalkit.errors import UsageError

NAMESPACE = "evalkit-signoff@v1"
"""The purpose of a signature; one made for anything else (git, a file) is not a sign-off."""
_LINE = re.compile(
    r"""(?: "(?P<quoted>[^"]*)" | (?P<bare>[^\s"]+) ) \s+
    (?: (?P<options> (?!(?:ssh|ecdsa|sk)-) (?: "[^"]*" | [^\s"] )+ ) \s+ )?
    [a-z0-9@.-]+ \s+ (?P<key>[A-Za-z0-9+/=]+) (?:\s.*)? \Z""",
    re.VERBOSE,
)
_OPTION = re.compile(r'([a-zA-Z-]+)(?:="([^"]*)"|=([^,"]*))?(?:,|\Z)')
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z?)\Z")


class Entry(NamedTuple):
    """One line: who, with which key (wire form), for what (None: anything), from when to when; or whose certificates (``authority``)."""

    principals: tuple[str, ...]
    key: bytes
    namespaces: tuple[str, ...] | None
    after: datetime | None
    before: datetime | None
    authority: bool

    def allows(self, email: str, when: datetime) -> bool:
        """Say whether an address may sign with this key, for evalkit, at a time."""
        return (
            not self.authority
            and _matches(email, self.principals)
            and (self.namespaces is None or _matches(NAMESPACE, self.namespaces))
            and (self.after is None or when >= self.after)
            and (self.before is None or when < self.before)
        )


class AllowedSigners(NamedTuple):
    """A file of allowed signers: its text, where it came from, and its entries."""

    text: str
    name: str
    entries: tuple[Entry, ...]

    def of(self, key: bytes) -> list[Entry]:
        """Return the entries of a key."""
        return [entry for entry in self.entries if entry.key == key]

    @property
    def has_authorities(self) -> bool:
        """Whether certificates may be valid, whose keys are not list_records."""
        return any(entry.authority for entry in self.entries)


def parse(text: str, name: str) -> AllowedSigners:
    """Read a file of allowed signers. Raises UsageError naming the first line that is none."""
    return AllowedSigners(text, name, tuple(_entries(text, name)))


def _entries(text: str, name: str) -> Iterator[Entry]:
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            try:
                yield _entry(stripped)
            except ValueError as error:
                raise UsageError(
                    f"{name}:{number} is no allowed signer: {error}; a line is: ada@example.com ssh-ed25519 AAAA…"
                ) from error


def _entry(line: str) -> Entry:
    found = _LINE.match(line)
    if found is None:
        raise ValueError("it is not 'addresses [options] type key'")
    try:
        key = base64.b64decode(found["key"], validate=True)
    except binascii.Error as error:
        raise ValueError("the key is not base64") from error
    options = {
        option.lower(): first or second
        for option, first, second in _OPTION.findall(found["options"] or "")
    }
    names = options.get("namespaces")
    return Entry(
        tuple((found["quoted"] or found["bare"]).split(",")),
        key,
        None if names is None else tuple(names.split(",")),
        _time(options.get("valid-after")),
        _time(options.get("valid-before")),
        "cert-authority" in options,
    )


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    found = _TIME.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no time: YYYYMMDD[Z] or YYYYMMDDHHMM[SS][Z]")
    *numbers, zone = found.groups()
    when = datetime(*(int(number or 0) for number in numbers))  # type: ignore[arg-type]
    return when.replace(tzinfo=UTC) if zone else when.astimezone()


def _matches(text: str, patterns: tuple[str, ...]) -> bool:
    """OpenSSH's pattern lists: a negated pattern that fits decides, else one that fits is needed."""
    fits = False
    for pattern in patterns:
        negated = pattern.startswith("!")
        if fnmatchcase(text, pattern.removeprefix("!").replace("[", "[[]")):
            if negated:
                return False
            fits = True
    return fits
