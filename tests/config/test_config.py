"""``evalkit.yaml``: finding it, reading it, and locating every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.checks.core.pricing import cost_of
from evalkit.compare.gates import Gate
from evalkit.compare.rows import Prices
from evalkit.config import Config, find_config, load_config
from evalkit.errors import Misconfigured, UsageError

GOOD = """\
prices:
  gemini-3.5-flash: {input_per_million: 0.5, output_per_million: 2, cached_per_million: 0.1}
gates:
  release:
    description: What a new revision must hold.
    max_regressions: 2
    non_inferiority: {margin: 0.05}
    min_pass_rate: 0.9
  strict:
    min_pass_rate: {rate: 0.9, lower_bound: 0.85}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "evalkit.yaml"
    path.write_text(text, "utf-8")
    return path


def test_a_valid_file_is_read(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    name, gate = config.gate("release")
    assert gate is not None
    assert (name, gate.max_regressions, gate.max_errors) == ("release", 2, 0)
    assert gate.non_inferiority is not None
    assert gate.non_inferiority.confidence == 0.95
    assert config.gate(None) == ("default", None)


def test_a_gate_called_default_is_the_default(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "gates: {default: {max_regressions: 7}}"))
    assert config.gate(None)[1] == Gate(max_regressions=7)


def test_the_file_is_found_from_anywhere_in_the_project(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_config(inner) == find_config(tmp_path) == path
    assert load_config(path) == load_config(None) == Config()
    (tmp_path / "a" / ".git").mkdir()
    assert find_config(inner) is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(), "unknown gate 'relase'; evalkit.yaml declares none"),
        (
            Config.model_validate({"gates": {"release": {}}}),
            "unknown gate 'relase' (did you mean 'release'?); valid: release",
        ),
    ],
)
def test_an_unknown_gate_is_refused(config: Config, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        config.gate("relase")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("gate: {}", ["1:1 unknown key 'gate' (did you mean 'gates'?); valid: gates, prices"]),
        ("- a", ["1:1 evalkit.yaml takes a mapping"]),
        ("gates: []", ["1:8 'gates' takes a mapping, not []"]),
        ("gates:\n  a:\n", ["2:3 'a' takes a mapping, not an empty value"]),
        (
            "gates:\n  a: {max_regresions: 1}",
            ["2:7 gates.a: unknown key 'max_regresions' (did you mean 'max_regressions'?)"],
        ),
        (
            "gates:\n  a:\n    min_pass_rate: 90",
            ["3:20 gates.a: 'min_pass_rate' takes at most 1, not 90"],
        ),
        (
            "gates:\n  a:\n    min_pass_rate: {rate: 90}",
            ["3:27 gates.a: 'rate' takes at most 1, not 90"],
        ),
        (
            "gates:\n  a:\n    max_regressions: -1\n    tokens: {max_increase: lots}",
            [
                "3:22 gates.a: 'max_regressions' takes at least 0, not -1",
                "4:28 gates.a: 'max_increase' takes a number, not \"lots\"",
            ],
        ),
        (
            "prices:\n  m: {input_per_million: .inf, output_per_million: true}",
            [
                "2:26 prices.m: 'input_per_million' takes a finite number, not Infinity",
                "2:52 prices.m: 'output_per_million' takes a number, not true",
            ],
        ),
        (
            "gates:\n  a: {non_inferiority: {margin: .nan}, max_errors: true, allow: {'s::a': ''}}",
            [
                "2:33 gates.a: 'margin' takes a finite number, not NaN",
                "2:52 gates.a: 'max_errors' takes a whole number, not true",
                "2:74 gates.a: 's::a' takes a text that is not empty, not \"\"",
            ],
        ),
        ("gates:\n  a: {cost: {max_mean: .inf}}", ["2:24 gates.a: 'max_mean' takes a finite"]),
        ("prices:\n  m: {input_per_million: 1}", ["2:6 missing key 'output_per_million'"]),
        ("gates:\n\ta: {}", ["2:1 "]),
        ("gates: {a: {max_regressions: 1}}\ngates: {}", ["2:1 "]),
    ],
)
def test_mistakes_are_located(tmp_path: Path, text: str, messages: list[str]) -> None:
    with pytest.raises(Misconfigured) as caught:
        load_config(write(tmp_path, text))
    message_text = str(caught.value)
    for message in messages:
        assert f"evalkit.yaml:{message}" in message_text
    assert message_text.count("evalkit.yaml:") == len(messages)
    assert "^" in message_text


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evalkit.yaml"
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"evalkit\.yaml cannot be read"):
        load_config(path)


@pytest.mark.parametrize(
    ("tokens", "cost"),
    [
        ({"total_input_tokens": 1_000_000, "total_output_tokens": 0}, 0.5),
        (
            {
                "total_input_tokens": 1_000_000,
                "total_cached_tokens": 1_000_000,
                "total_output_tokens": 1_000_000,
            },
            2.1,
        ),
        (
            {
                "total_input_tokens": 0,
                "total_output_tokens": 0,
                "total_thought_tokens": 500_000,
                "total_tool_use_tokens": 100_000,
            },
            1.05,
        ),
        (
            {
                "total_input_tokens": 100_000,
                "total_output_tokens": 200_000,
                "total_tokens": 1_000_000,
            },
            1.85,
        ),
        ({"total_input_tokens": 5}, None),
        ({"total_tokens": 5}, None),
        ({}, None),
    ],
)
def test_the_cost_of_tokens_is_computed(tokens: dict[str, int], cost: float | None) -> None:
    prices = Prices(input_per_million=0.5, output_per_million=2, cached_per_million=0.1)
    assert cost_of(tokens, prices) == (None if cost is None else pytest.approx(cost))


def test_cached_tokens_without_a_price_cost_as_much_as_input() -> None:
    tokens = {
        "total_input_tokens": 2_000_000,
        "total_cached_tokens": 1_000_000,
        "total_output_tokens": 0,
    }
    assert cost_of(tokens, Prices(input_per_million=0.5, output_per_million=2)) == 1
