"""``ssh-keygen -Y``: the one border to OpenSSH. Signatures are made and checked here, private keys are never read.

``ssh-keygen`` reads the key file itself, or asks the agent for it, or a FIDO key; for a passphrase or a touch it talks to the terminal. What
it is given to check lies in a private temporary folder that is gone afterwards.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from evalkit._lib.text import shorten
from evalkit.errors import UsageError
from evalkit.signoff.allowed_signers import NAMESPACE

PROGRAM = "ssh-keygen"


def sign(key: Path, data: bytes) -> bytes:
    """Return the armoured signature of bytes. Raises UsageError with what ssh-keygen says: no such key, wrong passphrase, no agent."""
    # On a terminal ssh-keygen's own words are shown as they come: they may ask for a touch of the key.
    done = _run(
        ["-Y", "sign", "-f", str(key), "-n", NAMESPACE], data, quiet=not sys.stderr.isatty()
    )
    if done.returncode or not done.stdout:
        told = [
            line for line in _words(done.stderr).splitlines() if not line.startswith("Signing data")
        ]
        said = shorten(" ".join(told), 200) or "it gives no reason"
        raise UsageError(
            f"{key} cannot sign: {said}; --key takes a private key, or the .pub of one the agent holds"
        )
    return done.stdout


def is_good(signature: bytes, data: bytes) -> bool:
    """Say whether a signature is of these bytes for this purpose by the key it names, whoever that is."""
    with TemporaryDirectory(prefix="evalkit-") as folder:
        path = Path(folder, "signature")
        path.write_bytes(signature)
        return (
            _run(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(path)], data).returncode == 0
        )


def principals(signature: bytes, signers: str) -> list[str]:
    """Return who, by a file of allowed signers, may sign with a signature's key or certificate now."""
    with TemporaryDirectory(prefix="evalkit-") as folder:
        paths = _written(folder, signature, signers)
        done = _run(["-Y", "find-principals", "-s", str(paths[0]), "-f", str(paths[1])], b"")
        return _words(done.stdout).split() if done.returncode == 0 else []


def allows(signature: bytes, data: bytes, signers: str, email: str, when: datetime) -> bool:
    """Say whether a file of allowed signers lets an address sign these bytes, for this purpose, at a time, with this signature's key."""
    with TemporaryDirectory(prefix="evalkit-") as folder:
        paths = _written(folder, signature, signers)
        at = f"verify-time={when.astimezone(UTC):%Y%m%d%H%M%S}Z"
        check = [
            "-Y",
            "verify",
            "-f",
            str(paths[1]),
            "-I",
            email,
            "-n",
            NAMESPACE,
            "-s",
            str(paths[0]),
            "-O",
            at,
        ]
        return _run(check, data).returncode == 0


def _written(folder: str, signature: bytes, signers: str) -> tuple[Path, Path]:
    paths = Path(folder, "signature"), Path(folder, "signers")
    paths[0].write_bytes(signature)
    paths[1].write_text(signers, "utf-8", newline="\n")
    return paths


def _run(
    arguments: Sequence[str], data: bytes, *, quiet: bool = True
) -> subprocess.CompletedProcess[bytes]:
    process = None
    with suppress(OSError):
        process = subprocess.run(  # noqa: S603 - no shell, and every argument is a value of its own
            [PROGRAM, *arguments],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if quiet else None,
            check=False,
        )
    if process is None:
        raise UsageError(f"{PROGRAM} is not there: install OpenSSH 8.9 or newer (openssh-client)")
    if b"nknown option" in (process.stderr or b"") or b"nsupported operation" in (
        process.stderr or b""
    ):
        raise UsageError(f"{PROGRAM} is too old for signatures: OpenSSH 8.9 or newer is needed")
    return process


def _words(output: bytes | None) -> str:
    return (output or b"").decode("utf-8", "replace")
