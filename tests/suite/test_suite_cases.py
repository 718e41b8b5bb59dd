"""Cases: rows in the suite, in CSV, in JSON Lines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.suite.loading.cases import row_label
from tests.suite.project import Project

SUITE = (
    "suite: s\nvars: {unit: c}\nscenarios:\n  - id: a\n    model: m\n"
    "    cases: {file: FILE}\n    turns: [{user: hi}]\n"
)


def rows(project: Project, name: str, content: str | bytes) -> list[tuple[str, Any]]:
    project.write(f"suites/{name}", content)
    return [
        (variant.parts[0], variant.variables)
        for variant in project.expand(SUITE.replace("FILE", name))
    ]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "a.csv",
            "id,city\nx,Paris\ny,Rome\n",
            [
                ("x", {"unit": "c", "id": "x", "city": "Paris"}),
                ("y", {"unit": "c", "id": "y", "city": "Rome"}),
            ],
        ),
        ("a.csv", "city\nParis\n", [("case1", {"unit": "c", "city": "Paris"})]),
        ("a.csv", "\ufeffcity\r\nParis\r\n", [("case1", {"unit": "c", "city": "Paris"})]),
        (
            "a.csv",
            'city\n"Paris, France"\n"two\nlines"\n"a ""b"""\n',
            [
                ("case1", {"unit": "c", "city": "Paris, France"}),
                ("case2", {"unit": "c", "city": "two\nlines"}),
                ("case3", {"unit": "c", "city": 'a "b"'}),
            ],
        ),
        (
            "a.csv",
            "n,yes,empty\n22,true,\n",
            [("case1", {"unit": "c", "n": "22", "yes": "true", "empty": ""})],
        ),
        ("a.csv", "\ncity\n\nParis\n\n", [("case1", {"unit": "c", "city": "Paris"})]),
        ("a.csv", "unit,City name\nf,Paris\n", [("case1", {"unit": "f", "City name": "Paris"})]),
        ("a.CSV", "city\nParis", [("case1", {"unit": "c", "city": "Paris"})]),
        ("a.csv", "city\n{{ unit }}\n", [("case1", {"unit": "c", "city": "{{ unit }}"})]),
        (
            "a.jsonl",
            '{"id": 7, "n": 22, "deep": {"a": [null, true]}}\n',
            [("7", {"unit": "c", "id": 7, "n": 22, "deep": {"a": [None, True]}})],
        ),
        (
            "a.jsonl",
            '\n{"a": 1}\r\n\n{"a": "\u2028"}',
            [("case1", {"unit": "c", "a": 1}), ("case2", {"unit": "c", "a": "\u2028"})],
        ),
    ],
)
def test_rows_become_variables(project: Project, name: str, content: str, expected: Any) -> None:
    assert rows(project, name, content) == expected


FAULTS = [
    ("a.csv", "", ["suites/a.csv:1:1 empty file"]),
    ("a.csv", "city\n", ["suites/a.csv:1:1 no rows"]),
    (
        "a.csv",
        "id,city\nx\n\ny,Rome,Italy\n",
        [
            "suites/a.csv:2:1 1 field where the header has 2",
            "suites/a.csv:4:1 3 fields where the header has 2",
        ],
    ),
    ("a.csv", 'id,city\nx,"two\nlines"\ny\n', ["suites/a.csv:4:1 1 field where the header has 2"]),
    (
        "a.csv",
        "city,city\na,b\n",
        ["suites/a.csv:1:1 the header has the column 'city' twice"],
    ),
    ("a.csv", "city,,x\na,b,c\n", ["suites/a.csv:1:1 column 2 has no name in the header"]),
    (
        "a.csv",
        "turns\nx\n",
        [
            "suites/a.csv:1:1 the column 'turns' has a name that evalkit gives to templates; "
            "rename it"
        ],
    ),
    (
        "a.csv",
        "id;city\nx;Paris\n",
        ["suites/a.csv:1:1 one column; fields are separated by commas, not semicolons"],
    ),
    (
        "a.csv",
        "id\tcity\nx\tParis\n",
        ["suites/a.csv:1:1 one column; fields are separated by commas, not tabs"],
    ),
    ("a.csv", 'city\n"Paris\n', ["suites/a.csv:2:1 not CSV: unexpected end of data"]),
    ("a.csv", 'city\n"Paris" x\n', ["suites/a.csv:2:1 not CSV: ',' expected after '\"'"]),
    (
        "a.csv",
        b"city\nCaf\xe9\n",
        ["suites/a.csv:2:4 not UTF-8 text (byte 0xE9); save the file as UTF-8"],
    ),
    ("a.csv", "id\nx\nx\n", ["6:19 scenario 'a': a.csv, line 3: the id 'x' is taken by line 2"]),
    (
        "a.csv",
        "id,city\n,Paris\n",
        [
            "6:19 scenario 'a': a.csv, line 2: a row's 'id' must be one line of 1 to 200 "
            'printable characters, not ""'
        ],
    ),
    (
        "a.jsonl",
        '{"a": 1}\n{a: 2}\n[3]\n',
        [
            "suites/a.jsonl:2:2 not JSON: Expecting property name enclosed in double quotes",
            "suites/a.jsonl:3:1 each line must be one JSON object, not [3]",
        ],
    ),
    ("a.jsonl", '{"a": NaN}\n', ["suites/a.jsonl:1:1 not JSON: NaN is not a JSON value"]),
    (
        "a.jsonl",
        '{"a": 1, "a": 2}\n',
        ['suites/a.jsonl:1:1 not JSON: the key "a" occurs more than once in an object'],
    ),
    (
        "a.jsonl",
        '{"previous": 1}\n',
        [
            "suites/a.jsonl:1:1 the field 'previous' has a name that evalkit gives to "
            "templates; rename it"
        ],
    ),
    ("a.jsonl", '{"a": ' + "[" * 100_000, ["suites/a.jsonl:1:1 not JSON: "]),
    ("a.txt", "x\n", ["suites/a.txt:1:1 rows are read from .csv and .jsonl files, not .txt"]),
]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    FAULTS,
    ids=[f"{row[0]}-{number}" for number, row in enumerate(FAULTS)],
)
def test_a_mistake_in_a_data_file_is_located(
    project: Project, name: str, content: str | bytes, expected: list[str]
) -> None:
    project.write(f"suites/{name}", content)
    messages = project.problems(SUITE.replace("FILE", name))
    assert len(messages) == len(expected)
    assert all(message.startswith(start) for message, start in zip(messages, expected, strict=True))


def test_a_missing_data_file_is_reported(project: Project) -> None:
    project.write("suites/cities.csv", "city\nParis\n")
    assert project.problems(SUITE.replace("FILE", "citys.csv")) == [
        "6:19 scenario 'a': no such file: 'citys.csv' (did you mean 'cities.csv'?)"
    ]
    assert project.problems(SUITE.replace("FILE", "../../x.csv")) == [
        "6:19 scenario 'a': '../../x.csv' is outside the project (project)"
    ]


def test_a_data_file_is_read_once_for_all_scenarios(project: Project) -> None:
    project.write("data/cities.csv", "city\nParis\nRome\n")
    text = (
        "suite: s\ndefaults: {model: m, cases: {file: data/cities.csv}, turns: [{user: 'In "
        "{{ city }}?'}]}\nscenarios: [{id: a}, {id: b}]\n"
    )
    assert [variant.turns[0].content({}) for variant in project.expand(text)] == [
        "In Paris?",
        "In Rome?",
    ] * 2


@given(
    st.text(min_size=1, max_size=250)
    | st.integers()
    | st.floats(allow_nan=False)
    | st.none()
    | st.booleans()
    | st.lists(st.integers())
)
def test_a_label_must_be_one_printable_line(value: Any) -> None:
    try:
        label = row_label({"id": value}, 1)
    except ValueError:
        assert not isinstance(value, int) or isinstance(value, bool)
    else:
        assert label == str(value)
        assert label.isprintable()
        assert 0 < len(label) <= 200
