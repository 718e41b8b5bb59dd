"""The formats: envelopes, payloads, armor, allowed signers, manifest, schemas."""

from __future__ import annotations

import base64
import json
import subprocess
from contextlib import suppress
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.signoff import digest_manifest, in_toto, ssh
from evalkit.signoff.dsse import Envelope, encode_payload, pae, parse, render
from evalkit.signoff.problems import CODES, InvalidEvidence
from evalkit.signoff.result_evidence import read_results
from tests.signoff.conftest import Keys
from tests.signoff.signing_project import NAMESPACE, Project, result, sign

JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        (
            "http://example.com/HelloWorld",
            b"hello world",
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world",
        ),
        ("", b"", b"DSSEv1 0  0 "),
        ("é", b"\x00 \n", b"DSSEv1 2 \xc3\xa9 3 \x00 \n"),
    ],
)
def test_the_encoding_that_is_signed(kind: str, payload: bytes, expected: bytes) -> None:
    """The first is the test vector of the DSSE specification (protocol.md)."""
    assert pae(kind, payload) == expected


@given(
    st.tuples(st.text(max_size=8), st.binary(max_size=8)),
    st.tuples(st.text(max_size=8), st.binary(max_size=8)),
)
def test_two_pairs_never_have_one_encoding(
    one: tuple[str, bytes], other: tuple[str, bytes]
) -> None:
    assert (pae(*one) == pae(*other)) == (one == other)


@given(JSON_VALUES, st.randoms(use_true_random=False))
def test_equal_values_are_the_same_bytes(value: Any, random: Any) -> None:
    def shuffled(item: Any) -> Any:
        if isinstance(item, dict):
            pairs = list(item.items())
            random.shuffle(pairs)
            return {key: shuffled(inner) for key, inner in pairs}
        return [shuffled(inner) for inner in item] if isinstance(item, list) else item

    data = encode_payload(value)
    assert data == encode_payload(shuffled(value)) == encode_payload(json.loads(data))
    assert json.loads(data) == value
    assert data.isascii()


@given(st.binary(max_size=60), st.text(max_size=20), st.binary(max_size=40), st.data())
def test_an_envelope_has_one_spelling(
    payload: bytes, keyid: str, signature: bytes, data: st.DataObject
) -> None:
    line = render(Envelope(payload, keyid, signature))
    assert parse(line) == Envelope(payload, keyid, signature)
    at = data.draw(st.integers(0, len(line) - 1))
    changed = line[:at] + bytes([line[at] ^ (1 << data.draw(st.integers(0, 7)))]) + line[at + 1 :]
    with suppress(InvalidEvidence):
        assert parse(changed) != parse(line)
    with pytest.raises(InvalidEvidence):
        parse(line[:at])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]\n",
        b"null\n",
        b"[" * 100_000,
        b'{"payload":"","payloadType":"x","signatures":[]}\n',
        b'{"payload":"!","payloadType":"x","signatures":[{}]}\n',
    ],
)
def test_invalid_envelopes(line: bytes) -> None:
    with pytest.raises(InvalidEvidence):
        parse(line)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_armor_has_one_spelling(keys: Keys, kind: str) -> None:
    command = ["ssh-keygen", "-Y", "sign", "-f", str(keys[kind]), "-n", NAMESPACE]
    armored = subprocess.run(command, input=b"hello", capture_output=True, check=True).stdout
    key = ssh.read_signature(armored).key
    assert key == base64.b64decode(keys.public[kind].split()[1])
    assert not ssh.is_certificate(key)
    for other in (
        armored[:-1],
        armored + b"\n",
        armored.replace(b"\n", b"\r\n"),
        armored.replace(b"\n", b" \n", 2),
        b"x" + armored,
        b"",
    ):
        with pytest.raises(InvalidEvidence):
            ssh.read_signature(other)
    blob = base64.b64decode(b"".join(armored.split(b"\n")[1:-2]))
    for cut in range(0, len(blob), 7):
        text = (
            b"-----BEGIN SSH SIGNATURE-----\n%b\n-----END SSH SIGNATURE-----\n"
            % base64.b64encode(blob[:cut])
        )
        with pytest.raises(InvalidEvidence):
            ssh.read_signature(text)


@given(
    st.dictionaries(
        st.text(
            st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
            min_size=1,
            max_size=12,
        ),
        st.sampled_from(["0" * 64, "ab" * 32]),
    )
)
def test_a_manifest_has_one_spelling(digests: dict[str, str]) -> None:
    data = digest_manifest.render(digests)
    assert digest_manifest.parse(data) == digests
    for wrong in (data + b"\n", data[:-1], data.replace(b"ab" * 32, b"AB" * 32)):
        if wrong != data:
            with pytest.raises(InvalidEvidence):
                digest_manifest.parse(wrong)


def test_a_manifest_is_what_sha256sum_prints(project: Project) -> None:
    names = ["suites/s.yaml", "odd name", "line\nbreak", "back\\slash"]
    for name in names:
        project.write(name, name.encode())
    files = {name: digest_manifest.file_digest(project.root / name) for name in names}
    digests = {name: digest for name, digest in files.items() if digest}
    printed = subprocess.run(
        ["sha256sum", *sorted(names)], cwd=project.root, capture_output=True, check=True
    ).stdout
    assert digest_manifest.render(digests) == printed


@pytest.mark.parametrize(
    ("line", "principals", "namespaces", "authority"),
    [
        ("a@x {key}", ("a@x",), None, False),
        ("a@x,b@x {key} some words", ("a@x", "b@x"), None, False),
        ('a@x namespaces="git,file" {key}', ("a@x",), ("git", "file"), False),
        ('  "a b@x,c" cert-authority,namespaces="x" {key}', ("a b@x", "c"), ("x",), True),
    ],
)
def test_allowed_signers(
    line: str, principals: tuple[str, ...], namespaces: tuple[str, ...] | None, authority: bool
) -> None:
    key = ssh.ed25519_wire(bytes(32))
    text = line.format(key=f"ssh-ed25519 {base64.b64encode(key).decode()}")
    (entry,) = ssh.parse_allowed_signers(f"# a comment\n\n{text}\n", "name").keys
    assert (entry.principals, entry.key, entry.namespaces, entry.is_authority) == (
        principals,
        key,
        namespaces,
        authority,
    )
    assert ssh.ed25519_raw(key) == bytes(32)


def test_lines_contain_their_digest() -> None:
    lines = read_results(result("one") + result("two", "failed"))
    assert [(line.id, line.verdict, line.damage) for line in lines] == [
        ("s::one", "passed", ""),
        ("s::two", "failed", ""),
    ]
    assert read_results(result("one")[:-1])[0].damage == "the line is not complete"


@given(st.data())
def test_a_changed_line_is_recognized(data: st.DataObject) -> None:
    row = result("one")
    at = data.draw(st.integers(0, len(row) - 2))
    other = data.draw(st.integers(32, 126).filter(lambda code: code != row[at]))
    lines = read_results(row[:at] + bytes([other]) + row[at + 1 :])
    assert [bool(line.damage) for line in lines] == [True]


def test_statements_fit_their_schemas(project: Project, keys: Keys) -> None:
    sign(keys["ed25519"], "--gate", "default", "--baseline", "reports/main")
    decision, outcome = (
        json.loads(parse(line).payload)
        for line in project.records()[0].read_bytes().splitlines(keepends=True)
    )
    for value, name in ((decision, "signoff"), (outcome, "test-result")):
        schema = json.loads(
            (files("evalkit.signoff") / "schemas" / f"{name}.schema.json").read_text()
        )
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(value)
    assert decision["subject"] == outcome["subject"]
    assert outcome["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    fields = {
        key: outcome["predicate"][key]
        for key in ("result", "passedTests", "warnedTests", "failedTests")
    }
    assert fields == {
        "result": "WARNED",
        "passedTests": ["s::one", "s::three"],
        "warnedTests": ["s::two"],
        "failedTests": [],
    }
    assert outcome["predicate"]["configuration"][0]["name"] == "suites/s.yaml"


def test_every_code_is_one_of_the_two_kinds() -> None:
    assert not CODES["integrity"].keys() & CODES["policy"].keys()
    assert (
        tuple(decision for decision in in_toto.DECISIONS if decision.startswith("approved"))
        == in_toto.APPROVALS
    )
