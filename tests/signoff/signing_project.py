"""A small project with a run to sign, keys, and the commands."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from evalkit.cli.main import main

SUITE = "suite: s\nscenarios:\n  - id: one\n    model: m\n    turns: [{user: Hello}]\n"
NAMESPACE = "evalkit-signoff@v1"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def result(
    name: str, verdict: str = "passed", *, warned: bool = False, text: str = "hello"
) -> bytes:
    """Return a result line with its digest."""
    findings = (
        [{"code": "odd", "severity": "warn", "message": "odd", "where": {}}] if warned else []
    )
    if verdict == "failed":
        findings = [
            {"code": "text_missing", "severity": "error", "message": "missing", "where": {}}
        ]
    value = {
        "id": f"s::{name}",
        "suite": "s",
        "scenario": name,
        "variant": {"model": "m", "history": "stateful"},
        "parts": [],
        "trial": 1,
        "tags": [],
        "path": "suites/s.yaml",
        "line": 3,
        "verdict": verdict,
        "message": "",
        "checks": [{"name": "text", "verdict": verdict, "findings": findings}],
        "metrics": {"tokens": {"total_tokens": 10}},
        "turns": [
            {"outcome": "completed", "status": "completed", "text": text, "user": [], "steps": []}
        ],
    }
    text_ = json.dumps(value, separators=(",", ":"))
    return f'{text_[:-1]},"digest":"{sha256(text_.encode())}"}}\n'.encode()


class Project:
    """A project in a folder: one suite with a case file, an attachment in the cassettes' media, two runs, an ``evalkit.yaml``."""

    def __init__(self, root: Path, results: Sequence[bytes] | None = None) -> None:
        self.root = root
        self.run = root / "reports" / "latest"
        self.base = root / "reports" / "main"
        lines = (
            [result("one"), result("two", warned=True), result("three")]
            if results is None
            else list(results)
        )
        image = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
        media = f"{sha256(image)}.png"
        for name, data in {
            "suites/s.yaml": SUITE.encode(),
            "suites/data.csv": b"id,city\na,Paris\n",
            "suites/_snapshots/s/one.answer.txt": b"hello\n",
            "cassettes/s/one.yaml": f'version: 1\nimage: "evalkit-media:sha256:{media}"\n'.encode(),
            f"cassettes/_media/{media}": image,
            "evalkit.yaml": b"signoff: {allowed_signers: allowed_signers}\n",
        }.items():
            self.write(name, data)
        self.write_run(self.base, [result("one"), result("two"), result("three")])
        self.write_run(self.run, lines)
        self.write("reports/latest/comparison/comparison.json", b"{}\n")

    def write(self, name: str, data: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def write_run(self, folder: Path, lines: Sequence[bytes], **changes: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.jsonl").write_bytes(b"".join(lines))
        (folder / "manifest.json").write_text(json.dumps(self.manifest(lines) | changes, indent=2))

    def manifest(self, lines: Sequence[bytes]) -> dict[str, Any]:
        verdicts = [json.loads(line)["verdict"] for line in lines]
        counts = {
            verdict: verdicts.count(verdict)
            for verdict in ("passed", "failed", "errored", "skipped")
        }
        data = sha256((self.root / "suites/data.csv").read_bytes())
        own = sha256((self.root / "suites/s.yaml").read_bytes())
        return {
            "schema_version": 1,
            "evalkit": "0",
            "python": "3.12.1",
            "pytest": "9.0.0",
            "platform": "Linux x86_64",
            "started": "2026-01-01T10:00:00Z",
            "ended": "2026-01-01T10:00:09Z",
            "complete": True,
            "environment": {},
            "options": {"cassettes": "cassettes"},
            "suites": [
                {
                    "suite": "s",
                    "path": "suites/s.yaml",
                    "collected": len(lines),
                    "digest": "sha256:" + sha256(f"{own}\nsuites/data.csv {data}".encode()),
                    "files": [{"path": "suites/data.csv", "digest": f"sha256:{data}"}],
                }
            ],
            "cassettes": [
                {
                    "path": "s/one.yaml",
                    "digest": "sha256:" + sha256((self.root / "cassettes/s/one.yaml").read_bytes()),
                }
            ],
            "totals": {
                "collected": len(lines),
                "deselected": 0,
                "scored": counts["passed"] + counts["failed"],
                **counts,
                **dict.fromkeys(("warnings", "checks", "unplayed", "orphans", "tokens"), 0),
            },
        }

    def allow(self, *entries: tuple[str, str], options: str = f'namespaces="{NAMESPACE}" ') -> None:
        """Write the allowed signers: addresses and public keys as ``type base64``."""
        text = "".join(f"{email} {options}{key}\n" for email, key in entries)
        self.write("allowed_signers", b"# who may sign\n\n" + text.encode())

    def config(self, text: str) -> None:
        self.write("evalkit.yaml", f"signoff:\n  allowed_signers: allowed_signers\n{text}".encode())

    def records(self) -> list[Path]:
        return sorted((self.run / "signoffs").glob("*.jsonl"))

    def tree(self) -> dict[str, bytes]:
        """Return every file with its bytes."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }


def evalkit(*arguments: str) -> Result:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), (
        done.output,
        done.exc_info,
    )
    return done


def sign(key: Path, *more: str, **options: str) -> Result:
    """Sign reports/latest; options are the command's, and stand for what is not given."""
    given = {
        "name": "Ada Lovelace", "email": "ada@example.com", "role": "qa", "decision": "approved", "meaning": "approval", **options,
    }  # fmt: skip
    flat = [
        part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", value)
    ]
    return evalkit("signoff", "reports/latest", "--key", str(key), *flat, *more)


def verify(*more: str) -> tuple[int, dict[str, Any]]:
    """Verify reports/latest; return the exit code and the JSON."""
    done = evalkit("verify", "reports/latest", "--json", *more)
    return done.exit_code, json.loads(done.output) if done.exit_code != 2 else {
        "usage": done.output
    }


def codes(actual: Mapping[str, Any]) -> list[str]:
    return [problem["code"] for problem in actual["problems"]]


def make_key(path: Path, kind: str = "ed25519", *more: str) -> str:
    """Make an SSH key and return its public half as ``type base64``."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(path), *more], check=True
    )
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


def make_pem(path: Path) -> str:
    """Make a plain Ed25519 key as PEM and return its public half as ``type base64``."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem)
    public = private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return public.decode()
