"""What a signature means: what appears later, times that cannot be, weak keys, line ends."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evalkit.signoff.key_strength import weakness
from evalkit.signoff.ssh import SshSignature, fingerprint, read_signature
from tests.signoff.conftest import Keys
from tests.signoff.signing_project import (
    Project,
    codes,
    evalkit,
    make_key,
    result,
    sha256,
    sign,
    verify,
)

DECISIONS = b"""evalkit_decisions: 1
decisions:
  - item: "de564d850e57"
    result: "s::one"
    check: "text"
    code: "text_missing"
    location: "turn 2"
    digest: "347107e967e1cd57efef390521507b0db6bacd3c71313ed665a8b2ee0053b342"
    decision: "accept"
    comment: "x"
    by: "Ada <ada@example.com>"
    at: "2026-06-01T00:00:00Z"
"""


def epoch(day: str) -> str:
    return str(int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()))


# --- what appears after signing


@pytest.mark.parametrize(
    "name",
    [
        "reports/latest/decisions.yaml",
        "reports/latest/comparison/comment.md",
        "reports/latest/comparison/evil.html",
        "reports/latest/media/aa/bb.png",
        "reports/latest/.hidden",
        "reports/latest/notes.txt",
        "reports/latest/bar.json",
        "reports/latest/data.json",
        "reports/latest/sub/index.html",
        "reports/latest/sub/signoffs/0001.intoto.jsonl",
        "suites/_snapshots/s/another.txt",
        "reports/main/bar.json",
    ],
)
def test_a_file_that_appears_after_signing_is_found(
    project: Project, keys: Keys, name: str
) -> None:
    gate = ["--gate", "default", "--baseline", "reports/main"]
    assert sign(keys["ed25519"], *gate).exit_code == 0
    project.write(name, b"{}\n")
    code, actual = verify()
    assert (code, codes(actual)[0], actual["problems"][0]["path"]) == (3, "file_added", name)
    refused = sign(keys["ecdsa"], email="bob@example.com")
    assert refused.exit_code == 3
    assert f"{name}: was added after signoffs/0001.intoto.jsonl" in refused.output


def test_every_form_says_that_a_run_stopped_early(project: Project, keys: Keys) -> None:
    lines = [result("one"), result("two")]
    sequential = {
        "gate": "release", "seed": 1, "scenarios": 3, "largest": 1, "decision": "pass",
        "not_run": {"s::three": 1},
    }  # fmt: skip
    totals = {**project.manifest(lines)["totals"], "collected": 3}
    project.write_run(project.run, lines, sequential=sequential, totals=totals)
    assert sign(keys["ed25519"]).exit_code == 0
    stopped = (
        "stopped early after 2 of 3 scenarios: decided (pass); the interval is valid "
        "under optional stopping"
    )
    text = " ".join(evalkit("verify", "reports/latest").output.split())
    assert f"1 not run no gate {stopped}" in text
    assert verify()[1]["records"][0]["stopped"] == stopped
    # What was left out by plan is signed: nobody can add to it later.
    totals["collected"] = 2
    project.write_run(project.run, lines, totals=totals)
    assert "file_changed" in codes(verify()[1])


def test_what_was_there_is_signed_whatever_it_is(project: Project, keys: Keys) -> None:
    project.write("reports/latest/notes.txt", b"read me\n")
    sign(keys["ed25519"])
    assert verify()[0] == 0
    project.write("reports/latest/notes.txt", b"changed\n")
    assert codes(verify()[1]) == ["file_changed"]


def test_pages_locks_and_temporary_files_may_appear(project: Project, keys: Keys) -> None:
    sign(keys["ed25519"])
    for name in (
        "junit.xml",
        "summary.md",
        ".decisions.yaml.lock",
        ".x.tmp",
        "comparison/index.html",
    ):
        project.write(f"reports/latest/{name}", b"x")
    assert verify()[0] == 0


@pytest.mark.parametrize(
    "line",
    [
        "{digest}  README.md\n",
        "{digest}  reports/latest/../other.txt\n",
        "{digest}  zzz-not-there.txt\n",
    ],
)
def test_a_digest_that_nobody_signed_is_found(project: Project, keys: Keys, line: str) -> None:
    sign(keys["ed25519"])
    for name in ("README.md", "reports/other.txt"):
        project.write(name, b"x")
    path = project.run / "manifest.sha256"
    lines = [*path.read_text().splitlines(keepends=True), line.format(digest=sha256(b"x"))]
    path.write_text("".join(sorted(lines, key=lambda each: each[66:])))
    code, actual = verify()
    assert (code, codes(actual)) == (3, ["manifest_differs"])
    assert "which no record signs" in actual["problems"][0]["message"]


# --- times


def test_a_time_in_the_future_is_a_problem(
    project: Project, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch("2099-06-01"))
    assert sign(keys["ed25519"]).exit_code == 0
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    code, actual = verify()
    assert (code, codes(actual)) == (3, ["signed_in_future"])


@pytest.mark.parametrize("signed", ["2099-06-01", "2026-06-01"])
def test_a_deviation_may_not_outlast_the_policy_from_today(
    project: Project, keys: Keys, monkeypatch: pytest.MonkeyPatch, signed: str
) -> None:
    project.config("  deviation_days: 90\n")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch(signed))
    day = f"{signed[:4]}-08-01"
    options = {"decision": "approved-with-deviations", "deviation": f"x; until {day}; y"}
    assert sign(keys["ed25519"], **options).exit_code == 0
    assert verify()[0] == 0
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch("2026-03-01"))
    assert codes(verify()[1]) == ["signed_in_future", "deviation_too_long"]


def test_data_that_are_younger_than_the_signature(
    project: Project, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch("2025-12-31"))
    refused = sign(keys["ed25519"])
    assert refused.exit_code == 2
    assert "but the run ended at 2026-01-01T10:00:09Z; set the clock" in refused.output
    project.write("reports/latest/decisions.yaml", DECISIONS)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch("2026-02-01"))
    assert sign(keys["ed25519"]).exit_code == 0
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    code, actual = verify()
    assert (code, codes(actual)) == (3, ["signed_before_data"])
    assert (
        "2026-06-01T00:00:00Z, that of reports/latest/decisions.yaml"
        in (actual["problems"][0]["message"])
    )


def test_the_baseline_may_not_be_younger_either(
    project: Project, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project.base / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "ended": "2026-09-01T00:00:00Z"}))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch("2026-02-01"))
    sign(keys["ed25519"], "--gate", "default", "--baseline", "reports/main")
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert codes(verify()[1]) == ["signed_before_data"]


def test_a_key_that_expired_since_is_noted(
    project: Project, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.allow(("ada@example.com", keys.public["ed25519"]), options='valid-before="20260301Z" ')
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch("2026-02-01"))
    sign(keys["ed25519"])
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    code, actual = verify()
    assert code == 0
    assert (
        "the key is not valid since 2026-03-01; that the record is older is its signer's"
        in (actual["notes"][0])
    )
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch("2026-03-02"))
    sign(keys["ed25519"], comment="again")
    assert codes(verify()[1]) == ["signer_mismatch"]
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    key = keys.public["ed25519"]
    project.write(
        "allowed_signers",
        f'ada@example.com valid-before="20260301Z" {key}\nada@example.com {key}\n'.encode(),
    )
    assert verify()[1]["notes"] == []


# --- keys


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def wire(*parts: bytes | int) -> bytes:
    return b"".join(
        string(part if isinstance(part, bytes) else part.to_bytes(part.bit_length() // 8 + 1))
        for part in parts
    )


RSA = {bits: wire(b"ssh-rsa", 65537, (1 << bits) - 1) for bits in (768, 1024, 2047, 2048, 4096)}
ED25519 = wire(b"ssh-ed25519", bytes(32))


def certificate(authority: bytes, algorithm: bytes) -> bytes:
    return (
        wire(b"ssh-ed25519-cert-v01@openssh.com", b"nonce", bytes(32))
        + bytes(8 + 4)
        + wire(b"id", b"")
        + bytes(8 + 8)
        + wire(b"", b"", b"", authority, wire(algorithm, b"signature"))
    )


@pytest.mark.parametrize(
    ("key", "algorithm", "problem"),
    [
        (ED25519, "ssh-ed25519", ""),
        (RSA[2048], "rsa-sha2-512", ""),
        (RSA[4096], "rsa-sha2-256", ""),
        (wire(b"ecdsa-sha2-nistp256", b"nistp256", b"\4"), "ecdsa-sha2-nistp256", ""),
        (wire(b"sk-ssh-ed25519@openssh.com", b"", b"ssh:"), "sk-ssh-ed25519@openssh.com", ""),
        (RSA[768], "rsa-sha2-512", "an RSA key of 768 bits"),
        (RSA[1024], "rsa-sha2-512", "an RSA key of 1024 bits"),
        (RSA[2047], "rsa-sha2-512", "an RSA key of 2047 bits"),
        (wire(b"ssh-rsa", 1, (1 << 4096) - 1), "rsa-sha2-512", "an RSA key"),
        (RSA[4096], "ssh-rsa", "SHA-1"),
        (wire(b"ssh-dss", 1, 2, 3, 4), "ssh-dss", "'ssh-dss'"),
        (wire(b"ecdsa-sha2-nistp192", b"nistp192", b"\4"), "x", "'ecdsa-sha2-nistp192'"),
        (wire(b"future", b"x"), "future", "'future'"),
        (certificate(ED25519, b"ssh-ed25519"), "ssh-ed25519", ""),
        (certificate(RSA[1024], b"rsa-sha2-512"), "ssh-ed25519", "its certificate: an RSA key"),
        (certificate(RSA[4096], b"ssh-rsa"), "ssh-ed25519", "its certificate: signatures"),
    ],
)
def test_weak_keys_and_signatures(key: bytes, algorithm: str, problem: str) -> None:
    found = weakness(SshSignature(key, algorithm))
    assert problem in found
    assert bool(found) is bool(problem)


def test_a_weak_key_cannot_sign_and_its_record_does_not_count(
    project: Project, keys: Keys, tmp_path: Path
) -> None:
    weak = tmp_path / "weak"
    project.allow(("ada@example.com", make_key(weak, "rsa", "-b", "1024")))
    refused = sign(weak)
    assert refused.exit_code == 2
    assert "an RSA key of 1024 bits is weak (at least 2048); use an Ed25519 key" in refused.output
    # A record that another program signed with it.
    sign(keys["ed25519"])
    path = project.records()[0]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        payload = base64.b64decode(line["payload"])
        kind = line["payloadType"].encode()
        encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        done = subprocess.run(
            ["ssh-keygen", "-Y", "sign", "-f", str(weak), "-n", "evalkit-signoff@v1"],
            input=encoded,
            capture_output=True,
            check=True,
        )
        signature = done.stdout
        keyid = fingerprint(read_signature(signature).key)
        line["signatures"] = [{"keyid": keyid, "sig": base64.b64encode(signature).decode()}]
    text = "".join(json.dumps(line, separators=(",", ":"), sort_keys=True) + "\n" for line in lines)
    path.write_text(text)
    code, actual = verify()
    assert (code, codes(actual)) == (3, ["weak_key", "not_signed"])


# --- line ends


@pytest.mark.parametrize(
    "pick",
    [
        lambda project: project.records()[0],
        lambda project: project.run / "manifest.sha256",
        lambda project: project.run / "results.jsonl",
        lambda project: project.root / "suites/s.yaml",
    ],
)
def test_line_ends_that_git_converted_are_named_everywhere(
    project: Project, keys: Keys, pick: Callable[[Project], Path]
) -> None:
    sign(keys["ed25519"])
    path = pick(project)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    code, actual = verify()
    assert code == 3
    assert any("git has converted its line ends" in one["message"] for one in actual["problems"])
