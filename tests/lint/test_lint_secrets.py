"""Secrets of every known format are found anywhere, random data is not, and no finding repeats one."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from evalkit.cassette.recording import Cassette, Recording
from evalkit.cassette.secret_formats import FORMATS
from evalkit.cli import main
from evalkit.lint import RULES
from evalkit.lint.secret_rules import fingerprint, mask
from tests.lint.cassettes import (
    CREATED,
    DELTA,
    KEY,
    START,
    STOP,
    URI,
    create_request,
    function_call,
    interaction,
    lint_codes,
    lint_findings,
    model_output,
    recording,
    stream_recording,
    user_input,
    write,
)

HEX = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
RANDOM = "0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z"
KNOWN = [
    KEY,
    "AQ." + "Ab8" + RANDOM[:45],
    "ya29." + "a0" + RANDOM,
    "1//0" + RANDOM[:45],
    "GOCSPX-" + RANDOM[:28],
    "ghp_" + RANDOM[:36],
    "github_pat_" + (RANDOM * 2)[:82],
    "sk-proj-" + RANDOM[:48],
    "AKIA" + "IOSFODNN7ABCDEFG",
    "ASIA" + "IOSFODNN7ABCDEFG",
    "glpat-" + RANDOM[:20],
    "sk_live_" + RANDOM[:24],
    "hf_" + RANDOM[:34],
    "xoxb-" + "123456789012-" + RANDOM[:24],
    "whsec_" + RANDOM[:43] + "=",
    "eyJ" + RANDOM[:20] + ".eyJ" + RANDOM[:30] + "." + RANDOM[:43],
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----",
    "glrt-" + RANDOM[:20],
    "rk_test_" + RANDOM[:24],
    "gsk_" + RANDOM,
    "xai-" + (RANDOM * 2)[:80],
    "pplx-" + RANDOM[:48],
    "r8_" + RANDOM[:37],
    "nvapi-" + (RANDOM * 2)[:64],
    "npm_" + RANDOM[:36],
    "pypi-AgEIcHlwaS5vcmc" + RANDOM,
    "dckr_pat_" + RANDOM[:27],
    "SG." + RANDOM[:22] + "." + RANDOM[:43],
    "shpat_" + HEX,
    "dapi" + HEX,
    "dop_v1_" + HEX * 2,
    "hvs." + RANDOM[:28],
    "glsa_" + RANDOM[:32] + "_0a1b2c3d",
    "ATATT3" + (RANDOM * 2)[:90],
    "123456789:AA" + RANDOM[:33],
    "hooks.slack.com/services/T0AB12CD3/B0AB12CD3/" + RANDOM[:24],
    "/api/webhooks/123456789012345678/" + (RANDOM * 2)[:68],
    "lin_api_" + RANDOM[:40],
    "ntn_" + RANDOM[:46],
    "figd_" + RANDOM[:40],
    "PMAK-" + RANDOM[:24] + "-" + RANDOM[:34],
    "AGE-SECRET-KEY-1" + (RANDOM * 2)[:58].upper(),
    "xapp-1-A0AB12CD3-" + RANDOM,
    ".".join(("eyJ" + RANDOM[:20], RANDOM, RANDOM[:16], RANDOM, RANDOM[:22])),
    "Private-Lines: 1 " + RANDOM,
    "robot-7@my-project.iam.gserviceaccount.com",
]


@pytest.mark.parametrize("secret", KNOWN, ids=lambda secret: secret[:6])
@pytest.mark.parametrize("place", ["uri", "request", "answer", "header", "broken"])
def test_a_known_format_is_found_anywhere(secret: str, place: str, tmp_path: Path) -> None:
    recordings: dict[str, Recording] = {
        "uri": recording(create_request(), interaction(), uri=f"{URI}?note={secret}"),
        "request": recording(create_request(input=f"see {secret}."), interaction()),
        "answer": recording(create_request(), interaction(model_output(f'"{secret}"'))),
        "header": recording(
            create_request(),
            interaction(),
            response_headers={"content-type": ["application/json"], "x-debug": [secret]},
        ),
        "broken": recording(create_request(), interaction(), broken=f"cut after {secret}"),
    }
    findings = [
        finding
        for finding in lint_findings(write(tmp_path / "c.yaml", recordings[place]))
        if RULES[finding.code].topic == "secrets"
    ]
    assert len(findings) >= 1
    assert findings[0].got == fingerprint(secret)
    assert secret not in json.dumps([finding.to_json() for finding in findings])


def test_every_format_is_among_the_examples() -> None:
    examples = [*KNOWN, "https://x.example/v1/projects/123456789012/locations"]
    assert [
        known.description
        for known in FORMATS
        if not any(known.find.search(text) for text in examples)
    ] == []


def test_a_key_spread_over_the_events_of_a_stream_is_found(tmp_path: Path) -> None:
    deltas = [
        {**DELTA, "delta": {"type": "text", "text": part}}
        for part in (KEY[:10], KEY[10:30], KEY[30:])
    ]
    completed = {
        "event_type": "interaction.completed",
        "interaction": {"id": "v1_a", "status": "completed"},
    }
    path = write(tmp_path / "c.yaml", stream_recording((CREATED, START, *deltas, STOP, completed)))
    assert lint_codes(path) == ["secret_token"]


@given(st.binary(min_size=60, max_size=400))
def test_random_data_is_not_a_secret(data: bytes) -> None:
    """Signatures and media are one run of the Base64 alphabet."""
    encoded = base64.b64encode(data).decode()
    assert [known.description for known in FORMATS if known.find.search(encoded)] == []


def test_a_key_inside_base64_is_not_one() -> None:
    inside = "q/AIza" + "b" * 35 + "+x=="
    assert [known.description for known in FORMATS if known.find.search(inside)] == []
    assert mask(inside) == "q/AIza… (39 characters)+x=="


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
def test_no_finding_of_any_rule_repeats_a_secret(as_json: bool, tmp_path: Path) -> None:
    path = write(
        tmp_path / "c.yaml",
        recording(
            create_request(store=False, input=[user_input()], **{KEY: KEY}),
            interaction(
                {**function_call(), KEY: 1, "arguments": KEY},
                id=None,
                status=KEY,
                **{f"x {KEY}": KEY},
            ),
            uri=f"https://me:hunter2-hunter2@x.example/v1beta/interactions?key={KEY}",
            request_headers={"authorization": [f"Bearer {KEY}"], "cookie": [f"SID={KEY}"]},
        ),
        recording(
            create_request(store=False, input=[user_input(KEY)], previous_interaction_id=KEY),
            f"<html>{KEY}</html>",
        ),
        recording(create_request(), {"oops": KEY}, status=400, broken=KEY),
        metadata={"format": KEY, "recorded": "2020-01-01T00:00:00Z", "api_revision": KEY},
    )
    result = CliRunner().invoke(main, ["lint", str(path), *(["--json"] if as_json else [])])
    assert result.exit_code == 1
    assert KEY not in result.output.replace("\n", "").replace(" ", "")
    assert "hunter2-hunter2" not in result.output
    assert "AIza… (39 characters)" in (
        result.output if not as_json else json.dumps(json.loads(result.output), ensure_ascii=False)
    )


def test_metadata_are_searched_too(tmp_path: Path) -> None:
    path = write(
        tmp_path / "c.yaml",
        recording(create_request(), interaction()),
        metadata={"endpoint": f"http://x.example/?key={KEY}"},
    )
    assert lint_codes(path) == ["secret_token"]
    assert Cassette().metadata == {}
