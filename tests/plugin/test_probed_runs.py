"""Runs that are probed: what their expectations notice, and what they let pass."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from tests.plugin.project import Project

SHIPPED = Path(__file__).parents[2]
RUN = "reports/latest"
WEAK = """\
suite: weak
defaults: {model: gemini-3.5-flash, history: [stateful, stateless]}
tools:
  get_current_temperature:
    description: Gets the current temperature for a given location.
    parameters: {type: object, properties: {location: {type: string}}, required: [location]}
    result: {temperature: "22"}
scenarios:
  - id: london
    tools: [get_current_temperature]
    turns:
      - user: What is the temperature in London?
        expect: [{status: completed}]
      - user: Explain how AI works in a few words
  - id: streamed
    stream: true
    turns: [{user: Explain how AI works in a few words}]
"""


COUNTS = (
    '{"strength": 0.5, "caught": 1, "survived": 1, "accepted": 1, "equivalent": 1, "undecided": 1}'
)


def probe(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["probe", *arguments])


def strength(project: Project) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((project.root / RUN / "strength.json").read_text())
    return value


@pytest.fixture
def weak(project: Project) -> Project:
    (project.root / "suites/weather.yaml").unlink()
    project.suite("weak", WEAK)
    project.record()
    return project


def test_what_is_noticed_and_what_is_not(weak: Project) -> None:
    result = probe(RUN)
    assert result.exit_code == 0, result.output
    record = strength(weak)
    # What is on by default: calls that do not fit, histories, streams.
    for name in ("argument_dropped", "call_other_tool", "history_rewritten", "stream_cut"):
        assert set(record["operators"][name]) == {"caught"}, name
    assert set(record["operators"]["number_changed"]) == {"survived"}
    assert set(record["operators"]["call_doubled"]) == {"survived"}
    assert 0 < record["strength"] < 1
    assert f"strength {record['strength']:.0%}" in result.output
    assert "weak::london (2 variants)  (suites/weak.yaml:9)" in result.output
    assert 'called with location "Londonx" instead of "London"' in result.output


def test_every_suggestion_catches_its_mutant(weak: Project) -> None:
    probe(RUN)
    survivors = strength(weak)["survivors"]
    suggested = [one for one in survivors if one["suggestion"] and one["turn"]]
    assert len({one["operator"] for one in suggested}) > 8
    suite = yaml.safe_load(WEAK)
    turns = {
        (f"weak::{scenario['id']}", number): turn
        for scenario in suite["scenarios"]
        for number, turn in enumerate(scenario["turns"], 1)
    }
    for one in suggested:
        expect = turns[one["scenario"].partition("[")[0], one["turn"]].setdefault("expect", [])
        if one["suggestion"] not in expect:
            expect.append(one["suggestion"])
    weak.suite("weak", yaml.safe_dump(suite, sort_keys=False))
    assert weak.run("suites").ret == 0
    probe(RUN)
    left = {(one["scenario"], one["turn"], one["change"]) for one in strength(weak)["survivors"]}
    assert not left & {(one["scenario"], one["turn"], one["change"]) for one in suggested}


def test_the_same_seed_gives_the_same_mutants(weak: Project) -> None:
    probe(RUN)
    first = strength(weak)
    probe(RUN)
    assert strength(weak) == first
    probe(RUN, "--most", "1")
    assert strength(weak)["caught"] < first["caught"]


def test_the_strength_is_in_the_reports(weak: Project) -> None:
    probe(RUN)
    text = re.escape(f"strength {strength(weak)['strength']:.0%}")
    for name in ("summary.md", "index.html"):
        assert re.search(
            rf"Expectations: {text} \(\d+ of \d+", (weak.root / RUN / name).read_text()
        )


def test_accepted_survivors_do_not_count(weak: Project) -> None:
    assert probe(RUN, "--min-strength", "1").exit_code == 1
    accepted = probe(RUN, "--accept")
    assert accepted.exit_code == 0
    assert "survivors added to evalkit-accepted.yaml" in accepted.output
    again = probe(RUN, "--min-strength", "1")
    assert again.exit_code == 0, again.output
    record = strength(weak)
    assert (record["survived"], record["strength"]) == (0, 1.0)
    assert record["accepted"] > 10
    assert re.search(r"strength 100% \(\d+ of \d+ mutants caught; \d+ accepted", again.output)


def test_accepted_survivors_are_edited_and_added_to(weak: Project) -> None:
    path = weak.root / "evalkit-accepted.yaml"
    assert probe(RUN, "--accept", "--operator", "number_changed").exit_code == 0
    numbers = yaml.safe_load(path.read_text())["accepted"]
    assert numbers
    assert probe(RUN, "--accept", "--operator", "secret_added").exit_code == 0
    both = yaml.safe_load(path.read_text())["accepted"]
    assert set(numbers) < set(both)
    path.write_text("accepted:\n" + "".join(f"- {json.dumps(name)}\n" for name in both[1:]))
    probe(RUN)
    assert strength(weak)["accepted"] == len(both) - 1
    for emptied in ("accepted:\n", "# nothing is accepted\n"):
        path.write_text(emptied)
        assert probe(RUN).exit_code == 0
        assert strength(weak)["accepted"] == 0


def test_an_answer_that_no_expectation_can_quote(weak: Project) -> None:
    for path in (weak.root / "cassettes").rglob("london*.yaml"):
        path.write_text(path.read_text().replace("learns patterns", "learns 2 {{ 2 }} \u202e"))
    assert weak.run("suites").ret == 0
    result = probe(RUN, "--all")
    assert result.exit_code == 0, result.output
    changes = [one for one in strength(weak)["survivors"] if "{{ 2 }}" in one["change"]]
    assert {one["suggestion"] for one in changes} == {None}
    assert "\u202e" not in result.output


@pytest.mark.parametrize("value", ["1e400", "[" * 450 + "]" * 450, "12345678901234567890.10"])
def test_arguments_that_are_hard_to_quote(weak: Project, value: str) -> None:
    for path in (weak.root / "cassettes").rglob("london*.yaml"):
        text = path.read_text()
        assert '"location": "London"' in text
        path.write_text(text.replace('"location": "London"', f'"location": "London", "n": {value}'))
    assert weak.run("suites").ret == 0
    result = probe(RUN, "--all")
    assert result.exit_code == 0, result.output
    assert "called with" in result.output
    assert "!!float" not in result.output


def test_suites_are_replayed_first(weak: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.delenv("PYTEST_PLUGINS")
    result = probe("suites/weak.yaml")
    assert result.exit_code == 0, result.output
    assert "strength " in result.output
    assert not (weak.root / RUN / "strength.json").exists()


def test_judges_and_simulated_users_get_their_recorded_answers(project: Project) -> None:
    (project.root / "suites/weather.yaml").unlink()
    for name in ("judged", "simulated"):
        project.suite(name, (SHIPPED / f"suites/{name}.yaml").read_text())
    for folder in ("cassettes", "suites/_snapshots"):
        shutil.copytree(SHIPPED / folder, project.root / folder)
    assert project.run("suites").ret == 0
    result = probe(RUN)
    assert result.exit_code == 0
    record = strength(project)
    assert "judge (suites/judged.yaml:14)" in record["not_asked"]
    assert not any(name.startswith("judge") for name in record["checks"])
    assert f"not asked, because a model judges: {record['not_asked'][0]}" in result.output
    doubled = [one for one in record["survivors"] if one["operator"] == "usage_doubled"]
    assert record["operators"]["usage_doubled"] == {"survived": len(doubled)}
    # Within a simulated dialogue there is no place for an expectation.
    inner = {one["turn"] for one in doubled if one["suggestion"] is None}
    assert inner == {1, 2}


def test_a_call_that_is_added_is_answered_once(weak: Project) -> None:
    probe(RUN)
    assert strength(weak)["operators"]["call_added"] == {"survived": 2}


def test_the_strength_of_some_operators_is_not_that_of_the_run(weak: Project) -> None:
    result = probe(RUN, "--operator", "number_changed")
    assert "strength 0% (0 of " in result.output
    assert not (weak.root / RUN / "strength.json").exists()


def test_new_results_have_no_strength(weak: Project) -> None:
    probe(RUN)
    merged = CliRunner().invoke(main, ["merge", RUN, "--output", "reports/merged"])
    assert merged.exit_code == 0, merged.output
    shutil.copy(weak.root / RUN / "strength.json", weak.root / "reports/merged")
    CliRunner().invoke(main, ["merge", RUN, "--output", "reports/merged"])
    assert not (weak.root / "reports/merged/strength.json").exists()
    weak.run("suites")
    assert not (weak.root / RUN / "strength.json").exists()


def test_what_cannot_be_probed_is_left_out(weak: Project) -> None:
    weak.suite("weak", WEAK.replace("{status: completed}", "{text: no such words}"))
    weak.run("suites")
    result = probe(RUN)
    london = "weak::london[stateful], weak::london[stateless]"
    assert f"left out, because it failed: {london}" in result.output
    assert strength(weak)["scenarios"] == 2
    weak.suite("weak", WEAK)
    assert f"left out, because it failed: {london}" in probe(RUN).output
    weak.run("suites")
    weak.suite("weak", WEAK.replace("{status: completed}", "{text: no such words}"))
    stale = probe(RUN)
    assert "because it does not pass the present suites: text (suites/weak.yaml:13)" in stale.output
    weak.suite("weak", WEAK.replace("id: london", "id: paris"))
    assert f"because it is not in the suites any more: {london}" in probe(RUN).output


def test_a_test_of_an_application_is_left_out(weak: Project) -> None:
    path = weak.root / RUN / "results.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**line, "kind": "test"}) + "\n" for line in lines))
    result = probe(RUN)
    assert "left out, because an application's code runs the conversation" in result.output
    assert strength(weak)["strength"] is None
    assert probe(RUN, "--min-strength", "0.1").exit_code == 1


def test_a_signed_run_is_not_changed(weak: Project) -> None:
    (weak.root / RUN / "signoffs").mkdir()
    result = probe(RUN)
    assert "is signed, so the strength is not added" in result.output
    assert not (weak.root / RUN / "strength.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: neither a run directory nor a suite"),
        (["suites/weak.yaml", "nowhere"], "nowhere: neither a run directory nor a suite"),
        ([RUN, "--operator", "number_chnged"], "did you mean 'number_changed'?"),
        ([RUN, "--min-strength", "70"], "is not in the range"),
    ],
)
def test_wrong_usage(weak: Project, arguments: list[str], message: str) -> None:
    result = probe(*arguments)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    "change", [{"turns": [{"number": 1}]}, {"settings": None}, {"checks": 3}, {"trial": ...}]
)
def test_a_line_that_is_not_a_result(weak: Project, change: dict[str, Any]) -> None:
    path = weak.root / RUN / "results.jsonl"
    first, *lines = path.read_text().splitlines()
    changed = {**json.loads(first), **change, "digest": ...}
    changed = {name: value for name, value in changed.items() if value is not ...}
    path.write_text("\n".join([json.dumps(changed), *lines]) + "\n")
    result = probe(RUN)
    assert result.exit_code == 2, result.output
    assert f"{RUN}: {changed['id']} is not a valid result (" in result.output
    assert "run its suites again" in result.output


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("evalkit-accepted.yaml", "accepted: {a: 1}", "expected 'accepted:' with a list"),
        ("evalkit-accepted.yaml", "accepted: [", "cannot be read"),
        ("evalkit-accepted.yaml", "accepted: " + "[" * 5000, "cannot be read"),
        ("evalkit-accepted.yaml", b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_broken_file_of_accepted_survivors(
    weak: Project, name: str, content: str | bytes, message: str
) -> None:
    path = Path(weak.root, name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = probe(RUN)
    assert result.exit_code == 2, result.output
    assert name in result.output
    assert message in result.output


@pytest.mark.parametrize(
    "content", ['{"strength": 7}', '{"strength": 0.5}', COUNTS.replace("1", '"many"')]
)
def test_a_broken_strength_file(weak: Project, content: str) -> None:
    (weak.root / RUN / "strength.json").write_text(content)
    result = CliRunner().invoke(main, ["report", RUN])
    assert result.exit_code == 2
    assert "strength.json is not what evalkit probe writes; run it again" in result.output


def test_the_operators_are_listed() -> None:
    result = probe("--list-operators")
    assert "number_changed" in result.output
    assert "a number in the text differs" in result.output
