"""Keys of every kind, allowed signers, the trusted git ref."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from evalkit.signoff import dsse, ssh
from evalkit.signoff.dsse import open_key
from tests.signoff.conftest import Keys
from tests.signoff.signing_project import (
    NAMESPACE,
    Project,
    codes,
    evalkit,
    make_key,
    sha256,
    sign,
    verify,
)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa", "pem"])
def test_keys_of_every_kind(project: Project, keys: Keys, kind: str) -> None:
    project.allow(("ada@example.com", keys.public[kind]))
    assert sign(keys[kind]).exit_code == 0
    code, actual = verify()
    assert code == 0, actual
    line = f"{keys.public[kind]}\n"
    printed = subprocess.run(
        ["ssh-keygen", "-l", "-f", "/dev/stdin"],
        input=line,
        capture_output=True,
        text=True,
        check=True,
    )
    assert actual["records"][0]["key"] == printed.stdout.split()[1]


def test_no_byte_of_an_ssh_key_is_read(project: Project, keys: Keys, tmp_path: Path) -> None:
    """The public half and the agent are enough: the private file need not be there."""
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    names = dict(
        part.split("=", 1)
        for part in agent.replace("\n", ";").split(";")
        if "=" in part and part.startswith("SSH")
    )
    environment = {"SSH_AUTH_SOCK": names["SSH_AUTH_SOCK"], "SSH_AGENT_PID": names["SSH_AGENT_PID"]}
    private = tmp_path / "gone"
    public = make_key(private)
    project.allow(("ada@example.com", public))
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        try:
            subprocess.run(["ssh-add", "-q", str(private)], check=True)
            private.unlink()
            assert sign(Path(f"{private}.pub")).exit_code == 0
        finally:
            subprocess.run(["ssh-agent", "-k"], capture_output=True, check=True)
    assert verify()[0] == 0


TRUST: dict[str, tuple[str, list[str]]] = {
    "another key": ("ada@example.com {other}", ["unknown_signer"]),
    "nobody": ("# nobody yet", ["unknown_signer"]),
    "another person": ("eve@example.com {key}", ["signer_mismatch"]),
    "another purpose": ('ada@example.com namespaces="git" {key}', ["signer_mismatch"]),
    "not valid yet": ('ada@example.com valid-after="29990101Z" {key}', ["signer_mismatch"]),
    "no longer valid then": ('ada@example.com valid-before="20000101Z" {key}', ["signer_mismatch"]),
    "left out by a pattern": ("*@example.com,!ada@* {key}", ["signer_mismatch"]),
    "a pattern": ("*@example.com {key} a comment", []),
    "hidden in a comment": (
        "bob@example.com {other} Bob\u2028ada@example.com {key}",
        ["unknown_signer"],
    ),
    "several, one line each": ("ada@example.com {other}\nada@example.com {key}", []),
    "addresses in quotes": (
        '"bob@example.com,ada@example.com" namespaces="git,evalkit*" {key}',
        [],
    ),
    "valid then": (
        'ada@example.com valid-after="20200101",valid-before="29990101120000Z" {key}',
        [],
    ),
}


@pytest.mark.parametrize("kind", ["ed25519", "pem"])
@pytest.mark.parametrize("how", TRUST)
def test_allowed_signers(project: Project, keys: Keys, kind: str, how: str) -> None:
    """Plain Ed25519 signatures are judged as ssh-keygen judges its own."""
    text, expected = TRUST[how]
    project.write(
        "allowed_signers", text.format(key=keys.public[kind], other=keys.public["other"]).encode()
    )
    assert sign(keys[kind]).exit_code == 0
    code, actual = verify()
    reported_codes = [one for one in codes(actual) if one != "not_signed"]
    assert (code, reported_codes) == (3 if expected else 0, expected)


def test_a_certificate(project: Project, keys: Keys, tmp_path: Path) -> None:
    make_key(tmp_path / "certified")
    command = [
        "ssh-keygen",
        "-q",
        "-s",
        str(keys["other"]),
        "-I",
        "ada",
        "-n",
        "ada@example.com",
        str(tmp_path / "certified.pub"),
    ]
    subprocess.run(command, check=True)
    certificate = tmp_path / "certified-cert.pub"
    project.write(
        "allowed_signers", f"*@example.com cert-authority {keys.public['other']}\n".encode()
    )
    (tmp_path / "certified.pub").write_bytes(certificate.read_bytes())
    done = sign(certificate)
    if done.exit_code:
        pytest.skip(f"this ssh-keygen signs with no certificate: {done.output}")
    assert verify()[0] == 0
    project.write(
        "allowed_signers", f"*@example.com cert-authority {keys.public['rsa']}\n".encode()
    )
    assert codes(verify()[1])[0] == "unknown_signer"


def test_a_signature_made_for_something_else(project: Project, keys: Keys) -> None:
    sign(keys["ed25519"])
    (path,) = project.records()
    lines = path.read_bytes().splitlines(keepends=True)
    stored = dsse.parse(lines[0])
    command = ["ssh-keygen", "-Y", "sign", "-f", str(keys["ed25519"]), "-n", "git"]
    forged = subprocess.run(
        command, input=stored.signed_bytes, capture_output=True, check=True
    ).stdout
    path.write_bytes(dsse.render(stored._replace(signature=forged)) + lines[1])
    code, actual = verify()
    assert (code, codes(actual)[0]) == (3, "signature_invalid")


def test_a_signed_payload_of_another_kind(project: Project, keys: Keys) -> None:
    sign(keys["ed25519"])
    (path,) = project.records()
    for payload, message in (
        (b"{}", "not an in-toto Statement of urn:evalkit:signoff:v1"),
        (b"\xff", "the payload is not JSON"),
        (path.read_bytes().splitlines(keepends=True)[1], "not an in-toto Statement"),
        (
            b'{"_type":"https://in-toto.io/Statement/v1","predicateType":"urn:evalkit:signoff:v1"}',
            "does not fit its schema",
        ),
    ):
        path.write_bytes(dsse.render(open_key(keys["ed25519"])(payload)))
        code, actual = verify()
        assert (code, codes(actual)[0]) == (3, "payload_invalid")
        assert message in actual["problems"][0]["message"]


def test_a_decision_that_does_not_name_the_results(project: Project, keys: Keys) -> None:
    """Signed by somebody who may, and bound to nothing that matters."""
    sign(keys["ed25519"], "--gate", "default", "--baseline", "reports/main")
    (path,) = project.records()
    lines = path.read_bytes().splitlines(keepends=True)
    payloads = [json.loads(dsse.parse(line).payload) for line in lines]
    for value in payloads:
        value["subject"] = [one for one in value["subject"] if "cassettes" in one["name"]]
    payloads[0]["predicate"]["testResult"]["digest"]["sha256"] = sha256(
        dsse.encode_payload(payloads[1])
    )
    signer = open_key(keys["ed25519"])
    path.write_bytes(
        b"".join(dsse.render(signer(dsse.encode_payload(value))) for value in payloads)
    )
    code, actual = verify()
    assert code == 3
    about = [
        one["message"].split("expected it to name ")[1].split(",")[0]
        for one in actual["problems"]
        if one["code"] == "file_unsigned"
    ]
    assert about == [
        "reports/latest/manifest.json", "reports/latest/results.jsonl", "reports/latest/tool-versions.json", "suites/s.yaml",
        "reports/main/manifest.json", "reports/main/results.jsonl",
    ]  # fmt: skip


def test_the_payload_is_not_parsed_before_the_key_is_known(
    project: Project, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(keys["other"])
    monkeypatch.setattr("evalkit.signoff.records.read_signoff", lambda *_: pytest.fail("parsed"))
    assert codes(verify()[1])[0] == "unknown_signer"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ada@example.com\n",
            "allowed_signers:1: not an allowed signer (expected 'addresses [options] type key'",
        ),
        (
            '"" ssh-ed25519 AAAA\n',
            "allowed_signers:1: not an allowed signer (expected 'addresses [options] type key'",
        ),
        (
            "\nada@example.com ssh-ed25519 A\n",
            "allowed_signers:2: not an allowed signer (the key is not base64",
        ),
        (
            'ada@example.com valid-after="soon" {key}\n',
            "allowed_signers:1: not an allowed signer ('soon' is not a time",
        ),
        *(
            (
                f"ada@example.com {options} {{key}}\n",
                "expected each once: cert-authority, namespaces=",
            )
            for options in (
                'valid-befor="20200101"',
                "valid-before=20200101",
                'namespaces="git",no-touch',
                'valid-before="20200101",valid-before="29990101"',
                'valid-before="20200101"valid-after="20100101"',
            )
        ),
    ],
)
def test_invalid_allowed_signers(project: Project, keys: Keys, text: str, message: str) -> None:
    sign(keys["ed25519"])
    project.write("allowed_signers", text.format(key=keys.public["ed25519"]).encode())
    code, actual = verify()
    assert code == 2
    assert message in actual["usage"]


def test_the_source_of_allowed_signers(project: Project, keys: Keys) -> None:
    sign(keys["ed25519"])
    project.write("evalkit.yaml", b"{}\n")
    code, actual = verify()
    assert code == 2
    assert actual["usage"].startswith(
        "evalkit: there are no allowed signers; give --allowed-signers FILE"
    )
    assert verify("--allowed-signers", "allowed_signers")[0] == 0
    assert "cannot be read (No such file" in verify("--allowed-signers", "nowhere")[1]["usage"]
    assert (
        "cannot be used together"
        in verify("--allowed-signers", "x", "--signers-from", "main")[1]["usage"]
    )


def git(project: Project, *arguments: str, who: str = "dev@example.com") -> None:
    identity = [
        "-c",
        f"user.email={who}",
        "-c",
        "user.name=Dev",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "init.defaultBranch=main",
    ]
    subprocess.run(
        ["git", *identity, *arguments], cwd=project.root, check=True, capture_output=True
    )


@pytest.fixture
def repository(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Project:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "one")
    git(project, "branch", "trusted")
    return project


def test_trust_comes_from_the_ref(repository: Project, keys: Keys) -> None:
    """The change under review lets itself in; the ref does not."""
    repository.allow(("ada@example.com", keys.public["other"]))
    git(repository, "commit", "-q", "-am", "let me in")
    sign(keys["other"])
    assert verify()[0] == 0
    code, actual = verify("--signers-from", "trusted")
    assert (code, codes(actual)[0]) == (3, "unknown_signer")
    assert actual["policy"]["signers_from"] == "trusted:allowed_signers"
    repository.write("evalkit.yaml", b"signoff: {allowed_signers: allowed_signers, signers: 1}\n")
    code, actual = verify("--signers-from", "nowhere")
    assert code == 2
    assert "git has no ref 'nowhere'" in actual["usage"]
    assert verify("--signers-from", "--output=x")[0] == 2


def test_policy_comes_from_the_ref(repository: Project, keys: Keys) -> None:
    git(repository, "checkout", "-q", "trusted")
    repository.config("  signers: 2\n")
    git(repository, "commit", "-q", "-am", "two must sign")
    git(repository, "checkout", "-q", "main")
    sign(keys["ed25519"])
    assert verify()[0] == 0
    code, actual = verify("--signers-from", "trusted")
    assert (code, codes(actual)) == (1, ["too_few_signers"])


def test_the_ref_shows_that_the_newest_record_was_removed(repository: Project, keys: Keys) -> None:
    sign(keys["ed25519"])
    sign(keys["ecdsa"], name="Bob", email="bob@example.com", role="lead", decision="rejected")
    git(repository, "add", "-A", "-f")
    git(repository, "commit", "-q", "-m", "signed")
    git(repository, "branch", "-f", "trusted")
    assert codes(verify("--signers-from", "trusted")[1]) == ["rejected"]
    repository.records()[1].unlink()
    assert verify()[0] == 0
    code, actual = verify("--signers-from", "trusted")
    assert code == 3
    assert actual["problems"][0] == {
        "code": "record_missing", "path": "signoffs/0002.intoto.jsonl", "id": "",
        "message": "expected signoffs/0002.intoto.jsonl, which the git ref has, found none",
    }  # fmt: skip
    sign(keys["ed25519"], comment="again")
    assert ("record_changed", "signoffs/0002.intoto.jsonl") in [
        (one["code"], one["path"]) for one in verify("--signers-from", "trusted")[1]["problems"]
    ]


@pytest.mark.parametrize(
    ("who", "changed"),
    [
        ("ada@example.com", "suites/notes.txt"),
        ("ADA@example.com", "cassettes/s/new.yaml"),
        ("ada@example.com", "evalkit.yaml"),
        ("bob@example.com", "suites/notes.txt"),
        ("ada@example.com", "README.md"),
    ],
)
@pytest.mark.parametrize("with_ref", [True, False])
def test_the_author_must_not_approve(
    repository: Project, keys: Keys, who: str, changed: str, with_ref: bool
) -> None:
    git(repository, "checkout", "-q", "main")
    repository.config("  author_is_not_approver: true\n")
    git(repository, "commit", "-q", "-am", "policy")
    git(repository, "branch", "-f", "trusted")
    git(repository, "checkout", "-q", "-b", "change")
    repository.write(changed, (repository.root / "evalkit.yaml").read_bytes() + b"# changed\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "change", who=who)
    # A later trivial commit of somebody else hides nobody.
    repository.write("suites/more.txt", b"trivial\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "trivial")
    sign(keys["ed25519"])
    code, actual = verify(*(["--signers-from", "trusted"] if with_ref else []))
    is_author = who.lower().startswith("ada") and changed != "README.md"
    authors = {"dev@example.com"} | ({who} if changed != "README.md" else set())
    assert set(actual["records"][0]["authors"]) == authors
    expected = ["author_approved"] if is_author else []
    assert (code, codes(actual)) == (1 if expected else 0, expected)


@pytest.mark.parametrize("how", ["committer", "co-author", "uncommitted", "no branch"])
def test_everybody_who_took_part_is_an_author(repository: Project, keys: Keys, how: str) -> None:
    repository.config("  author_is_not_approver: true\n")
    repository.write("suites/notes.txt", b"changed\n")
    git(repository, "add", "-A")
    ada = "Ada <ada@example.com>"
    if how == "committer":
        git(repository, "commit", "-qm", "a", "--author=X <x@x.y>", who="ada@example.com")
    elif how == "co-author":
        git(repository, "commit", "-qm", f"a\n\nCo-authored-by: {ada}")
    elif how == "uncommitted":
        git(repository, "config", "user.email", "ada@example.com")
    else:
        git(repository, "commit", "-qm", "a", f"--author={ada}")
        git(repository, "branch", "-D", "trusted")
    sign(keys["ed25519"])
    assert codes(verify()[1]) == ["author_approved"]


def test_what_was_before_the_base_does_not_count(repository: Project, keys: Keys) -> None:
    repository.config("  author_is_not_approver: true\n")
    git(repository, "commit", "-qam", "a", who="ada@example.com")
    repository.write("suites/notes.txt", b"changed\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "b")
    sign(keys["ed25519"], base="HEAD~1")
    code, actual = verify("--signers-from", "HEAD~1")
    assert (code, actual["records"][0]["authors"]) == (0, ["dev@example.com"])


def test_securesystemslib_accepts_our_envelopes(project: Project, keys: Keys) -> None:
    """Plain Ed25519 with its own key class; SSH through a key class that asks ssh-keygen about the bytes securesystemslib gives it."""
    dsse = pytest.importorskip("securesystemslib.dsse")
    from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
    from securesystemslib.signer._key import Key, SSlibKey

    class SshKey(Key):
        @classmethod
        def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> Any:
            raise NotImplementedError

        def to_dict(self) -> dict[str, Any]:
            raise NotImplementedError

        def verify_signature(self, signature: Any, data: bytes) -> None:
            path = project.root / "signature"
            path.write_bytes(bytes.fromhex(signature.signature))
            command = ["ssh-keygen", "-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(path)]
            if subprocess.run(command, input=data, capture_output=True, check=False).returncode:
                raise UnverifiedSignatureError

    sign(keys["pem"], email="pem@example.com")
    sign(keys["ecdsa"], email="bob@example.com")
    raw = ssh.ed25519_raw(base64.b64decode(keys.public["pem"].split()[1]))
    assert raw is not None
    lines = [
        json.loads(line) for path in project.records() for line in path.read_bytes().splitlines()
    ]
    assert len(lines) == 3
    for value in lines:
        keyid = value["signatures"][0]["keyid"]
        kind = "plain" if value is not lines[2] else "ssh"
        key = (
            SSlibKey(keyid, "ed25519", "ed25519", {"public": raw.hex()})
            if kind == "plain"
            else SshKey(keyid, "x", "x", {})
        )
        stored = dsse.Envelope.from_dict(json.loads(json.dumps(value)))
        assert stored.payload_type == "application/vnd.in-toto+json"
        assert list(stored.verify([key], 1)) == [keyid]
        stored.payload += b" "
        with pytest.raises(VerificationError):
            stored.verify([key], 1)


def test_help_says_where_trust_comes_from() -> None:
    done = evalkit("verify", "--help")
    assert "--signers-from REF" in done.output
    assert "3 a file is not what was signed" in done.output
