"""Choices of one run, or of two, paired with each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.compare.runs import compare
from evalkit.compare.selection import choices_of, parse_choice
from evalkit.errors import UsageError
from evalkit.results import Run
from tests.compare.lines import line, rows


def write_run(folder: Path, lines: list[dict[str, Any]]) -> Run:
    folder.mkdir()
    (folder / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    manifest = {"schema_version": 1, "complete": True, "options": {}, "suites": []}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Run(folder)


def variant(scenario: str, verdict: str = "passed", **choices: Any) -> dict[str, Any]:
    """Return a line of a variant; each choice is a setting and a part."""
    labels = {True: "streamed", False: "plain"}
    parts = [labels.get(value, value) for value in choices.values()]
    built = line(scenario, verdict, parts=parts, model=choices.get("model", "m"))
    built["variant"] |= choices
    return built


def matrix(**verdicts: str) -> list[dict[str, Any]]:
    """Return two scenarios of two axes, all passed but those given as ``scenario_prompt_style``."""
    return [
        variant(
            scenario, verdicts.get(f"{scenario}_{prompt}_{style}", "passed"),
            prompt=prompt, style=style,
        )
        for scenario in ("a", "b")
        for prompt in ("current", "shorter")
        for style in ("calm", "wild")
    ]  # fmt: skip


def choices(*texts: str) -> list[Any]:
    return [parse_choice(text) for text in texts]


def test_variants_that_differ_only_in_the_axis_are_paired(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", matrix(b_shorter_wild="failed"))
    actual = compare(
        run,
        run,
        baseline_choices=choices("prompt=current"),
        candidate_choices=choices("prompt=shorter"),
    )

    assert [(pair.baseline.id, pair.candidate.id) for pair in actual.pairing.pairs] == [
        (f"s::{name}[current-{style}]", f"s::{name}[shorter-{style}]")
        for name in ("a", "b")
        for style in ("calm", "wild")
    ]
    assert [pair.candidate.id for pair in actual.changed("regressed")] == ["s::b[shorter-wild]"]
    assert actual.baseline.name == f"{run.directory} (prompt=current)"
    assert actual.pairing.added == actual.pairing.removed == []


def test_choices_of_several_axes_are_all_of_them(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", matrix())
    actual = compare(
        run,
        run,
        baseline_choices=choices("prompt=current", "style=calm"),
        candidate_choices=choices("prompt=shorter", "style=wild"),
    )
    assert [pair.candidate.id for pair in actual.pairing.pairs] == [
        "s::a[shorter-wild]",
        "s::b[shorter-wild]",
    ]


@pytest.mark.parametrize("value", ["true", "streamed"])
def test_a_setting_is_an_axis_by_its_value_or_its_part(tmp_path: Path, value: str) -> None:
    run = write_run(
        tmp_path / "run",
        [variant("a", stream=stream, history="stateful") for stream in (False, True)],
    )
    actual = compare(
        run,
        run,
        baseline_choices=choices("stream=plain"),
        candidate_choices=choices(f"stream={value}"),
    )
    assert len(actual.pairing.pairs) == 1


def test_within_a_run_only_scenarios_with_several_choices_are_compared(tmp_path: Path) -> None:
    lines = [variant("a", history=one) for one in ("stateful", "stateless")]
    run = write_run(tmp_path / "run", [*lines, line("b")])
    actual = compare(
        run,
        run,
        baseline_choices=choices("history=stateful"),
        candidate_choices=choices("history=stateless"),
    )
    assert [pair.baseline.id for pair in actual.pairing.pairs] == ["s::a[stateful]"]
    assert actual.pairing.removed == []


def test_a_choice_is_compared_with_a_run_without_the_axis(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", [line("a"), line("b")])
    new = write_run(
        tmp_path / "new", [variant(name, prompt=one) for name in "ab" for one in ("x", "y")]
    )
    actual = compare(old, new, candidate_choices=choices("prompt=y"))
    assert [pair.candidate.id for pair in actual.pairing.pairs] == ["s::a[y]", "s::b[y]"]


def test_choices_of_two_runs(tmp_path: Path) -> None:
    old, new = (write_run(tmp_path / name, matrix()) for name in ("old", "new"))
    both = choices("prompt=current")
    assert len(compare(old, new, baseline_choices=both, candidate_choices=both).pairing.pairs) == 4


def test_a_model_that_differs_beside_the_axis_is_noted(tmp_path: Path) -> None:
    models = {("a", "old"): "m", ("a", "new"): "n", ("b", "old"): "m", ("b", "new"): "m"}
    lines = [variant(name, engine=engine) for name, engine in models]
    for each, model in zip(lines, models.values(), strict=True):
        each["variant"]["model"] = model
    run = write_run(tmp_path / "run", lines)
    actual = compare(
        run,
        run,
        baseline_choices=choices("engine=old"),
        candidate_choices=choices("engine=new"),
    )
    assert actual.notes == ["the models differ, too (1 pair): a change may be due to the model"]


REFUSED = [
    (["promt=current"], ["prompt=shorter"],
     "no result has the axis 'promt' (did you mean 'prompt'?); valid: history, model, prompt, style"),
    (["prompt=current"], ["prompt=shortr"],
     "no result of prompt 'shortr' (did you mean 'shorter'?); valid: current, shorter"),
    (["model=n"], ["model=m"], "no result of model 'n'; valid: m"),
    (["prompt=current"], ["prompt=current"], "a run cannot be compared with itself"),
    (["prompt=current"], ["style=calm"], "a run cannot be compared with itself"),
    (["prompt=current", "style=calm"], ["prompt=shorter"],
     "--candidate must name a choice of 'style', too: its results have several (calm, wild)"),
    (["history=stateful"], ["prompt=shorter"],
     "no result has all of history=stateful as one of several choices; name another run"),
    (["prompt=current", "prompt=shorter"], ["prompt=shorter"],
     "no result has all of prompt=current, prompt=shorter"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), REFUSED, ids=range(len(REFUSED)))
def test_choices_that_cannot_be_compared(
    tmp_path: Path, old: list[str], new: list[str], message: str
) -> None:
    run = write_run(tmp_path / "run", matrix())
    with pytest.raises(UsageError) as caught:
        compare(run, run, baseline_choices=choices(*old), candidate_choices=choices(*new))
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "prompt", "prompt=", "=current"])
def test_a_choice_is_an_axis_and_its_choice(text: str) -> None:
    with pytest.raises(UsageError, match="is not a choice"):
        parse_choice(text)


def test_choices_of_lists_every_axis() -> None:
    assert choices_of(rows(matrix())) == {
        "model": ["m"],
        "history": ["stateful"],
        "prompt": ["current", "shorter"],
        "style": ["calm", "wild"],
    }
