"""Mistakes in scripts are reported with their position."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.errors import ScriptError
from evalkit.server import load_script
from evalkit.server.scripting.script import Script

MISTAKES: list[tuple[str, str, list[str]]] = [
    ("not YAML", "script: [", ["t.yaml:2:1 did not find expected node content"]),
    (
        "not a mapping",
        "- a",
        ["t.yaml:1:1 must be object, got array"],
    ),
    ("no name", "rules: []", ["t.yaml:1:1 'script' is a required property"]),
    (
        "unknown key",
        "script: t\nrule: []",
        ["t.yaml:2:1 unknown key 'rule' (did you mean 'rules'?); valid: script, description"],
    ),
    ("empty value", "script: t\nrules:", ["t.yaml:2:1 must be array, got nothing"]),
    ("duplicate key", "script: t\nscript: u", ["t.yaml:2:1 duplicate key 'script'"]),
    ("tab", "script: t\nrules:\n\t- reply: a", ["t.yaml:3:1 "]),
    (
        "rule that says nothing",
        "script: t\nrules:\n  - name: a",
        ["t.yaml:3:5 needs one of blocked, decide, error, errors, plain, reply, status, steps"],
    ),
    (
        "unknown condition",
        "script: t\nrules:\n  - when: {txt: a}\n    reply: b",
        ["t.yaml:3:12 unknown key 'txt' (did you mean 'text'?); valid: text, earlier"],
    ),
    (
        "unknown text test",
        "script: t\nrules:\n  - when: {text: {match: a}}\n    reply: b",
        ["t.yaml:3:19 unknown key 'match' (did you mean 'matches'?)"],
    ),
    (
        "bad expression",
        "script: t\nrules:\n  - when: {text: {matches: '('}}\n    reply: b",
        ["t.yaml:3:28 not a regular expression: missing )"],
    ),
    (
        "wrong type",
        "script: t\nrules:\n  - when: {stream: yes}\n    reply: b",
        ['t.yaml:3:20 must be boolean, got string "yes"'],
    ),
    (
        "text that is a number",
        "script: t\nrules:\n  - when: {text: 5}\n    reply: b",
        ["t.yaml:3:18 must be string or object, got number 5"],
    ),
    (
        "undefined variable",
        "script: t\nrules:\n  - reply: '{{ mach.x }}'",
        ["t.yaml:3:12 undefined variable 'mach' (did you mean 'match'?); valid: agent"],
    ),
    ("bad template", "script: t\nrules:\n  - reply: '{{ x'", ["t.yaml:3:12 not a template: "]),
    (
        "item without each",
        "script: t\nrules:\n  - steps:\n      - text: '{{ item }}'",
        ["t.yaml:4:15 undefined variable 'item'"],
    ),
    (
        "unknown step",
        "script: t\nrules:\n  - steps:\n      - txt: a",
        ["t.yaml:4:9 unknown key 'txt' (did you mean 'text'?); valid: text, json, call"],
    ),
    (
        "empty step",
        "script: t\nrules:\n  - steps:\n      - {}",
        ["t.yaml:4:9 needs one of text, json, call"],
    ),
    (
        "two steps in one",
        "script: t\nrules:\n  - steps:\n      - {text: a, call: f}",
        ["t.yaml:4:9 needs one of text, json, call"],
    ),
    (
        "field of a call",
        "script: t\nrules:\n  - steps:\n      - call: {fn: f}",
        [
            "t.yaml:4:15 'name' is a required property",
            "t.yaml:4:16 unknown key 'fn'; valid: name, arguments",
        ],
    ),
    (
        "citation without url",
        "script: t\nrules:\n  - steps:\n      - {text: a, cite: [{title: b}]}",
        ["t.yaml:4:26 'url' is a required property"],
    ),
    (
        "reply and steps",
        "script: t\nrules:\n  - {reply: a, steps: []}",
        ["t.yaml:3:5 'reply' and 'steps' exclude each other"],
    ),
    (
        "unknown status",
        "script: t\nrules:\n  - {reply: a, status: done}",
        ['t.yaml:3:24 unknown value "done"; valid: queued'],
    ),
    (
        "error that is none",
        "script: t\nrules:\n  - error: 200",
        ["t.yaml:3:12 must not be below 400, got 200"],
    ),
    (
        "negative delay",
        "script: t\nrules:\n  - {reply: a, delay: -1}",
        ["t.yaml:3:23 must not be below 0, got -1"],
    ),
    (
        "half a poll",
        "script: t\nrules:\n  - {reply: a, polls: 1.5}",
        ["t.yaml:3:23 must be integer, got number 1.5"],
    ),
    (
        "taken name",
        "script: t\nvars: {text: a}\nrules: []",
        ["t.yaml:2:8 'text' is a name that evalkit defines"],
    ),
    (
        "several, in file order",
        "script: t\nrules:\n  - {reply: a, delay: x}\n  - {rply: b}",
        [
            "t.yaml:3:23 must be number",
            "t.yaml:4:6 unknown key 'rply' (did you mean 'reply'?)",
        ],
    ),
]


@pytest.mark.parametrize(
    ("text", "messages"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES]
)
def test_a_mistake_is_reported_with_its_position(text: str, messages: list[str]) -> None:
    with pytest.raises(ScriptError) as caught:
        Script.load(text, "t.yaml")
    problems = [line for line in str(caught.value).splitlines() if not line.startswith("    ")]
    assert len(problems) == len(messages)
    for line, start in zip(problems, messages, strict=True):
        assert line.startswith(start)


def test_a_mistake_is_reported_with_its_line_and_a_caret() -> None:
    with pytest.raises(ScriptError) as caught:
        Script.load("script: t\nrules:\n  - when: {txt: a}\n    reply: b", "t.yaml")
    assert str(caught.value).splitlines()[1:] == ["      - when: {txt: a}", "               ^"]


def test_a_missing_or_binary_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"none\.yaml cannot be read \(No such file"):
        load_script(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"script: \xff")
    with pytest.raises(ScriptError, match=r"bad\.yaml cannot be read \(not UTF-8: .*byte\)$"):
        load_script(tmp_path / "bad.yaml")
