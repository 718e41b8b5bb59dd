"""OpenSSH's signature format, read as far as evalkit must: whose key, which purpose (openssh PROTOCOL.sshsig). Pure.

Whether a signature is good is for ``ssh-keygen`` to say, never for this module. It finds the public key that a signature names, and holds
the armour to one spelling, so that no byte of it can be changed without being seen.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import NamedTuple

_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"


class SshSignatureError(ValueError):
    """Text is no SSH signature in the spelling of ``ssh-keygen``."""


class SshSignature(NamedTuple):
    """What a signature says of itself: the public key in wire form, and the namespace."""

    key: bytes
    namespace: str


def is_armoured(signature: bytes) -> bool:
    """Say whether a signature is an SSH signature (else it is the 64 bytes of a plain Ed25519 signature)."""
    return signature.startswith(b"-----BEGIN")


def read(armoured: bytes) -> SshSignature:
    """Read an armoured signature. Raises SshSignatureError."""
    blob = _blob(armoured)
    try:
        if blob[:6] != _MAGIC or int.from_bytes(blob[6:10]) != 1:
            raise SshSignatureError("it is no SSH signature of version 1")
        key, rest = _string(blob[10:])
        namespace, rest = _string(rest)
        for _ in ("reserved", "hash algorithm", "signature"):
            _, rest = _string(rest)
        if rest:
            raise SshSignatureError("the SSH signature goes on after its end")
        return SshSignature(key, namespace.decode())
    except UnicodeDecodeError as error:
        raise SshSignatureError("the namespace of the SSH signature is not text") from error


def key_type(key: bytes) -> str:
    """Return the type of a public key in wire form, such as ``ssh-ed25519``; ``""`` where it has none."""
    try:
        return _string(key)[0].decode("ascii")
    except (SshSignatureError, UnicodeDecodeError):
        return ""


def fingerprint(key: bytes) -> str:
    """Return the fingerprint of a public key in wire form, as ``ssh-keygen -l`` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def ed25519_wire(raw: bytes) -> bytes:
    """Return the wire form of an Ed25519 public key's 32 bytes (RFC 8709, section 4)."""
    return b"".join(len(part).to_bytes(4) + part for part in (b"ssh-ed25519", raw))


def ed25519_raw(key: bytes) -> bytes | None:
    """Return the 32 bytes of an Ed25519 public key in wire form, or None for a key of another type."""
    return key[-32:] if len(key) == 51 and ed25519_wire(key[-32:]) == key else None


def _blob(armoured: bytes) -> bytes:
    try:
        lines = armoured.decode("ascii").split("\n")
        blob = base64.b64decode("".join(lines[1:-2]), validate=True)
    except (UnicodeDecodeError, binascii.Error) as error:
        raise SshSignatureError("it is not an armoured SSH signature") from error
    text, width = base64.b64encode(blob).decode(), max(len(lines[1]), 1) if len(lines) > 3 else 1
    folded = [text[at : at + width] for at in range(0, len(text), width)]
    if lines != [_BEGIN, *folded, _END, ""]:
        raise SshSignatureError("it is not armoured as ssh-keygen does it")
    return blob


def _string(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[:4])
    if len(data) < 4 + length:
        raise SshSignatureError("the SSH signature is cut short")
    return data[4 : 4 + length], data[4 + length :]
