"""Signing and verifying: files, output, and every way to tamper."""

from __future__ import annotations

import base64
import json
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evalkit._lib.progress import observer
from evalkit.results import Run
from evalkit.signoff.policy import SignoffPolicy
from evalkit.signoff.records import printable_signoffs
from evalkit.signoff.ssh import parse_allowed_signers
from evalkit.signoff.verification import TrustSettings
from evalkit.signoff.verification import verify as verify_run
from tests.signoff.conftest import Keys
from tests.signoff.signing_project import Project, codes, evalkit, result, sha256, sign, verify

BOB = {"name": "Bob", "email": "bob@example.com", "role": "lead"}


def sign_twice(keys: Keys) -> None:
    assert sign(keys["ed25519"]).exit_code == 0
    assert sign(keys["ecdsa"], **BOB, meaning="responsibility").exit_code == 0


def test_the_progress_counts_every_signed_file(project: Project, keys: Keys) -> None:
    assert sign(keys["ed25519"]).exit_code == 0
    seen: list[tuple[str, int]] = []

    def observe(items: Any, label: str, total: int, size: Any) -> Any:
        for item in items:
            seen.append((label, total))
            yield item

    token = observer.set(observe)
    try:
        assert verify()[0] == 0
    finally:
        observer.reset(token)
    totals = [total for label, total in seen if label == "verifying files"]
    assert totals
    assert set(totals) == {len(totals)}


def test_sign_and_verify(project: Project, keys: Keys) -> None:
    before = project.tree()
    done = sign(
        keys["ed25519"],
        "--gate",
        "default",
        "--baseline",
        "reports/main",
        comment="Looks right.\nAll of it.",
    )
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == "signed: reports/latest/signoffs/0001.intoto.jsonl"
    after = project.tree()
    new = {
        f"reports/latest/{name}"
        for name in ("manifest.sha256", "tool-versions.json", "signoffs/0001.intoto.jsonl")
    }
    assert after.keys() - before.keys() == new
    assert {name: after[name] for name in before} == before
    code, actual = verify()
    assert (code, actual["ok"], actual["problems"]) == (0, True, [])
    (record,) = actual["records"]
    assert record["name"] == "Ada Lovelace"
    assert record["counts"] == {
        "collected": 3, "deselected": 0, "results": 3, "scored": 3, "passed": 3, "failed": 0, "errored": 0, "skipped": 0,
    }  # fmt: skip
    assert record["gate"] == {
        "name": "default", "verdict": "pass", "baseline": "reports/main",
        "reason": "0 of 3 pairs regressed, none may",
    }  # fmt: skip
    assert project.tree() == after


def test_the_output_for_people(project: Project, keys: Keys) -> None:
    sign_twice(keys)
    done = evalkit("verify", "reports/latest")
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert lines[0] == "VERIFIED  reports/latest: 2 records, 9 files as signed; signers from"
    assert lines[1] == "  allowed_signers"
    assert lines[2] == (
        "Records (times are those of the signers' own clocks; no time stamp proves them)"
    )
    assert "  1  Ada Lovelace <ada@example.com>" in lines
    assert re.search(
        r"^     approved \(approval\) as qa, \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$",
        done.output,
        re.MULTILINE,
    )
    assert max(map(len, lines)) <= 80


def test_coreutils_checks_the_manifest(project: Project, keys: Keys) -> None:
    project.write("cassettes/s/odd\\name.yaml", b"version: 1\n")
    manifest = json.loads((project.run / "manifest.json").read_text())
    manifest["cassettes"].append(
        {"path": "s/odd\\name.yaml", "digest": "sha256:" + sha256(b"version: 1\n")}
    )
    (project.run / "manifest.json").write_text(json.dumps(manifest))
    assert sign(keys["ed25519"]).exit_code == 0

    def check() -> subprocess.CompletedProcess[str]:
        command = ["sha256sum", "--strict", "-c", "reports/latest/manifest.sha256"]
        return subprocess.run(
            command, cwd=project.root, capture_output=True, text=True, check=False
        )

    assert check().returncode == 0, check().stderr
    assert check().stdout.count(": OK") == 10
    project.write("cassettes/s/one.yaml", b"version: 2\n")
    assert "cassettes/s/one.yaml: FAILED" in check().stdout
    assert verify()[0] == 3


def test_records_for_a_report(project: Project, keys: Keys) -> None:
    sign_twice(keys)
    first, second = printable_signoffs(Run(project.run))
    assert first | {"time": ""} == {
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "role": "qa",
        "decision": "approved",
        "meaning": "approval",
        "time": "",
        "details": [
            "3 of 3 results passed, 0 failed, 0 errored, 0 skipped; of 3 collected 0 deselected, "
            "0 not run",
            "no gate",
        ],
        "void": "",
    }
    assert second["email"] == "bob@example.com"
    assert first["time"].endswith("Z")
    (project.run / "results.jsonl").write_bytes(b"")
    project.records()[0].write_bytes(b"{}\n")
    first, second = printable_signoffs(Run(project.run))
    assert first["name"] == "signoffs/0001.intoto.jsonl"
    assert first["void"].startswith("not a record: ")
    assert second["void"] == "void: results.jsonl changed since"


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def names(path: Path) -> str:
    return path.relative_to(Path.cwd()).as_posix()


FILES = {
    "suites/s.yaml": "file_changed",
    "suites/data.csv": "file_changed",
    "suites/_snapshots/s/one.answer.txt": "file_changed",
    "cassettes/s/one.yaml": "file_changed",
    "cassettes/_media": "file_changed",
    "reports/latest/results.jsonl": "file_changed",
    "reports/latest/manifest.json": "file_changed",
    "reports/latest/tool-versions.json": "file_changed",
    "reports/latest/comparison/comparison.json": "file_changed",
    "reports/main/results.jsonl": "file_changed",
    "reports/latest/manifest.sha256": "manifest_differs",
    "reports/latest/signoffs/0001.intoto.jsonl": "record_",
    "reports/latest/signoffs/0002.intoto.jsonl": "",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_flipped_byte_is_found_and_named(
    project: Project, keys: Keys, name: str, where: str
) -> None:
    sign(keys["ed25519"], "--gate", "default", "--baseline", "reports/main")
    assert sign(keys["ecdsa"], **BOB).exit_code == 0
    path = project.root / name
    path = next(path.iterdir()) if path.is_dir() else path
    data = path.read_bytes()
    path.write_bytes(
        flip(data, {"first": 0, "middle": len(data) // 2, "last": len(data) - 1}[where])
    )
    code, actual = verify()
    assert code == 3
    named = next(one for one in actual["problems"] if path.name in one["path"])
    assert named["code"].startswith(FILES[name]) or named["code"] in (
        "signature_invalid",
        "unknown_signer",
    )
    assert path.name in named["message"]


def test_any_bit_of_any_file(project: Project, keys: Keys) -> None:
    sign(keys["ed25519"], "--gate", "default", "--baseline", "reports/main")
    sign(keys["ecdsa"], **BOB)
    assert sign(keys["pem"], name="Pem", email="pem@example.com").exit_code == 0
    trust = TrustSettings(
        signers=parse_allowed_signers((project.root / "allowed_signers").read_text(), "file"),
        policy=SignoffPolicy(),
        gates={},
    )
    now = datetime.now(UTC)
    assert verify_run(project.run, trust, now=now).exit_code == 0
    chance = random.Random(7)
    files = [path for path in sorted(project.root.rglob("*/*")) if path.is_file()]
    for path in chance.choices(files, k=30):
        data = path.read_bytes()
        at = chance.randrange(len(data))
        path.write_bytes(
            data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        )
        actual = verify_run(project.run, trust, now=now)
        assert actual.exit_code == 3, (path, at)
        assert any(
            path.name in problem.path or path.name in problem.message for problem in actual.problems
        ), (path, at)
        path.write_bytes(data)


@pytest.mark.parametrize(
    "name",
    [name for name in FILES if "signoffs" not in name and name.count("/") and "_media" not in name],
)
def test_a_missing_file_is_named(project: Project, keys: Keys, name: str) -> None:
    assert sign(keys["ed25519"], "--gate", "default", "--baseline", "reports/main").exit_code == 0
    (project.root / name).unlink()
    code, actual = verify()
    assert code == 3
    code_expected = "manifest_differs" if name.endswith("manifest.sha256") else "file_missing"
    assert (code_expected, name) in [(one["code"], one["path"]) for one in actual["problems"]]


def lines_of(project: Project) -> list[bytes]:
    return (project.run / "results.jsonl").read_bytes().splitlines(keepends=True)


def own_digest(text: bytes) -> bytes:
    return text[:-1] + b',"digest":"' + sha256(text).encode() + b'"}\n'


RESULTS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str, str]] = {
    "a line removed": (lambda lines: [lines[0], lines[2]], "result_missing", "s::two"),
    "two lines swapped": (
        lambda lines: [lines[1], lines[0], lines[2]],
        "results_reordered",
        "s::two",
    ),
    "a line written twice": (lambda lines: [*lines, lines[2]], "result_added", "s::three"),
    "a line added": (lambda lines: [*lines, result("four")], "result_added", "s::four"),
    "a verdict changed": (
        lambda lines: [lines[0].replace(b'"passed"', b'"failed"', 1), *lines[1:]],
        "result_changed",
        "s::one",
    ),
    "a line made anew, digest and all": (
        lambda lines: [result("one", text="hallo"), *lines[1:]],
        "result_changed",
        "s::one",
    ),
    "the end cut off": (lambda lines: [*lines[:2], lines[2][:-20]], "result_changed", "s::three"),
    "a number for an id": (
        lambda lines: [lines[0], own_digest(b'{"id":5,"verdict":"passed","checks":[]}'), lines[2]],
        "result_missing",
        "s::two",
    ),
    "brackets without end": (
        lambda lines: [lines[0], own_digest(b'{"id":' + b"[" * 99_999 + b"}"), lines[2]],
        "result_missing",
        "s::two",
    ),
    "a line of something else": (
        lambda lines: [lines[0], b"\xff\n", lines[2]],
        "result_missing",
        "s::two",
    ),
}


@pytest.mark.parametrize("how", RESULTS)
def test_the_scenario_that_changed_is_named(project: Project, keys: Keys, how: str) -> None:
    sign(keys["ed25519"])
    change, code, id_ = RESULTS[how]
    (project.run / "results.jsonl").write_bytes(b"".join(change(lines_of(project))))
    exit_code, actual = verify()
    assert exit_code == 3
    assert (code, id_) in [(one["code"], one["id"]) for one in actual["problems"]]
    assert ("file_changed", "reports/latest/results.jsonl") in [
        (one["code"], one["path"]) for one in actual["problems"]
    ]


def test_a_changed_verdict_changes_totals_and_gate(project: Project, keys: Keys) -> None:
    sign(keys["ed25519"], "--gate", "default", "--baseline", "reports/main")
    (project.run / "results.jsonl").write_bytes(
        b"".join([result("one", "failed"), *lines_of(project)[1:]])
    )
    _, actual = verify()
    messages = {one["code"]: one["message"] for one in actual["problems"]}
    assert messages["totals_differ"] == (
        "signoffs/0001.intoto.jsonl says 0 failed, counting the results gives 1"
    )
    assert messages["gate_differs"].startswith("gate 'default': expected pass (")
    assert "found fail (1 of 3 pairs regressed, none may)" in messages["gate_differs"]


def edit(path: Path, change: Callable[[dict[str, Any]], object], line: int = 0) -> None:
    """Change an envelope and write it as evalkit would."""
    lines = path.read_bytes().splitlines(keepends=True)
    value = json.loads(lines[line])
    change(value)
    lines[line] = json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    path.write_bytes(b"".join(lines))


def alter_payload(envelope: dict[str, Any]) -> None:
    payload = base64.b64decode(envelope["payload"]).replace(b'"approved"', b'"rejected"')
    envelope["payload"] = base64.b64encode(payload).decode()


def other_padding(path: Path) -> None:
    """Spell the base64 of the payload so that it decodes to the same bytes."""
    text = path.read_bytes()
    payload = json.loads(text.splitlines()[0])["payload"]
    assert payload.endswith("="), "the payload's length must leave bits over"
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    bare = payload.rstrip("=")
    spelled = bare[:-1] + letters[letters.index(bare[-1]) | 1] + payload[len(bare) :]
    assert base64.b64decode(spelled) == base64.b64decode(payload)
    path.write_bytes(text.replace(payload.encode(), spelled.encode(), 1))


def swap_signatures(first: Path, second: Path) -> None:
    one, two = (
        json.loads(path.read_bytes().splitlines()[0])["signatures"] for path in (first, second)
    )
    edit(first, lambda value: value.update(signatures=two))
    edit(second, lambda value: value.update(signatures=one))


def rename_both(first: Path, second: Path) -> None:
    aside = first.with_name("aside")
    first.rename(aside)
    second.rename(first)
    aside.rename(second)


RECORDS: dict[str, tuple[Callable[[Path, Path], object], list[tuple[str, str]]]] = {
    "not JSON": (lambda first, second: second.write_bytes(b"{\n"), [("record_unreadable", "0002")]),
    "empty": (lambda first, second: second.write_bytes(b""), [("record_unreadable", "0002")]),
    "no envelope": (lambda first, second: second.write_bytes(b'{"payload":1}\n'), [("record_unreadable", "0002")]),
    "three lines": (lambda first, second: second.write_bytes(second.read_bytes() * 3), [("record_unreadable", "0002")]),
    "other spacing": (lambda first, second: second.write_bytes(second.read_bytes().replace(b'","', b'", "')), [("record_unreadable", "0002")]),
    "other payload type": (lambda first, second: edit(second, lambda value: value.update(payloadType="text/plain")), [("record_unreadable", "0002")]),
    "no signature": (lambda first, second: edit(second, lambda value: value.update(signatures=[])), [("record_unreadable", "0002")]),
    "payload altered": (lambda first, second: edit(second, alter_payload), [("signature_invalid", "0002")]),
    "payload of the first altered": (
        lambda first, second: edit(first, alter_payload),
        [("signature_invalid", "0001"), ("record_changed", "0001")],
    ),
    "test-result altered": (
        lambda first, second: edit(first, lambda value: value.update(payload=base64.b64encode(b"{}").decode()), line=1),
        [("signature_invalid", "0001"), ("record_changed", "0001")],
    ),
    "test-result removed": (
        lambda first, second: first.write_bytes(first.read_bytes().splitlines(keepends=True)[0]),
        [("record_changed", "0001")],
    ),
    "signatures swapped": (swap_signatures, [("signature_invalid", "0001"), ("signature_invalid", "0002")]),
    "keyid of somebody else": (
        lambda first, second: edit(second, lambda value: value["signatures"][0].update(keyid="SHA256:x")),
        [("signature_invalid", "0002")],
    ),
    "first removed": (lambda first, second: first.unlink(), [("record_missing", "0001")]),
    "renamed": (lambda first, second: second.rename(first), [("record_order", "0001")]),
    "reordered": (rename_both, [("record_order", "0001"), ("record_order", "0002")]),
    "moved to a later number": (
        lambda first, second: second.rename(second.with_name("0003.intoto.jsonl")),
        [("record_missing", "0002"), ("record_order", "0003")],
    ),
    "a stranger": (lambda first, second: second.with_name("notes.txt").write_text("hi"), [("unexpected_file", "notes.txt")]),
}  # fmt: skip


@pytest.mark.parametrize("how", RECORDS)
def test_a_record_that_was_tampered_with(project: Project, keys: Keys, how: str) -> None:
    sign_twice(keys)
    change, expected = RECORDS[how]
    first, second = project.records()
    change(first, second)
    code, actual = verify()
    assert code == 3
    problems = [(one["code"], one["path"]) for one in actual["problems"]]
    for code_expected, path in expected:
        assert any(code_expected == one and path in where for one, where in problems), problems


def test_another_spelling_of_the_same_value_is_tampering(project: Project, keys: Keys) -> None:
    for pad in ("", "x", "xx"):
        if project.records():
            (project.run / "signoffs" / "0001.intoto.jsonl").unlink()
        sign(keys["ed25519"], comment=pad)
        if json.loads(project.records()[0].read_bytes().splitlines()[0])["payload"].endswith("="):
            break
    other_padding(project.records()[0])
    code, actual = verify()
    assert (code, codes(actual)[0]) == (3, "record_unreadable")


def test_a_process_killed_before_the_record_leaves_none(project: Project, keys: Keys) -> None:
    code = "import os, signal; os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL); from evalkit.cli import main; main()"
    who = [
        "--name",
        "A",
        "--email",
        "ada@example.com",
        "--role",
        "qa",
        "--decision",
        "approved",
        "--meaning",
        "review",
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            "signoff",
            "reports/latest",
            "--key",
            str(keys["ed25519"]),
            *who,
        ],
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert project.records() == []
    (remaining,) = (project.run / "signoffs").iterdir()
    assert remaining.name.endswith(".tmp")
    assert codes(verify()[1]) == ["not_signed"]
    assert sign(keys["ed25519"]).exit_code == 0
    assert verify()[0] == 0


def test_records_are_never_overwritten(
    project: Project, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(keys["ed25519"])
    before = project.records()[0].read_bytes()
    monkeypatch.setattr("evalkit.signoff.signing.list_records", lambda run: ([], []))
    done = sign(keys["ecdsa"], **BOB)
    assert done.exit_code == 2
    assert "somebody else has written this record" in done.output
    assert project.records()[0].read_bytes() == before
    assert len(list((project.run / "signoffs").iterdir())) == 1


def test_a_moved_run_is_verified(project: Project, keys: Keys) -> None:
    sign(keys["ed25519"], "--gate", "default", "--baseline", "reports/main")
    project.run.rename(project.root / "archive")
    done = evalkit("verify", "archive", "--root", ".")
    assert done.exit_code == 0, done.output
    assert evalkit("verify", "archive").exit_code == 0


def test_an_unsigned_run(project: Project) -> None:
    code, actual = verify()
    assert (code, codes(actual)) == (1, ["not_signed"])


def test_a_directory_that_is_not_a_run(project: Project) -> None:
    done = evalkit("verify", "suites")
    assert (done.exit_code, done.output) == (
        2,
        "evalkit: suites: not a run directory, it has no manifest.json and no signoffs\n",
    )


def test_converted_line_ends_are_named_as_the_reason(project: Project, keys: Keys) -> None:
    """Git for Windows writes CRLF; the results are read, and the message says what to do."""
    sign_twice(keys)
    name = "reports/latest/results.jsonl"
    path = project.root / name
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert [line["id"] for line in Run(path.parent).results()]
    code, actual = verify()
    assert code == 3
    (problem,) = [one for one in actual["problems"] if one["code"] == "file_changed"]
    assert "git has converted its line ends to CRLF; write .gitattributes" in problem["message"]
    path.write_bytes(path.read_bytes().replace(b"passed", b"failed", 1))
    _, actual = verify()
    assert "git has converted" not in json.dumps(actual)
