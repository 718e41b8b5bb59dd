"""``matrix``: named axes of choices, their variants, and what is refused."""

from __future__ import annotations

import pytest

from evalkit._lib import yaml
from tests.suite.project import Project
from tests.suite.test_suite_schema import accepted

HEAD = "suite: shop\ndefaults: {model: m, tags: [all]}\nscenarios:\n"
SCENARIO = "  - id: a\n    turns: [{user: hi}]\n    matrix:\n"
PROMPT = "      prompt: {current: {}, shorter: {system_instruction: Be short.}}\n"


def names(project: Project, matrix: str, more: str = "") -> list[str]:
    return [variant.name for variant in project.expand(HEAD + SCENARIO + matrix + more)]


def test_each_choice_is_a_variant_with_its_own_keys(project: Project) -> None:
    current, shorter = project.expand(HEAD + SCENARIO + PROMPT)

    assert (current.id, shorter.id) == ("shop::a[current]", "shop::a[shorter]")
    assert (current.cassette, shorter.cassette) == ("shop/a.current.yaml", "shop/a.shorter.yaml")
    assert "system_instruction" not in current.fields
    assert shorter.fields["system_instruction"] == "Be short."
    assert shorter.settings["prompt"] == "shorter"


def test_choices_are_parts_in_the_order_of_the_axes_between_settings_and_case(
    project: Project,
) -> None:
    matrix = (
        "      style: {wild: {generation_config: {temperature: 2}}, calm: {}}\n"
        "      prompt: {current: {}, shorter: {system_instruction: Be short.}}\n"
        "    history: [stateless]\n    cases: [{id: fr}]\n"
    )

    assert names(project, matrix) == [
        "a[stateless-wild-current-fr]",
        "a[stateless-wild-shorter-fr]",
        "a[stateless-calm-current-fr]",
        "a[stateless-calm-shorter-fr]",
    ]


def test_another_choice_or_scenario_renames_nothing(project: Project) -> None:
    before = names(project, PROMPT)
    longer = PROMPT.replace("{current:", "{longer: {title: Long}, current:")
    after = names(project, longer, "  - id: b\n    turns: [{user: hi}]\n")

    assert set(before) < set(after)


@pytest.mark.parametrize(
    ("choice", "field", "expected"),
    [
        ("{model: m2}", "model", "m2"),
        ("{agent: helper}", "agent", "helper"),
        ("{generation_config: {seed: 1}}", "generation_config", {"seed": 1}),
        ("{request: {seed: 1}}", "seed", 1),
        ('{system_instruction: "{{ 1 + 1 }}"}', "system_instruction", "2"),
    ],
)
def test_a_choice_overrides_request_fields(
    project: Project, choice: str, field: str, expected: object
) -> None:
    variants = project.expand(HEAD + SCENARIO + f"      x: {{one: {{}}, two: {choice}}}\n")

    assert variants[1].fields[field] == expected


def test_a_choice_may_change_every_kind_of_key(project: Project) -> None:
    keys = (
        "{history: [stateful, stateless], repeat: 2, tags: [slow], title: T, max_tool_rounds: 1, "
        "turns: [{user: bye}], expect: [{status: completed}], stop_on_failure: true}"
    )
    one, *two = project.expand(HEAD + SCENARIO + f"      x: {{one: {{}}, two: {keys}}}\n")

    assert [variant.name for variant in two] == [
        "a[stateful-two]", "a[stateful-two]#2", "a[stateless-two]", "a[stateless-two]#2",
    ]  # fmt: skip
    assert (one.tags, two[0].tags) == (("all",), ("all", "slow"))
    assert (len(one.expect), len(two[0].expect)) == (0, 1)
    assert two[0].turns[0].user == "bye"
    assert two[0].title == "T"


def test_a_scenarios_matrix_replaces_that_of_the_defaults(project: Project) -> None:
    text = (
        "suite: shop\ndefaults:\n  model: m\n  turns: [{user: hi}]\n"
        "  matrix: {prompt: {current: {}, shorter: {}}}\n"
        "scenarios: [{id: a}, {id: b, matrix: {}}, {id: c, matrix: {x: {one: {}}}}]\n"
    )

    assert [variant.name for variant in project.expand(text)] == [
        "a[current]", "a[shorter]", "b", "c[one]",
    ]  # fmt: skip


def test_a_matrix_may_be_what_gives_a_scenario_its_model_and_turns(project: Project) -> None:
    text = (
        "suite: shop\nscenarios:\n  - id: a\n    matrix:\n"
        "      x: {one: {model: m}, two: {agent: helper, agent_config: {type: t}}}\n"
        "      y: {hi: {turns: [{user: hi}]}, bye: {turns: [{user: bye}]}}\n"
    )

    assert len(project.expand(text)) == 4
    assert accepted(text)


MODELS = [
    ([], "", ["shop/a.yaml"]),
    (["m"], "", ["shop/a.yaml"]),
    (["n"], "", ["shop/a.n.yaml"]),
    (["n/1"], "", ["shop/a.n-1.yaml"]),
    (["m", "n"], "", ["shop/a.yaml", "shop/a.n.yaml"]),
    (["n"], "history: [stateless]", ["shop/a.stateless.n.yaml"]),
    (["n", "o"], "history: [stateless]", ["shop/a.stateless.n.yaml", "shop/a.stateless.o.yaml"]),
    (["n"], "repeat: 2", ["shop/a.n.yaml", "shop/a.n.trial2.yaml"]),
    (["n"], "cases: [{id: c}]", ["shop/a.c.n.yaml"]),
    (["n"], "matrix: {p: {q: {}}}", ["shop/a.q.n.yaml"]),
    (["n"], "matrix: {p: {q: {model: o}}}", ["shop/a.q.yaml"]),
    (["n", "o"], "matrix: {p: {q: {model: o}}}", ["shop/a.q.yaml"]),
    (["o"], "model: [m, o]", ["shop/a.o.yaml"]),
    (["n"], "model: [m, o]", ["shop/a.n.yaml"]),
    (["o", "n"], "model: [m, o]\nhistory: [stateless]",
     ["shop/a.o.stateless.yaml", "shop/a.stateless.n.yaml"]),
    (["n"], "agent: helper", ["shop/a.yaml"]),
]  # fmt: skip


@pytest.mark.parametrize(("models", "keys", "cassettes"), MODELS, ids=range(len(MODELS)))
def test_a_model_that_is_not_the_suites_own_has_its_own_cassette(
    project: Project, models: list[str], keys: str, cassettes: list[str]
) -> None:
    lines = "".join(f"    {line}\n" for line in keys.splitlines())
    text = HEAD + "  - id: a\n    turns: [{user: hi}]\n" + lines

    assert [variant.cassette for variant in project.expand(text, models)] == cassettes


REFUSED = [
    ("prompt: {}", "9:15 scenario 'a': empty value: 'prompt' takes at least one entry"),
    ("prompt: {x: {}, x: {}}", "9:23 duplicate key 'x'"),
    ("prompt: [a, b]", "9:15 scenario 'a': 'prompt' takes a mapping, not a list"),
    ("prompt: {x: }", "9:16 scenario 'a', prompt=x: empty value: 'x' takes the scenario keys of "
     "a choice, as in {prompt: {current: {}, shorter: {…}}}"),
    ("prompt: {x: short}", "9:19 scenario 'a', prompt=x: 'x' takes the scenario keys of a choice, "
     "as in {prompt: {current: {}, shorter: {…}}}, not the text 'short'"),
    ("2nd: {x: {}}", "9:7 scenario 'a': the name '2nd' takes letters, digits, '-' and '_', a letter "
     "first"),
    ("a b: {x: {}}", "9:7 scenario 'a': the name 'a b' takes letters, digits, '-' and '_', a letter "
     "first"),
    ("model: {x: {}}", "9:7 scenario 'a': 'model' cannot be an axis: every result has a setting of "
     "this name"),
    ("case: {x: {}}", "9:7 scenario 'a': 'case' cannot be an axis: every result has a setting of "
     "this name"),
    ("prompt: {a b: {}}", "9:16 scenario 'a', prompt=a b: the name 'a b' takes letters, digits, '-', "
     "'_' and '.', a letter or digit first"),
    ("prompt: {x: {titel: T}}", "9:20 scenario 'a', prompt=x: unknown key 'titel' (did you mean "
     "'title'?)"),
    ("prompt: {x: {id: b}}", "9:20 scenario 'a', prompt=x: a choice cannot override 'id': its "
     "variants must be of the same conversation"),
    ("prompt: {x: {cases: [{a: 1}]}}", "9:20 scenario 'a', prompt=x: a choice cannot override "
     "'cases': its variants must be of the same conversation"),
    ("prompt: {x: {matrix: {}}}", "9:20 scenario 'a', prompt=x: a choice cannot override 'matrix': "
     "its variants must be of the same conversation"),
    ("prompt: {x: {history: stateles}}", "9:29 scenario 'a', prompt=x: 'history' takes 'stateful' or "
     "'stateless', not the text 'stateles' (did you mean 'stateless'?)"),
    ("prompt: {x: {tools: [lok]}}", "9:28 scenario 'a', prompt=x: unknown tool 'lok'"),
    ('prompt: {x: {title: "{{ y }}"}}', "9:31 scenario 'a', prompt=x: undefined variable 'y'"),
    ("prompt: {x: {expect: [stats]}}", "9:29 scenario 'a', prompt=x: unknown check 'stats' (did you "
     "mean 'status'?)"),
    ("prompt: {x: {turns: [{usr: hi}]}}", "9:29 scenario 'a', prompt=x, turn 1: unknown key 'usr' "
     "(did you mean 'user'?)"),
    ("prompt: {x: {agent: h, generation_config: {seed: 1}}}", "9:30 scenario 'a', prompt=x: "
     "'generation_config' is allowed with a model, not with an agent"),
    ("p: {x: {}}\n      q: {x: {}}", "10:11 scenario 'a', q=x: the axes 'p' and 'q' both have the "
     "choice 'x'; rename one: choices are parts of the names of variants"),
    ("p: {x: {title: A}}\n      q: {y: {title: B}}", "10:15 scenario 'a', q=y: the axes 'p' and 'q' "
     "both override 'title', so that one of them has no effect; join them in one axis"),
    ("p: {x: {model: A}}\n      q: {y: {agent: B}}", "10:15 scenario 'a', q=y: the axes 'p' and 'q' "
     "both override 'agent', so that one of them has no effect; join them in one axis"),
    ("p: {x: {}, X: {}}", "7:9 scenario 'a': two variants would have the name 'a.x.yaml': x and X"),
    ("p: {x: {stream: [true]}}\n    cases: [{id: y}]\n    stream: [false]", None),
]  # fmt: skip


@pytest.mark.parametrize(("matrix", "expected"), REFUSED, ids=range(len(REFUSED)))
def test_a_mistake_in_a_matrix_is_located(
    project: Project, matrix: str, expected: str | None
) -> None:
    head = "suite: shop\ndefaults:\n  model: m\n\n\nscenarios:\n  - id: a\n    matrix:\n"
    text = f"{head}      {matrix}\n    turns: [{{user: hi}}]\n"
    if expected is None:
        assert project.expand(text)
    else:
        assert project.problems(text)[0] == expected


def test_the_editor_schema_knows_the_matrix() -> None:
    text = HEAD + SCENARIO + PROMPT
    assert accepted(text)
    for before, after in (
        ("{current: {}", "{current: {titel: T}"),
        ("{current: {}", "{current: {cases: [{a: 1}]}"),
        ("prompt: {current", "model: {current"),
        ("prompt: {current", "2nd: {current"),
    ):
        assert not accepted(text.replace(before, after))
    assert yaml.load(text)
