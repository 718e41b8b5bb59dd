"""docs/suites.md: its examples load, its messages are current, and it has every key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evalkit._lib import yaml
from evalkit.suite.model import entries, language
from evalkit.suite.model.key_rules import MANAGED_FIELDS
from tests.suite.project import Project

PAGE = (Path(__file__).parents[2] / "docs" / "suites.md").read_text(encoding="utf-8")
EXAMPLES = [
    text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if text.startswith("suite:")
]
FRAGMENT, WITH_FRAGMENT = re.findall(r"```yaml\n# \S+\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=[yaml.load(text)["suite"] for text in EXAMPLES])
def test_an_example_loads(project: Project, text: str) -> None:
    project.write("suites/images/organ.jpg", b"jpg")
    assert project.expand(text)


def test_the_example_of_a_fragment_loads(project: Project) -> None:
    project.write("shared/shop.yaml", FRAGMENT)
    project.write("shared/schemas/order.json", "{}")
    project.write("prompts/support.md", "Help.")
    (variant,) = project.expand(WITH_FRAGMENT)
    assert variant.fields["system_instruction"] == "Help."


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 11


@pytest.mark.parametrize(
    "mapping",
    [
        language.SuiteDocument,
        language.FragmentDocument,
        language.ChoiceKeys,
        language.ScenarioKeys,
        language.ScenarioEntry,
        entries.TurnEntry,
        entries.AttachEntry,
        entries.ToolEntry,
        entries.ToolResultEntry,
        entries.CaseFile,
        entries.GivenCassette,
        entries.TextFile,
    ],
)
def test_every_key_is_on_the_page(mapping: type) -> None:
    keys = [
        key for key in mapping.__annotations__ if f"`{key}`" not in PAGE and f"{{{key}:" not in PAGE
    ]
    assert keys == []


def test_every_managed_request_field_is_on_the_page() -> None:
    assert [field for field in MANAGED_FIELDS if f"`{field}`" not in PAGE] == []


def test_the_variants_of_the_page_exist(project: Project) -> None:
    variants = project.expand(EXAMPLES[1])
    assert len(variants) == 8
    assert (variants[0].id, variants[-1].id) == (
        "capitals::europe[stateful-plain-fr]",
        "capitals::europe[stateless-streamed-it]",
    )
    assert all(
        f"`{name}`" in PAGE
        for name in (variants[0].id, variants[-1].id, f"cassettes/{variants[0].cassette}")
    )


def test_the_example_message_is_current(project: Project) -> None:
    examples = re.findall(r"```text\n(.*?)\n```", PAGE, re.DOTALL)

    head = "suite: weather\n\nscenarios:\n  - id: london\n    model: m\n"
    text = head + "    turns:\n      - user: hi\n        expect:\n          - step: completed\n"
    assert examples == [str(project.refused(text))]


MESSAGES = [
    ("user: hi\n\t", "    turns:\n      - user: hi\n\texpect: []\n"),
    ("indent", "    turns:\n      - user: hi\n       expect: []\n"),
    ("colon", "    turns:\n      - user: Note: be brief\n"),
    ("comment", "    turns:\n      - user: Where is order #4711 now?\n"),
    ("braces", "    turns:\n      - user: {{ question }}\n"),
    ("yes", "    turns:\n      - user: yes\n"),
    ("empty", "    turns:\n      - user:\n"),
    ("background", "    background: true\n    history: stateless\n    turns: [{user: hi}]\n"),
]


@pytest.mark.parametrize("number", range(len(MESSAGES)), ids=[row[0] for row in MESSAGES])
def test_the_explained_messages_are_current(project: Project, number: int) -> None:
    explained = re.findall(
        r"^\| `(.*?)` \|", PAGE.split("| message | what to do |")[1], re.MULTILINE
    )
    assert len(explained) == len(MESSAGES)
    messages = project.problems(
        "suite: s\nscenarios:\n  - id: a\n    model: m\n" + MESSAGES[number][1]
    )
    assert explained[number] in messages[0]
