"""Variants: their combinations, names and request fields."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import UsageError
from evalkit.suite.model.variant_names import cassette_file, file_word, variant_name
from tests.suite.project import Project

HEAD = "suite: weather\ndefaults: {model: m1}\nscenarios:\n"


def names(project: Project, keys: str, **options: object) -> list[str]:
    text = (
        HEAD
        + "  - id: london\n    turns: [{user: hi}]\n"
        + "".join(f"    {line}\n" for line in keys.splitlines())
    )
    return [variant.name for variant in project.expand(text, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", ["london"]),
        ("history: stateless", ["london"]),
        ("history: [stateless]", ["london[stateless]"]),
        ("history: [stateful, stateless]", ["london[stateful]", "london[stateless]"]),
        ("stream: [false, true]", ["london[plain]", "london[streamed]"]),
        ("background: [false, true]", ["london[foreground]", "london[background]"]),
        ("service_tier: [flex, standard]", ["london[flex]", "london[standard]"]),
        (
            "model: [a, b]\nhistory: [stateful, stateless]",
            [
                "london[a-stateful]",
                "london[a-stateless]",
                "london[b-stateful]",
                "london[b-stateless]",
            ],
        ),
        ("agent: [x, y]", ["london[x]", "london[y]"]),
        (
            "cases: [{a: 1}, {id: second, a: 2}, {id: 7}]",
            ["london[case1]", "london[second]", "london[7]"],
        ),
        ("cases: [{a: 1}]\nstream: [true]", ["london[streamed-case1]"]),
        ("repeat: 3", ["london", "london#2", "london#3"]),
        (
            "repeat: 2\nstream: [false, true]",
            ["london[plain]", "london[plain]#2", "london[streamed]", "london[streamed]#2"],
        ),
    ],
)
def test_a_list_makes_a_variant_and_a_part_for_each_value(
    project: Project, keys: str, expected: list[str]
) -> None:
    assert names(project, keys) == expected


def test_parts_have_a_fixed_order(project: Project) -> None:
    keys = (
        "cases: [{id: c}]\nservice_tier: [flex]\nbackground: [false]\nstream: [true]\n"
        "history: [stateful]\nmodel: [m]"
    )
    assert names(project, keys) == ["london[m-stateful-streamed-foreground-flex-c]"]


@pytest.mark.parametrize(
    ("keys", "models", "expected"),
    [
        ("", ["x"], ["london"]),
        ("", ["x", "y"], ["london[x]", "london[y]"]),
        ("", ["x", "x"], ["london"]),
        ("model: [a, b]", ["x"], ["london"]),
        ("agent: helper", ["x", "y"], ["london"]),
    ],
)
def test_given_models_replace_those_of_the_suite(
    project: Project, keys: str, models: list[str], expected: list[str]
) -> None:
    assert names(project, keys, models=models) == expected


def test_models_that_would_share_cassettes_are_refused(project: Project) -> None:
    with pytest.raises(UsageError, match=r"^the models a/b, A:b would share cassettes: "):
        names(project, "", models=["a/b", "A:b"])


def test_a_given_model_is_sent(project: Project) -> None:
    (variant,) = project.expand(HEAD + "  - {id: a, turns: [{user: hi}]}\n", models=["other"])
    assert (variant.fields["model"], variant.settings["model"]) == ("other", "other")


def test_a_given_repeat_replaces_that_of_the_suite(project: Project) -> None:
    assert names(project, "repeat: 5", repeat=2) == ["london", "london#2"]


def test_a_variant_has_identity_settings_and_cassette(project: Project) -> None:
    text = HEAD + (
        "  - id: london\n    history: [stateful, stateless]\n"
        "    cases: [{id: big town}]\n    repeat: 2\n    turns: [{user: hi}]\n"
    )
    variant = project.expand(text)[3]
    assert variant.id == "weather::london[stateless-big town]#2"
    assert variant.cassette == "weather/london.stateless.big-town.trial2.yaml"
    assert variant.settings == {
        "model": "m1",
        "history": "stateless",
        "stream": False,
        "background": False,
        "case": "big town",
    }
    assert (variant.parts, variant.trial, variant.line) == (("stateless", "big town"), 2, 4)


def test_inserting_a_scenario_renames_nothing(project: Project) -> None:
    scenario = "  - {id: a, history: [stateful, stateless], turns: [{user: hi}]}\n"
    before = [variant.id for variant in project.expand(HEAD + scenario)]
    after = [
        variant.id
        for variant in project.expand(HEAD + "  - {id: b, turns: [{user: hi}]}\n" + scenario)
    ]
    assert after[1:] == before


def test_expanding_twice_gives_the_same(project: Project) -> None:
    text = HEAD + (
        "  - {id: a, model: [x, y], stream: [true, false], cases: [{n: 1}, {n: 2}], "
        "repeat: 2, turns: [{user: '{{ n }}'}]}\n"
    )
    first, second = (
        [(v.id, v.cassette, v.settings, v.fields) for v in project.expand(text)] for _ in range(2)
    )
    assert first == second
    assert len(first) == 16


WORDS = st.text(min_size=1, max_size=300)


@given(WORDS)
def test_a_part_is_a_valid_file_name_on_any_system(text: str) -> None:
    word = file_word(text)
    assert word
    assert not set(word) & set('/\\:*?"<>| \n\t')
    assert len(word.encode("utf-8")) <= 80
    assert word.strip(".") == word


@pytest.mark.parametrize("name", ["con", "nul", "lpt1", "com9", "aux"])
def test_a_name_of_a_windows_device_is_changed(name: str) -> None:
    assert cassette_file(name, (), 1) == f"{name}-.yaml"
    assert cassette_file(name, ("stateful",), 2) == f"{name}-.stateful.trial2.yaml"
    assert file_word(name.upper()) == f"{name.upper()}-"
    assert cassette_file(f"{name}x", (), 1) == f"{name}x.yaml"


@given(st.lists(WORDS, max_size=3), st.integers(1, 30), st.integers(1, 30))
def test_trials_never_share_a_cassette(parts: list[str], first: int, second: int) -> None:
    paths = {cassette_file("a", tuple(parts), trial) for trial in (first, second)}
    assert len(paths) == len({first, second})


@pytest.mark.parametrize("part", ["trial2", "a.trial2", "trial10"])
def test_a_part_that_looks_like_a_trial_is_changed(part: str) -> None:
    plain = [
        cassette_file("a", (part,), 1),
        cassette_file("a", (), 2),
        cassette_file("a", ("a",), 2),
        cassette_file("a", (), 10),
    ]
    assert len(set(plain)) == len(plain)


@given(st.lists(st.sampled_from(["a", "b-c", "x.y"]), max_size=3), st.integers(1, 3))
def test_a_name_has_brackets_for_parts_and_a_number_for_later_trials(
    parts: list[str], trial: int
) -> None:
    name = variant_name("s", tuple(parts), trial)
    assert ("[" in name) == bool(parts)
    assert ("#" in name) == (trial > 1)


def test_every_combination_appears_once(project: Project) -> None:
    actual = names(
        project,
        "model: [a, b]\nhistory: [stateful, stateless]\nstream: [true, false]\n"
        "cases: [{id: x}, {id: y}]",
    )
    expected = [
        "-".join(parts)
        for parts in product("ab", ("stateful", "stateless"), ("streamed", "plain"), "xy")
    ]
    assert actual == [f"london[{parts}]" for parts in expected]
