"""What ``evalkit signoff`` refuses, in one line and without writing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.results import Run
from evalkit.signoff.records import printable_signoffs
from tests.signoff.conftest import Keys
from tests.signoff.signing_project import Project, evalkit, result, sign, verify

POLICY = "  roles: [qa, lead]\n  deviation_days: 30\n"

FIELDS: list[tuple[dict[str, str], list[str], str]] = [
    ({"name": " "}, [], "--name is empty; a record needs it"),
    (
        {"name": "Ada\nLovelace"},
        [],
        "--name 'Ada Lovelace' contains a line break or a control character",
    ),
    ({"email": ""}, [], "--email is empty; a record needs it"),
    ({"email": "*@example.com"}, [], "--email '*@example.com' is not an address"),
    (
        {"role": "qaa"},
        [],
        "--role 'qaa' is not a role of the policy (did you mean 'qa'?); valid: qa, lead",
    ),
    (
        {"decision": "approved-with-deviations"},
        [],
        "--decision approved-with-deviations and --deviation",
    ),
    (
        {},
        ["--deviation", "x; until 2999-01-01; y"],
        "--decision approved-with-deviations and --deviation",
    ),
    (
        {"decision": "approved-with-deviations"},
        ["--deviation", "slow; 2999-01-01; y"],
        "expected 'what; until YYYY-MM-DD; why'",
    ),
    (
        {"decision": "approved-with-deviations"},
        ["--deviation", "slow; until soon; y"],
        "'soon' is not a day (YYYY-MM-DD)",
    ),
    (
        {"decision": "approved-with-deviations"},
        ["--deviation", "slow; until 2001-01-01; y"],
        "to be fixed by 2001-01-01, today is",
    ),
    (
        {"decision": "approved-with-deviations"},
        ["--deviation", "slow; until 2999-01-01; y"],
        "a deviation of at most 30 days",
    ),
    ({}, ["--gate", "default"], "--gate NAME and --baseline RUN need each other"),
    ({}, ["--gate", "releese", "--baseline", "reports/main"], "unknown gate 'releese'"),
    (
        {},
        ["--gate", "default", "--baseline", "reports/nowhere"],
        "reports/nowhere is not a run directory",
    ),
    ({"override": "because"}, [], "--override is not needed"),
]


@pytest.mark.parametrize(("options", "more", "message"), FIELDS)
def test_a_field_that_is_wrong(
    project: Project, keys: Keys, options: dict[str, str], more: list[str], message: str
) -> None:
    project.config(POLICY)
    before = project.tree()
    done = sign(keys["ed25519"], *more, **options)
    assert done.exit_code == 2
    assert message in done.output
    assert done.output.startswith("evalkit: ")
    assert done.output.count("\n") == 1
    assert project.tree() == before


@pytest.mark.parametrize("folder", ["media", "comparison", "."])
def test_a_pipe_in_the_run_is_refused_without_waiting(
    project: Project, keys: Keys, folder: str
) -> None:
    pipe = project.run / folder / "pipe"
    pipe.parent.mkdir(exist_ok=True)
    os.mkfifo(pipe)
    done = sign(keys["ed25519"])
    assert done.exit_code == 2
    assert "pipe" in done.output
    assert "not a regular file" in done.output
    assert project.records() == []


def test_a_field_that_is_missing(project: Project, keys: Keys) -> None:
    done = evalkit("signoff", "reports/latest", "--key", str(keys["ed25519"]))
    assert done.exit_code == 2
    assert "Missing option '--name'" in done.output


def no_key(folder: Path) -> Path:
    return folder / "nowhere"


def not_a_key(folder: Path) -> Path:
    path = folder / "text"
    path.write_text("hello")
    path.chmod(0o600)
    return path


def encrypted(folder: Path) -> Path:
    path = folder / "encrypted"
    path.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    return path


def half_a_pem(folder: Path) -> Path:
    path = folder / "half"
    path.write_text("-----BEGIN PRIVATE KEY-----\nMC4C\n")
    return path


def elliptic(folder: Path) -> Path:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    path = folder / "elliptic"
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_key, "nowhere: the key cannot be read (No such file or directory)"),
        (not_a_key, "text: cannot sign ("),
        (encrypted, "an encrypted PEM key cannot sign here; use an SSH key"),
        (half_a_pem, "the PEM private key cannot be read"),
        (elliptic, "a PEM key must be an Ed25519 key"),
    ],
)
def test_a_key_that_cannot_sign(
    project: Project, tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    before = project.tree()
    done = sign(make(tmp_path))
    assert done.exit_code == 2
    assert message in done.output
    assert done.output.count("\n") == 1
    assert project.tree() == before


def test_no_ssh_keygen(project: Project, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    done = sign(keys["ed25519"])
    assert (done.exit_code, done.output) == (
        2,
        "evalkit: ssh-keygen is missing; install OpenSSH 8.9 or newer (openssh-client)\n",
    )


def manifest(project: Project, **changes: Any) -> None:
    path = project.run / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


CHANGED: dict[str, tuple[Callable[[Project], object], str]] = {
    "no suites": (lambda project: manifest(project, suites=[{}]), "manifest.json: not as evalkit writes it"),
    "no list": (lambda project: manifest(project, suites=1), "manifest.json is not a manifest ('suites' is not as"),
    "no counts": (lambda project: manifest(project, totals={"passed": "3"}), "manifest.json is not a manifest ('totals' is not as"),
    "not complete": (lambda project: manifest(project, complete=False), "reports/latest: not complete"),
    "no results": (lambda project: (project.run / "results.jsonl").unlink(), "reports/latest/results.jsonl: missing"),
    "a line changed": (
        lambda project: (project.run / "results.jsonl").write_bytes(b"".join([result("one").replace(b"hello", b"hallo"), result("two")])),
        "results.jsonl:1 s::one was changed: its digest: expected sha256 ",
    ),
    "a line less": (
        lambda project: (project.run / "results.jsonl").write_bytes(result("one")),
        "manifest.json says 3 scored, counting the results gives 1",
    ),
    "suite changed": (lambda project: project.write("suites/s.yaml", b"suite: s\n"), "suites/s.yaml: changed since the run (expected sha256:"),
    "suite gone": (lambda project: (project.root / "suites/s.yaml").rename(project.root / "suites/t.yaml"), "are neither above it nor above the"),
    "case file changed": (lambda project: project.write("suites/data.csv", b"id\n"), "suites/data.csv: changed since the run"),
    "cassette changed": (lambda project: project.write("cassettes/s/one.yaml", b"\n"), "cassettes/s/one.yaml: changed since the run"),
    "cassette gone": (lambda project: (project.root / "cassettes/s/one.yaml").unlink(), "cassettes/s/one.yaml: missing, but the run used it"),
    "media changed": (
        lambda project: next((project.root / "cassettes/_media").iterdir()).write_bytes(b"x"),
        ".png: changed since the run (expected sha256:",
    ),
    "a stranger among the records": (
        lambda project: project.write("reports/latest/signoffs/x", b""),
        "signoffs: contains x, which is not a record; move it away",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", CHANGED)
def test_a_run_that_is_not_complete(project: Project, keys: Keys, how: str) -> None:
    change, message = CHANGED[how]
    change(project)
    before = project.tree()
    done = sign(keys["ed25519"])
    assert done.exit_code == (2 if how in ("no list", "no counts", "suite gone") else 3)
    assert message in done.output
    assert done.output.count("\n") == 1
    assert project.tree() == before


@pytest.mark.parametrize(
    "name",
    [
        "reports/latest/results.jsonl",
        "reports/latest/comparison/comparison.json",
        "reports/latest/signoffs/0001.intoto.jsonl",
    ],
)
def test_a_changed_run_is_not_signed_again(project: Project, keys: Keys, name: str) -> None:
    sign(keys["ed25519"])
    if name.endswith("results.jsonl"):
        project.write_run(project.run, [result("one")])
    else:
        project.write(name, b"{}x\n")
    before = project.tree()
    done = sign(keys["ecdsa"], email="bob@example.com")
    assert done.exit_code == 3
    assert project.tree() == before
    assert done.output.count("\n") == 1


def test_a_clock_that_goes_back(
    project: Project, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(keys["ed25519"])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    done = sign(keys["ecdsa"], email="bob@example.com")
    assert done.exit_code == 2
    assert (
        "the clock says 2001-09-09T01:46:40Z, but signoffs/0001.intoto.jsonl was signed at "
        in done.output
    )


@pytest.mark.parametrize("gate", [True, False])
def test_approving_what_failed_needs_a_reason(project: Project, keys: Keys, gate: bool) -> None:
    project.write_run(project.run, [result("one", "failed"), result("two"), result("three")])
    more = ["--gate", "default", "--baseline", "reports/main"] if gate else []
    done = sign(keys["ed25519"], *more)
    assert done.exit_code == 2
    what = (
        "gate 'default': fail (1 of 3 pairs regressed, none may)"
        if gate
        else "2 of 3 results passed, 1 failed and 0 errored"
    )
    assert (
        done.output == f"evalkit: {what}; 0 accepted, 0 rejected, 1 undecided of 1 review item "
        f"('evalkit review'); to approve nevertheless give --override REASON, or decide approved-with-deviations\n"
    )
    assert sign(keys["ed25519"], *more, override="known, and mended in 1.2").exit_code == 0
    code, actual = verify()
    assert code == 0
    assert actual["records"][0]["override"] == "known, and mended in 1.2"
    assert sign(keys["ecdsa"], *more, email="bob@example.com", decision="rejected").exit_code == 0


def test_approving_without_any_evidence_needs_a_reason(project: Project, keys: Keys) -> None:
    project.write_run(project.run, [result("one", "skipped"), result("two", "skipped")])
    done = sign(keys["ed25519"])
    assert done.exit_code == 2
    assert done.output.startswith("evalkit: 0 of 2 results passed, 0 failed and 0 errored; to ")
    assert sign(keys["ed25519"], override="nothing to test yet").exit_code == 0
    assert verify()[0] == 0


LAX = "signoff: {allowed_signers: allowed_signers}\ngates: {lax: {max_regressions: 9}}\n"


@pytest.mark.parametrize(
    ("decision", "comment", "state"),
    [
        ("", "", "0 accepted, 0 rejected, 1 undecided of 1 review item"),
        ("--reject", "wrong city", "0 accepted, 1 rejected, 0 undecided of 1 review item"),
        ("--accept", "as agreed", ""),
    ],
)
def test_approving_what_reviewers_did_not_accept_needs_a_reason(
    project: Project, keys: Keys, decision: str, comment: str, state: str
) -> None:
    """The gate passes; what reviewers said is signed, and every readable form has it."""
    project.write("evalkit.yaml", LAX.encode())
    project.write_run(project.run, [result("one", "failed"), result("two"), result("three")])
    if decision:
        who = ["--name", "Rea", "--email", "rea@example.com", "--baseline", "reports/main"]
        evalkit("review", "reports/latest", *who, decision, "s::one", "--comment", comment)
    gate = ["--gate", "lax", "--baseline", "reports/main"]
    refused = sign(keys["ed25519"], *gate)
    assert (refused.exit_code, state in refused.output) == (2 if state else 0, True)
    if state:
        assert sign(keys["ed25519"], *gate, override="rarely asked").exit_code == 0
    verified = " ".join(evalkit("verify", "reports/latest").output.split())
    [shown] = printable_signoffs(Run(project.run))
    for text in (comment, state, "gate lax: pass", "1 failed", "rarely asked" if state else ""):
        assert text in verified
        assert text in " ".join(shown["details"])
    _, actual = verify()
    review = actual["records"][0]["review"]
    assert (review["items"], review["undecided"]) == (1, 0 if decision else 1)
    assert [one["comment"] for one in review["comments"]] == [comment] * bool(decision)


def test_verifying_without_a_configuration_is_said(project: Project, keys: Keys) -> None:
    assert sign(keys["ed25519"]).exit_code == 0
    (project.root / "evalkit.yaml").unlink()
    verified = evalkit("verify", "reports/latest", "--allowed-signers", "allowed_signers")
    assert verified.exit_code == 0
    assert "verified without a policy, because there is no evalkit.yaml" in verified.output


def test_the_same_bytes_again(
    project: Project, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ed25519 signatures are deterministic: with a fixed clock a record is, too."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    sign(keys["ed25519"])
    first = project.tree()
    for path in project.records():
        path.unlink()
    sign(keys["ed25519"])
    assert project.tree() == first
