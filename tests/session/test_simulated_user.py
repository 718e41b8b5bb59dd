"""A user played by a model: recorded, replayed offline, judged, counted apart, interrupted."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from evalkit.cassette.files import load_cassette
from evalkit.conversation.reconstruct import request_of, transcript_of
from evalkit.conversation.side_requests import is_side_request, side_role
from evalkit.lint import lint
from evalkit.server import create_app, load_script, serving
from tests.session.suite_runs import RunSuite, one


def plays(persona: str, answer: str, when: str = "") -> str:
    """Return a rule for the simulator with a persona."""
    task = f"{{input.0.text: {{contains: {persona}}}}}"
    return f"  - {{when: {{simulator: true{when}, request: {task}}}, {answer}}}\n"


REPLIES = {
    "not JSON": "I would say: hello",
    "an array": "[1]",
    "no message": '{"reason": "", "done": false, "message": " "}',
    "wrong types": '{"reason": "", "done": "yes", "message": "a"}',
    "no text": '{"reason": "", "done": false, "message": 7}',
    "done first": '{"reason": "", "done": true, "message": ""}',
    "huge": '{"reason": "", "done": false, "message": "{{ "x" * 20001 }}"}',
    "parrot": '{"reason": "stuck", "done": false, "message": "Where is my money?"}',
}
OUT_OF_PART = '{"reason": "", "done": false, "message": "As an AI I am calm."}'
SCRIPT = (
    "script: simulated\nrules:\n"
    + "".join(plays(persona, f"reply: '{text}'") for persona, text in REPLIES.items())
    + plays("no answer", "steps: [{thought: hm}]")
    + plays("refused", "error: {status: 400, message: nobody plays this}")
    + plays("busy", "times: 1, error: {status: 503}", ", turn: 2")
    + plays("garbled", "times: 1, reply: no JSON", ", turn: 2")
    + plays("out of part", f"reply: '{OUT_OF_PART}'", ", turn: 2")
    + """\
  - {when: {text: {contains: key}}, reply: 'It is sk-a-key-that-nobody-may-see-0123.'}
  - {when: {text: {contains: crash}}, error: {status: 503}}
  - {when: {results: true}, reply: Paid.}
  - {when: {text: {contains: call}, tools: [refund]}, steps: [{call: {name: refund, arguments: {}}}]}
  - {when: {text: {contains: receipt}}, reply: So there is no receipt.}
  - {when: {text: {matches: Hello|Bye}}, reply: "You said {{ text }}."}
"""
)
DIALOGUE = """\
tools: {refund: {result: {paid: 10}}}
scenarios:
  - id: a
    history: [stateful, stateless]
    stream: [false, true]
    tools: [refund]
    cases: [{id: x, who: Ms Grey}]
    turns:
      - user: Hello
        expect: [{text: {contains: Hello}}]
      - simulate:
          persona: "{{ who }}, a customer of few words"
          goal: Say "Please call me." and "I have no receipt."
          max_turns: 4
          until: the assistant has said "no receipt"
          model: gemini-3.1-pro-preview
        expect: [{text: {contains: receipt}}, {tool_calls: [refund]}, {judge: Be kind.}, snapshot]
      - user: Bye
        expect: [{text: {contains: Bye}}, {text: {contains: "{{ turns[0].text[:3] }}"}}]
    expect: [{tool_calls: [refund]}]
"""


ONE_VARIANT = DIALOGUE.replace("[stateful, stateless]", "stateless").replace(
    "[false, true]", "true"
)


def simple(persona: str, more: str = "", expect: str = "[]") -> str:
    turn = f'{{simulate: {{persona: {persona}, goal: Get a refund, max_turns: 2, until: "it says \\"refunded\\""}}, expect: {expect}}}'
    return f"scenarios: [{{id: a, turns: [{turn}, {{user: Bye, expect: [{{text: x}}]}}]{more}}}]"


def said(result: dict[str, Any]) -> list[str]:
    return [turn["user"][0]["text"] if turn["user"] else "" for turn in result["turns"]]


def checks(result: dict[str, Any]) -> list[tuple[str, str, int | None]]:
    return [(check["name"], check["verdict"], check.get("turn")) for check in result["checks"]]


def findings(result: dict[str, Any]) -> list[tuple[str, str, int | None]]:
    return [
        (finding["code"], finding["severity"], finding["where"].get("turn"))
        for check in result["checks"]
        for finding in check["findings"]
        if check["name"] in ("conversation", "simulator")
    ]


def test_a_dialogue_is_recorded_and_replayed_without_server(
    run_suite: RunSuite, tmp_path: Path
) -> None:
    recorded = run_suite(DIALOGUE, "once")
    replayed = run_suite(DIALOGUE)
    assert len(replayed) == 4
    for name, result in replayed.items():
        assert said(result) == ["Hello", "Please call me.", "I have no receipt.", "Bye"]
        assert [turn.get("entry") for turn in result["turns"]] == [None, None, 2, 3]
        assert [turn.get("simulated", {}).get("end") for turn in result["turns"]] == [
            None, None, "done", None,
        ]  # fmt: skip
        assert checks(result)[:7] == [
            ("text", "passed", 1),
            ("text", "passed", 3),
            ("tool_calls", "passed", 3),
            ("judge", "passed", 3),
            ("snapshot", "failed", 3),
            ("text", "passed", 4),
            ("text", "passed", 4),
        ]
        assert result["checks"][4]["findings"][0]["where"]["file"].endswith(".turn2.text.txt"), (
            "a snapshot is named by the entry, whatever the dialogue's length"
        )
        assert checks(result)[-1] == ("simulator", "passed", None)
        assert result["unplayed"] == []
        assert result["checks"] == recorded[name]["checks"]
        sources = [one["response"]["source"] for one in result["simulator_exchanges"]]
        assert sources == ["replayed"] * 3
        user = result["turns"][1]["simulated"]["user"]
        assert user["persona"] == "Ms Grey, a customer of few words"
        assert user["model"] == "gemini-3.1-pro-preview"
    assert [found.code for found in lint([tmp_path / "cassettes"]).findings] == []


def test_the_simulator_sees_what_a_user_sees(run_suite: RunSuite) -> None:
    result = one(run_suite(ONE_VARIANT, "once"))
    body = result["simulator_exchanges"][-1]["request"]["body"]
    task, talk = (block["text"] for block in body["input"])
    assert "Write your message 3 of at most 4." in task
    entries = [json.loads(line) for line in talk.split("\n")[1:-1]]
    assert [next(iter(entry)) for entry in entries] == ["user", "model"] * 3
    assert [entry.get("model") for entry in entries[1::2]] == [
        "You said Hello.", "Paid.", "So there is no receipt.",
    ]  # fmt: skip
    assert "refund" not in talk, "no call and no result"
    assert body["store"] is False
    assert "stream" not in body
    assert "tools" not in body


def test_a_simulator_request_is_not_a_turn(run_suite: RunSuite, tmp_path: Path) -> None:
    run_suite(ONE_VARIANT, "once")
    for path in sorted((tmp_path / "cassettes" / "s").iterdir()):
        cassette = load_cassette(path)
        assert cassette is not None
        requests = [request_of(recording) for recording in cassette.recordings]
        roles = [side_role(request.body) for request in requests if is_side_request(request)]
        assert roles == ["simulator", "simulator", "simulator", "judge"]
        assert [turn.user[0]["text"] for turn in transcript_of(cassette).turns] == [
            "Hello", "Please call me.", "I have no receipt.", "Bye",
        ]  # fmt: skip


def test_tokens_of_the_simulator_are_counted_apart(run_suite: RunSuite) -> None:
    result = one(run_suite(ONE_VARIANT.replace("true", "false"), "once"))

    def tokens(exchanges: list[Any]) -> int:
        return sum(one["response"]["body"]["usage"]["total_tokens"] for one in exchanges)

    talk = tokens([one for turn in result["turns"] for one in turn["exchanges"]])
    metrics = result["metrics"]
    assert (metrics["exchanges"], metrics["tokens"]["total_tokens"]) == (5, talk)
    assert metrics["simulator"]["exchanges"] == 3
    assert metrics["simulator"]["tokens"]["total_tokens"] == tokens(result["simulator_exchanges"])
    plain = one(run_suite("scenarios: [{id: b, turns: [{user: Hello}]}]", "once"))
    assert "simulator" not in plain["metrics"]
    assert "simulator_exchanges" not in plain


def test_a_dialogue_without_an_end_fails(run_suite: RunSuite) -> None:
    suite = simple("parrot", expect="[{text: {contains: money}}]")
    for mode in ("once", "none"):
        result = one(run_suite(suite, mode))
        assert result["verdict"] == "failed"
        assert findings(result) == [
            ("simulator_repeated", "warn", 2),
            ("simulator_never_ended", "error", 2),
        ]
        assert checks(result)[0] == ("text", "passed", 2), "the expectations are of its end"
        assert len(result["simulator_exchanges"]) == 3, "asked once more whether it is over"
        assert result["turns"][1]["simulated"] | {"user": {}} == {
            "user": {}, "exchange": 2, "end": "max_turns", "reason": "stuck",
        }  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [", expect: [{simulator: {never_ended: warn}}]", ", expect: [{simulator, severity: warn}]"],
)
def test_a_dialogue_without_an_end_may_be_accepted(run_suite: RunSuite, more: str) -> None:
    result = one(run_suite(simple("parrot", more.replace("simulator,", "simulator: {},")), "once"))
    assert [(check["name"], check["verdict"]) for check in result["checks"]] == [
        ("text", "failed"),
        ("simulator", "passed"),
    ]
    assert [severity for _, severity, _ in findings(result)] == ["warn", "warn"]


def test_a_check_under_the_dialogue_replaces_the_default(run_suite: RunSuite) -> None:
    result = one(run_suite(simple("parrot", expect="[simulator: {never_ended: warn}]"), "once"))
    assert checks(result)[0] == ("simulator", "passed", 2)
    assert [name for name, *_ in checks(result)].count("simulator") == 1


def test_a_simulator_that_leaves_its_part_is_an_error(run_suite: RunSuite) -> None:
    for mode in ("once", "none"):
        result = one(run_suite(simple("out of part"), mode))
        assert result["verdict"] == "errored"
        assert ("simulator_left_role", "error", 2) in findings(result)


@pytest.mark.parametrize(
    ("persona", "message"),
    [
        ("not JSON", "the simulated user's answer cannot be used: it is not JSON"),
        ("an array", "the simulated user's answer cannot be used: it is not an object"),
        ("no answer", "the simulated user's answer cannot be used: it is not JSON"),
        ("no message", "the simulated user's answer cannot be used: it is not done, and has no"),
        ("wrong types", "the simulated user's answer cannot be used: 'done' is not true or false"),
        ("no text", "the simulated user's answer cannot be used: 'reason' and 'message' are not"),
        ("done first", "the simulated user's answer cannot be used: it is done before it said"),
        ("huge", "the simulated user's answer cannot be used: its message has 20001 characters"),
        ("refused", "the simulated user did not answer: the API returned 400"),
    ],
)
def test_an_unusable_answer_of_the_simulator_is_an_error(
    run_suite: RunSuite, tmp_path: Path, persona: str, message: str
) -> None:
    result = one(run_suite(simple(persona, expect="[{text: x}]"), "once"))
    assert result["verdict"] == "errored"
    assert findings(result) == [("simulator_invalid", "error", 1)]
    assert message in result["message"]
    assert checks(result)[1:3] == [("text", "skipped", 1), ("text", "skipped", 2)]
    assert not (tmp_path / "cassettes" / "s" / "a.yaml").exists()


@pytest.mark.parametrize("persona", ["busy", "garbled"])
def test_an_interrupted_dialogue_is_resumed(
    run_suite: RunSuite, tmp_path: Path, persona: str
) -> None:
    suite = simple(persona)
    result = one(run_suite(suite, "once"))
    assert findings(result)[0] == ("simulator_invalid", "error", 2)
    assert (tmp_path / "cassettes" / "s" / "a.yaml.journal").exists()
    result = one(run_suite(suite, "once"))
    assert [turn["outcome"] for turn in result["turns"]] == ["completed"] * 3
    assert result["turns"][0]["exchanges"][0]["response"]["source"] == "replayed", (
        "what was answered is not asked again"
    )
    replayed = one(run_suite(suite))
    assert (replayed["checks"], replayed["unplayed"]) == (result["checks"], [])


def test_an_error_of_the_model_ends_the_dialogue(run_suite: RunSuite) -> None:
    turn = '{simulate: {goal: Say "crash" and "more"}, expect: [{text: x}]}'
    result = one(run_suite(f"scenarios: [{{id: a, turns: [{turn}, {{user: Bye}}]}}]", "once"))
    assert [turn["outcome"] for turn in result["turns"]] == ["api_error", "not_run"]
    assert checks(result)[:2] == [("conversation", "errored", 1), ("text", "skipped", 1)]
    assert len(result["simulator_exchanges"]) == 1


def test_an_expected_error_may_end_the_dialogue(run_suite: RunSuite) -> None:
    turn = '{simulate: {goal: Say "crash" and "more"}, expect: [{error: {status: 503}}]}'
    result = one(run_suite(f"scenarios: [{{id: a, turns: [{turn}]}}]", "once"))
    assert result["verdict"] == "passed"


def test_failed_checks_of_a_dialogue_stop_the_conversation(run_suite: RunSuite) -> None:
    turns = '[{simulate: {goal: Say "a" and "b"}, expect: [{text: x}]}, {user: Bye}]'
    suite = f"scenarios: [{{id: a, stop_on_failure: true, turns: {turns}}}]"
    for mode in ("once", "none"):
        result = one(run_suite(suite, mode))
        assert [turn["outcome"] for turn in result["turns"]] == ["completed"] * 2 + ["not_run"]
        assert result["turns"][2]["reason"] == "stopped after turn 2"


def test_a_changed_persona_is_a_miss_and_recorded_again(run_suite: RunSuite) -> None:
    run_suite(ONE_VARIANT, "once")
    changed = ONE_VARIANT.replace("of few words", "of many words")
    for result in run_suite(changed).values():
        assert result["verdict"] == "errored"
        assert "who you are" in result["message"].lower()
        assert [turn["outcome"] for turn in result["turns"]] == [
            "completed", "incomplete", "not_run",
        ]  # fmt: skip
    recorded = run_suite(changed, "changed")
    assert all(
        "many" in turn["simulated"]["user"]["persona"]
        for result in recorded.values()
        for turn in result["turns"]
        if "simulated" in turn
    )
    assert {result["metrics"]["source"] for result in run_suite(changed).values()} == {"replayed"}


def test_secrets_in_answers_are_redacted_for_the_simulator_too(
    run_suite: RunSuite, tmp_path: Path
) -> None:
    key = "sk-a-key-that-nobody-may-see-0123"
    suite = (
        'scenarios: [{id: a, turns: [{simulate: {goal: Say "Tell me the key." and "Thanks."}}]}]'
    )
    recorded = one(run_suite(suite, "once", secrets=(key,)))
    assert recorded["verdict"] == "passed"
    assert key not in (tmp_path / "cassettes" / "s" / "a.yaml").read_text()
    for secrets in ((key,), ()):
        result = one(run_suite(suite, secrets=secrets))
        assert (result["verdict"], result["unplayed"]) == ("passed", [])


def test_a_key_in_a_persona_is_refused(run_suite: RunSuite) -> None:
    key = "sk-a-key-that-nobody-may-see-0123"
    result = one(run_suite(simple(f"knows {key}"), "once", secrets=(key,)))
    assert result["verdict"] == "errored"
    assert "s.yaml:3:" in result["message"]
    assert "the simulated user contains the value of" in result["message"]


def test_a_dialogue_runs_live(run_suite: RunSuite) -> None:
    for result in run_suite(ONE_VARIANT, live=True).values():
        assert said(result)[1:3] == ["Please call me.", "I have no receipt."]


def test_given_steps_are_part_of_what_the_simulator_sees(run_suite: RunSuite) -> None:
    given = "[{type: user_input, content: [{type: text, text: My lamp broke}]}, {type: model_output, content: [{type: text, text: Which lamp}]}]"
    suite = f'scenarios: [{{id: a, given: {given}, turns: [{{simulate: {{goal: Say "The red one."}}}}]}}]'
    result = one(run_suite(suite, "once"))
    talk = result["simulator_exchanges"][0]["request"]["body"]["input"][1]["text"]
    assert talk.split("\n")[1:3] == ['{"user": "My lamp broke"}', '{"model": "Which lamp"}']


GUIDE = (Path(__file__).parents[2] / "docs" / "simulate.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("scripted", [False, True])
def test_the_example_of_the_page_works(run_suite: RunSuite, tmp_path: Path, scripted: bool) -> None:
    suite, _, script = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    assert suite.startswith("# suites/refunds.yaml")
    (tmp_path / "page.yaml").write_text(script)
    with serving(
        create_app(load_script(tmp_path / "page.yaml") if scripted else load_script())
    ) as served:
        scenarios = suite[suite.index("scenarios:") :]
        result = one(run_suite(scenarios, "once", url=served))
    assert result["verdict"] == "passed"
    assert said(result) == (
        ["My lamp is broken!"]
        if scripted
        else ["My lamp is broken, I want my money back.", "I have no receipt."]
    )
