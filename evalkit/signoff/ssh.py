"""SSH keys: who may sign with which key, and signatures created and checked by ``ssh-keygen``.

An OpenSSH file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS) says who may sign:

    ada@example.com namespaces="evalkit-signoff@v1" ssh-ed25519 AAAA… Ada's laptop
    *@qa.example.com cert-authority ssh-ed25519 AAAA…

For SSH signatures ``ssh-keygen`` reads that file and decides. The file is parsed here for two
things it cannot do: finding out before a payload is parsed whether a key is known at all, and
checking plain Ed25519 signatures. The rules are the same: patterns with ``*``, ``?`` and ``!``,
``namespaces=``, ``valid-after=``, ``valid-before=``.

``ssh-keygen`` also signs: it reads the key file, or asks the agent or a FIDO key. For a passphrase
or a touch it uses the terminal. evalkit never reads an SSH private key. Files for ``ssh-keygen``
are in a private temporary directory that is removed afterwards.
"""

import base64
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from evalkit._lib.text import shorten
from evalkit.errors import UsageError
from evalkit.signoff.problems import InvalidEvidence

PROGRAM = "ssh-keygen"
NAMESPACE = "evalkit-signoff@v1"
"""The purpose of a signature: one made for another purpose (git, a file) is not a sign-off."""
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
_LINE = re.compile(
    r"""(?: "(?P<quoted>[^"]*)" | (?P<bare>[^\s"]+) ) \s+
    (?: (?P<options> (?!(?:ssh|ecdsa|sk)-) (?: "[^"]*" | [^\s"] )+ ) \s+ )?
    [a-z0-9@.-]+ \s+ (?P<key>[A-Za-z0-9+/=]+) (?:\s.*)? \Z""",
    re.VERBOSE,
)
_OPTION = re.compile(
    r'(?P<name>cert-authority|namespaces|valid-after|valid-before)(?:="(?P<value>[^"]*)")?(?:,|\Z)',
    re.IGNORECASE,
)
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


def parse_allowed_signers(text: str, name: str) -> AllowedSigners:
    """Read a file of allowed signers.

    Raises UsageError naming the first invalid line.
    """
    return AllowedSigners(text, name, tuple(_allowed_keys(text, name)))


def _allowed_keys(text: str, name: str) -> Iterator[AllowedKey]:
    # As ssh-keygen does: another line separator, such as U+2028, is a part of a comment.
    for number, line in enumerate(text.split("\n"), 1):
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
    if match is None or not (addresses := match["quoted"] or match["bare"]):
        raise ValueError("expected 'addresses [options] type key'")
    try:
        key = base64.b64decode(match["key"], validate=True)
    except ValueError as error:
        raise ValueError("the key is not base64") from error
    options = _parse_options(match["options"] or "")
    namespaces = options.get("namespaces")
    return AllowedKey(
        principals=tuple(addresses.split(",")),
        key=key,
        namespaces=None if namespaces is None else tuple(namespaces.split(",")),
        after=_parse_time(options.get("valid-after")),
        before=_parse_time(options.get("valid-before")),
        is_authority="cert-authority" in options,
    )


def _parse_options(text: str) -> dict[str, str]:
    """Return the options of a line; an option without a value has ``""``.

    As ssh-keygen does, an unknown, unquoted or repeated option is an error: a limit that is
    misspelled would be none.
    """
    found = list(_OPTION.finditer(text))
    options = {option["name"].lower(): option["value"] or "" for option in found}
    if "".join(option[0] for option in found) != text or len(options) < len(found):
        raise ValueError(
            f'options {text!r}; expected each once: cert-authority, namespaces="…", '
            'valid-after="…", valid-before="…"'
        )
    return options


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


def is_armored(signature: bytes) -> bool:
    """Return whether a signature is an SSH signature, not a plain Ed25519 one."""
    return signature.startswith(b"-----BEGIN")


class SshSignature(NamedTuple):
    """The public key of a signature in wire format, and the algorithm it was made with."""

    key: bytes
    algorithm: str


def read_signature(armored: bytes) -> SshSignature:
    """Return the key and the algorithm of an armored signature (openssh PROTOCOL.sshsig).

    One spelling of the armor is accepted, so that no byte of it can be changed unnoticed. Whether
    the signature is valid is for ``ssh-keygen`` to decide. Raises InvalidEvidence.
    """
    blob = _unarmor(armored)
    if blob[:6] != _MAGIC or int.from_bytes(blob[6:10]) != 1:
        raise _unreadable("not an SSH signature of version 1")
    key, rest = read_string(blob[10:])
    for _ in ("namespace", "reserved", "hash algorithm"):
        _, rest = read_string(rest)
    signature, rest = read_string(rest)
    if rest:
        raise _unreadable("the SSH signature has bytes after its end")
    return SshSignature(key, read_string(signature)[0].decode("ascii", "replace"))


def _unreadable(message: str) -> InvalidEvidence:
    return InvalidEvidence("record_unreadable", message)


def _unarmor(armored: bytes) -> bytes:
    try:
        lines = armored.decode("ascii").split("\n")
        blob = base64.b64decode("".join(lines[1:-2]), validate=True)
    except ValueError as error:
        raise _unreadable("not an armored SSH signature") from error
    text, width = base64.b64encode(blob).decode(), max(len(lines[1]), 1) if len(lines) > 3 else 1
    folded = [text[start : start + width] for start in range(0, len(text), width)]
    if lines != [_BEGIN, *folded, _END, ""]:
        raise _unreadable("not armored as ssh-keygen does it")
    return blob


def read_string(data: bytes) -> tuple[bytes, bytes]:
    """Return the string at the beginning of wire data, and what follows. Raises InvalidEvidence."""
    length = int.from_bytes(data[:4])
    if len(data) < 4 + length:
        raise _unreadable("the SSH signature is truncated")
    return data[4 : 4 + length], data[4 + length :]


def is_certificate(key: bytes) -> bool:
    """Return whether a public key in wire format is a certificate."""
    return b"-cert-v01@" in read_string(key)[0]


def fingerprint(key: bytes) -> str:
    """Return the fingerprint of a public key, as ``ssh-keygen -l`` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def ed25519_wire(raw: bytes) -> bytes:
    """Return the wire format of an Ed25519 public key (RFC 8709, section 4)."""
    return b"".join(len(part).to_bytes(4) + part for part in (b"ssh-ed25519", raw))


def ed25519_raw(key: bytes) -> bytes | None:
    """Return the 32 bytes of an Ed25519 public key in wire format.

    None for another type.
    """
    return key[-32:] if len(key) == 51 and ed25519_wire(key[-32:]) == key else None


def sign(key: Path, data: bytes) -> bytes:
    """Return the armored signature of bytes.

    Raises UsageError with the message of ssh-keygen: no such key, wrong passphrase, no agent.
    """
    # On a terminal ssh-keygen's messages are shown directly: it may ask for a touch of the key.
    quiet = not sys.stderr.isatty()
    done = _run(["-Y", "sign", "-f", str(key), "-n", NAMESPACE], data, quiet=quiet)
    if done.returncode or not done.stdout:
        lines = (done.stderr or b"").decode("utf-8", "replace").splitlines()
        reason = " ".join(line for line in lines if not line.startswith("Signing data"))
        raise UsageError(
            f"{key}: cannot sign ({shorten(reason, 200) or 'no reason given'}); --key must be a "
            "private key, or the .pub file of a key in the agent"
        )
    return done.stdout


def is_valid(signature: bytes, data: bytes) -> bool:
    """Return whether a signature by any key is valid for these bytes."""
    return _check(["check-novalidate", "-n", NAMESPACE], signature, data).returncode == 0


def has_principal(signature: bytes, signers: str) -> bool:
    """Return whether allowed signers list a signature's key or its authority."""
    done = _check(["find-principals"], signature, b"", signers)
    return done.returncode == 0 and bool(done.stdout.split())


def is_allowed(signature: bytes, data: bytes, signers: str, email: str, when: datetime) -> bool:
    """Return whether allowed signers let an address sign with this key at a time."""
    time = f"verify-time={when.astimezone(UTC):%Y%m%d%H%M%S}Z"
    command = ["verify", "-I", email, "-n", NAMESPACE, "-O", time]
    return _check(command, signature, data, signers).returncode == 0


def _check(
    command: Sequence[str], signature: bytes, data: bytes, signers: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    with TemporaryDirectory(prefix="evalkit-") as folder:
        signature_path, signers_path = Path(folder, "signature"), Path(folder, "signers")
        signature_path.write_bytes(signature)
        arguments = ["-Y", *command, "-s", str(signature_path)]
        if signers is not None:
            signers_path.write_text(signers, "utf-8", newline="\n")
            arguments += ["-f", str(signers_path)]
        return _run(arguments, data)


def _run(
    arguments: Sequence[str], data: bytes, *, quiet: bool = True
) -> subprocess.CompletedProcess[bytes]:
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            [PROGRAM, *arguments],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if quiet else None,
            check=False,
        )
    except OSError as error:
        raise UsageError(
            f"{PROGRAM} is missing; install OpenSSH 8.9 or newer (openssh-client)"
        ) from error
    message = done.stderr or b""
    if b"nknown option" in message or b"nsupported operation" in message:
        raise UsageError(f"{PROGRAM} is too old for signatures; install OpenSSH 8.9 or newer")
    return done
