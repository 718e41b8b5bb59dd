"""Read OpenSSH's files of allowed signers (ssh-keygen(1), ALLOWED SIGNERS). Pure.

    ada@example.com namespaces="evalkit-signoff@v1" ssh-ed25519 AAAA… Ada's laptop
    *@qa.example.com cert-authority ssh-ed25519 AAAA…

For SSH signatures ``ssh-keygen`` reads the file and decides. The file is parsed here for two things
it cannot do: finding out before a payload is parsed whether a key is known at all, and checking
plain Ed25519 signatures. The rules are the same: patterns with ``*``, ``?`` and ``!``,
``namespaces=``, ``valid-after=``, ``valid-before=``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import NamedTuple

from evalkit.errors import UsageError

NAMESPACE = "evalkit-signoff@v1"
"""The purpose of a signature: one made for another purpose (git, a file) is not a sign-off."""
_LINE = re.compile(
    r"""(?: "(?P<quoted>[^"]*)" | (?P<bare>[^\s"]+) ) \s+
    (?: (?P<options> (?!(?:ssh|ecdsa|sk)-) (?: "[^"]*" | [^\s"] )+ ) \s+ )?
    [a-z0-9@.-]+ \s+ (?P<key>[A-Za-z0-9+/=]+) (?:\s.*)? \Z""",
    re.VERBOSE,
)
_OPTION = re.compile(r'([a-zA-Z-]+)(?:="([^"]*)"|=([^,"]*))?(?:,|\Z)')
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z?)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedKey:
    """A line of the file: who may sign with which key (wire format).

    ``after`` and ``before`` are the period, ``namespaces`` the purposes; ``namespaces`` is None for
    any purpose. With ``is_authority``, the key signs certificates.
    """

    principals: tuple[str, ...]
    key: bytes
    namespaces: tuple[str, ...] | None
    after: datetime | None
    before: datetime | None
    is_authority: bool

    def allows(self, email: str, when: datetime) -> bool:
        """Return whether an address may sign with this key, for evalkit, at a time."""
        return (
            not self.is_authority
            and _matches(email, self.principals)
            and (self.namespaces is None or _matches(NAMESPACE, self.namespaces))
            and (self.after is None or when >= self.after)
            and (self.before is None or when < self.before)
        )


class AllowedSigners(NamedTuple):
    """A file of allowed signers: its text, its name for messages, and its lines."""

    text: str
    name: str
    keys: tuple[AllowedKey, ...]

    def matching(self, key: bytes) -> list[AllowedKey]:
        """Return the lines of a key."""
        return [entry for entry in self.keys if entry.key == key]

    @property
    def has_authorities(self) -> bool:
        """Whether certificates may be valid whose keys are not listed."""
        return any(entry.is_authority for entry in self.keys)


def parse(text: str, name: str) -> AllowedSigners:
    """Read a file of allowed signers.

    Raises UsageError naming the first invalid line.
    """
    return AllowedSigners(text, name, tuple(_parse_lines(text, name)))


def _parse_lines(text: str, name: str) -> Iterator[AllowedKey]:
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            try:
                yield _parse_line(stripped)
            except ValueError as error:
                raise UsageError(
                    f"{name}:{number}: not an allowed signer ({error}); write a line such as: "
                    "ada@example.com ssh-ed25519 AAAA…"
                ) from error


def _parse_line(line: str) -> AllowedKey:
    match = _LINE.match(line)
    if match is None:
        raise ValueError("expected 'addresses [options] type key'")
    try:
        key = base64.b64decode(match["key"], validate=True)
    except binascii.Error as error:
        raise ValueError("the key is not base64") from error
    options = {
        option.lower(): quoted or bare
        for option, quoted, bare in _OPTION.findall(match["options"] or "")
    }
    namespaces = options.get("namespaces")
    return AllowedKey(
        principals=tuple((match["quoted"] or match["bare"]).split(",")),
        key=key,
        namespaces=None if namespaces is None else tuple(namespaces.split(",")),
        after=_parse_time(options.get("valid-after")),
        before=_parse_time(options.get("valid-before")),
        is_authority="cert-authority" in options,
    )


def _parse_time(text: str | None) -> datetime | None:
    if text is None:
        return None
    match = _TIME.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time: YYYYMMDD[Z] or YYYYMMDDHHMM[SS][Z]")
    *numbers, zone = match.groups()
    when = datetime(*(int(number or 0) for number in numbers))  # type: ignore[arg-type]
    return when.replace(tzinfo=UTC) if zone else when.astimezone()


def _matches(text: str, patterns: tuple[str, ...]) -> bool:
    """Match as OpenSSH's pattern lists do: a negated pattern that matches decides."""
    matches = False
    for pattern in patterns:
        if fnmatchcase(text, pattern.removeprefix("!").replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            matches = True
    return matches
