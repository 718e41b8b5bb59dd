"""Create and check SSH signatures with ``ssh-keygen -Y``, and read their keys.

``ssh-keygen`` reads the key file, or asks the agent or a FIDO key. For a passphrase or a touch it
uses the terminal. evalkit never reads a private key. Files for ``ssh-keygen`` are in a private
temporary directory that is removed afterwards.

:func:`parse_signature` finds the public key in a signature (openssh PROTOCOL.sshsig) and accepts
one spelling of the armor only, so that no byte of it can be changed unnoticed. Whether a signature
is valid is for ``ssh-keygen`` to decide.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from evalkit._lib.text import shorten
from evalkit.errors import UsageError
from evalkit.signoff.allowed_signers import NAMESPACE

PROGRAM = "ssh-keygen"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"


class SshSignatureError(ValueError):
    """The bytes are not an SSH signature as ``ssh-keygen`` writes it."""


class SshSignature(NamedTuple):
    """The public key in a signature (wire format), and its namespace."""

    key: bytes
    namespace: str


def is_armored(signature: bytes) -> bool:
    """Return whether a signature is an SSH signature, not a plain Ed25519 one."""
    return signature.startswith(b"-----BEGIN")


def parse_signature(armored: bytes) -> SshSignature:
    """Read an armored signature. Raises SshSignatureError."""
    blob = _unarmor(armored)
    if blob[:6] != _MAGIC or int.from_bytes(blob[6:10]) != 1:
        raise SshSignatureError("not an SSH signature of version 1")
    key, rest = _read_string(blob[10:])
    namespace, rest = _read_string(rest)
    for _ in ("reserved", "hash algorithm", "signature"):
        _, rest = _read_string(rest)
    if rest:
        raise SshSignatureError("the SSH signature has bytes after its end")
    try:
        return SshSignature(key, namespace.decode())
    except UnicodeDecodeError as error:
        raise SshSignatureError("the namespace of the SSH signature is not text") from error


def _unarmor(armored: bytes) -> bytes:
    try:
        lines = armored.decode("ascii").split("\n")
        blob = base64.b64decode("".join(lines[1:-2]), validate=True)
    except (UnicodeDecodeError, binascii.Error) as error:
        raise SshSignatureError("not an armored SSH signature") from error
    text, width = base64.b64encode(blob).decode(), max(len(lines[1]), 1) if len(lines) > 3 else 1
    folded = [text[start : start + width] for start in range(0, len(text), width)]
    if lines != [_BEGIN, *folded, _END, ""]:
        raise SshSignatureError("not armored as ssh-keygen does it")
    return blob


def _read_string(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[:4])
    if len(data) < 4 + length:
        raise SshSignatureError("the SSH signature is truncated")
    return data[4 : 4 + length], data[4 + length :]


def key_type(key: bytes) -> str:
    """Return the type of a public key in wire format, such as ``ssh-ed25519``.

    ``""`` without one.
    """
    try:
        return _read_string(key)[0].decode("ascii")
    except (SshSignatureError, UnicodeDecodeError):
        return ""


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
        lines = _decode(done.stderr).splitlines()
        reason = " ".join(line for line in lines if not line.startswith("Signing data"))
        raise UsageError(
            f"{key}: cannot sign ({shorten(reason, 200) or 'no reason given'}); --key must be a "
            "private key, or the .pub file of a key in the agent"
        )
    return done.stdout


def is_valid(signature: bytes, data: bytes) -> bool:
    """Return whether a signature by any key is valid for these bytes."""
    with TemporaryDirectory(prefix="evalkit-") as folder:
        path = Path(folder, "signature")
        path.write_bytes(signature)
        command = ["-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(path)]
        return _run(command, data).returncode == 0


def has_principal(signature: bytes, signers: str) -> bool:
    """Return whether allowed signers list a signature's key or its authority."""
    with TemporaryDirectory(prefix="evalkit-") as folder:
        signature_path, signers_path = _write_files(folder, signature, signers)
        done = _run(["-Y", "find-principals", "-s", signature_path, "-f", signers_path], b"")
        return done.returncode == 0 and bool(_decode(done.stdout).split())


def is_allowed(signature: bytes, data: bytes, signers: str, email: str, when: datetime) -> bool:
    """Return whether allowed signers let an address sign with this key at a time."""
    with TemporaryDirectory(prefix="evalkit-") as folder:
        signature_path, signers_path = _write_files(folder, signature, signers)
        time = f"verify-time={when.astimezone(UTC):%Y%m%d%H%M%S}Z"
        command = ["-Y", "verify", "-f", signers_path, "-I", email, "-n", NAMESPACE]
        return _run([*command, "-s", signature_path, "-O", time], data).returncode == 0


def _write_files(folder: str, signature: bytes, signers: str) -> tuple[str, str]:
    signature_path, signers_path = Path(folder, "signature"), Path(folder, "signers")
    signature_path.write_bytes(signature)
    signers_path.write_text(signers, "utf-8", newline="\n")
    return str(signature_path), str(signers_path)


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


def _decode(output: bytes | None) -> str:
    return (output or b"").decode("utf-8", "replace")
