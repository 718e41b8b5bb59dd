"""Transcripts reconstructed from the shipped cassettes equal those of the engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.cassette.files import load_cassette
from evalkit.conversation.demultiplex import split_conversations
from evalkit.conversation.reconstruct import request_of, transcript_of
from evalkit.conversation.side_requests import is_side_request
from evalkit.plugins import Catalog
from evalkit.session import Runner, Settings
from evalkit.suite import Variant, expand, load

ROOT = Path(__file__).parents[2]
VARIANTS = [
    variant
    for path in sorted((ROOT / "suites").glob("*.yaml"))
    for variant in expand(load(path, root=ROOT, checks=Catalog()))
]


def essence(turn: dict[str, Any]) -> dict[str, Any]:
    common = {key: turn[key] for key in ("number", "text", "status", "outcome", "steps")}
    return {
        **common,
        "user": turn["user"],
        "exchanges": [exchange["number"] for exchange in turn["exchanges"]],
    }


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.id)
def test_reconstructed_transcript_equals_the_transcript_of_the_engine(variant: Variant) -> None:
    cassettes = ROOT / "cassettes"
    line = json.loads(Runner(Settings(root=ROOT, cassettes=cassettes)).run(variant).line)
    cassette = load_cassette(cassettes / variant.cassette)
    assert cassette is not None
    asides = [
        number
        for number, recording in enumerate(cassette.recordings)
        if is_side_request(request_of(recording))
    ]
    talk = [number for number in range(len(cassette.recordings)) if number not in asides]
    assert split_conversations(cassette.recordings) == sorted(
        [talk, *([number] for number in asides)]
    ), "a judge's question is a conversation of its own"
    taped = transcript_of(cassette)
    turns_run = [turn for turn in line["turns"] if turn["outcome"] != "not_run"]
    assert [essence(turn.to_json()) for turn in taped.turns] == [
        essence(turn) for turn in turns_run
    ]
    assert {word: taped.settings[word] for word in ("history", "stream", "background")} == {
        word: variant.settings[word] for word in ("history", "stream", "background")
    }
