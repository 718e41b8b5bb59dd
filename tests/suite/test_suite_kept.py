"""Suites found sound are kept beside them: the same suite comes back, and nothing else ever does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import SuiteErrors
from evalkit.plugins import Catalog
from evalkit.suite import Suite, expand, kept, load
from evalkit.suite.document import parse
from evalkit.suite.source import Source
from tests.suite.fake_catalog import FakeCatalog

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "suites").glob("*.yaml"))
TEXT = """\
suite: kept
defaults: {model: m, expect: [{status: completed}]}
vars: {nothing: null, some: [1, [2.5, -0.0], {deep: ["é\\u2028", 123456789012345678901234567890]}]}
scenarios:
  - id: a
    turns:
      - user: Hello.
        expect:
          - text: hi

          - status: completed
  - id: b
    cases:
      - {id: x, n: 1}
      - {id: y, n: 2}
    turns: [{user: "{{ n }}"}]
"""


@pytest.fixture(autouse=True)
def _python_keeps_what_it_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "suites" / "kept.yaml"
    path.parent.mkdir()
    path.write_text(TEXT, encoding="utf-8")
    return path


def read(path: Path) -> Suite:
    return load(path, root=path.parents[1], checks=FakeCatalog())


def place(path: Path) -> Path:
    return path.parent / "__pycache__" / f"{path.name}.evalkit"


def told(suite: Suite) -> Any:
    """Everything of a suite that a session can see."""
    return suite.vars, [
        (repr(one), one.line, one.fields, one.variables, one.turns, one.expect, one.tags)
        for one in expand(suite)
    ]


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_suite_comes_back_with_its_lines(shipped: Path, tmp_path: Path) -> None:
    path, text = tmp_path / shipped.name, shipped.read_text(encoding="utf-8")
    parsed = parse(Source(path.name, text))
    kept.keep(path, text, kept.Document(parsed.raw, parsed.lines, {}))
    found = kept.fetch(path, text)
    assert found is not None
    assert found.raw == parsed.raw == parsed.file
    assert list(found.raw) == list(parsed.raw)
    assert found.lines.of(found.raw["scenarios"]) == parsed.lines.of(parsed.raw["scenarios"]) != []
    assert [found.lines.of(items) for items in kept._lists(found.raw)] == [
        parsed.lines.of(items) for items in kept._lists(parsed.raw)
    ]


def test_the_second_reading_gives_the_same_suite(path: Path) -> None:
    first = read(path)
    assert place(path).is_file()
    again = read(path)
    assert repr(told(again)) == repr(told(first))
    assert [one.line for one in expand(again)] == [5, 12, 12]


def test_nothing_that_only_parsing_needs_is_imported_for_a_kept_suite(path: Path) -> None:
    script = """
import sys
from pathlib import Path
from evalkit.plugins import Catalog
from evalkit.suite import expand, load

path = Path(sys.argv[1])
print(len(expand(load(path, root=path.parents[1], checks=Catalog()))))
print([name for name in ("yaml", "pydantic", "pydantic_core", "evalkit.suite.models") if name in sys.modules])
"""
    environment = {"PATH": "", "HOME": str(path.parent)}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script, str(path)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert outputs == [
        "3\n['yaml', 'pydantic', 'pydantic_core', 'evalkit.suite.models']\n",
        "3\n[]\n",
    ]


def test_the_checks_of_a_kept_suite_are_not_built_again(path: Path) -> None:
    path.write_text(
        TEXT.replace(
            "- text: hi",
            "- text: hi\n          - text\n          - text: ''\n          - not: {text: hi}",
        ),
        encoding="utf-8",
    )
    first, second = FakeCatalog(), FakeCatalog()
    built, again = (
        [one.expect for one in expand(load(path, root=path.parents[1], checks=by))]
        for by in (first, second)
    )
    assert repr(again) == repr(built)
    assert (first.built, second.built) == (5, 0)


def test_checks_of_new_cases_are_built_and_kept(path: Path) -> None:
    rows = path.with_name("rows.csv")
    expectation = (
        "cases: {file: rows.csv}\n    turns: [{user: hi, expect: [{text: '{{ wanted }}'}]}]"
    )
    path.write_text(TEXT.partition("    cases:")[0] + f"    {expectation}\n", encoding="utf-8")
    counts = []
    for wanted in ("one", "one\ntwo", "one\ntwo", "two", "two", "one"):
        rows.write_text(f"wanted\n{wanted}\n")
        catalog = FakeCatalog()
        found = expand(load(path, root=path.parents[1], checks=catalog))[1:]
        assert [one.turns[0].expect[0].check({}).contains for one in found] == wanted.split("\n")  # type: ignore[attr-defined]
        counts.append(catalog.built)
    # status, text: hi, and what is new; what no row asks for any longer is forgotten once something new is kept.
    assert counts == [3, 1, 0, 0, 0, 0]
    rows.write_text("wanted\nthree\n")
    read(path)
    rows.write_text("wanted\none\n")
    catalog = FakeCatalog()
    load(path, root=path.parents[1], checks=catalog)
    assert catalog.built == 1


def test_a_check_that_its_catalog_does_not_keep_is_built_every_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeCatalog, "keep", lambda self, check: None)
    read(path)
    stamp = place(path).stat().st_mtime_ns
    catalog = FakeCatalog()
    load(path, root=path.parents[1], checks=catalog)
    assert (catalog.built, place(path).stat().st_mtime_ns) == (2, stamp)


def test_a_check_that_its_catalog_does_not_restore_is_built_and_kept_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(path)
    with monkeypatch.context() as patch:
        patch.setattr(FakeCatalog, "restore", lambda self, kept: None)
        patch.setattr(FakeCatalog, "keep", lambda self, check: ["Text", {"contains": "other"}])
        first = FakeCatalog()
        load(path, root=path.parents[1], checks=first)
    second = FakeCatalog()
    suite = load(path, root=path.parents[1], checks=second)
    assert (first.built, second.built) == (2, 0)
    assert expand(suite)[0].turns[0].expect[0].check({}).contains == "other"  # type: ignore[attr-defined]


def test_a_changed_text_is_read_anew(path: Path) -> None:
    read(path)
    path.write_text(TEXT.replace("id: a", "id: other"), encoding="utf-8")
    assert [one.scenario.id for one in expand(read(path))] == ["other", "b", "b"]
    path.write_text(TEXT, encoding="utf-8")
    assert [one.scenario.id for one in expand(read(path))] == ["a", "b", "b"]


def test_another_evalkit_reads_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(path)
    assert kept.fetch(path, TEXT) is not None
    monkeypatch.setattr(kept, "_language", lambda: b"another")
    assert kept.fetch(path, TEXT) is None


def test_what_decides_how_a_text_is_read_is_there() -> None:
    assert all((ROOT / "evalkit" / name).is_file() for name in kept._DECIDING)


@pytest.mark.parametrize(
    "argument", ["!!binary aGk=", "{contains: [!!binary aGk=]}", ".inf", f"{'[' * 90}{']' * 90}"]
)
def test_an_argument_that_is_no_json_value_is_a_problem_and_no_crash(
    path: Path, argument: str
) -> None:
    path.write_text(
        TEXT.replace("text: hi", f"text: {argument}\n          - not: {{text: {argument}}}"),
        encoding="utf-8",
    )
    for catalog in (FakeCatalog(), Catalog()):
        with pytest.raises(SuiteErrors) as caught:
            load(path, root=path.parents[1], checks=catalog)
        assert "kept.yaml:9:" in str(caught.value)
        assert "kept.yaml:10:" in str(caught.value)


@pytest.mark.parametrize(
    "problem", ["scenarios: []", "suite: kept", "[", "x: .inf", "expect: [{nonsense: 1}]"]
)
def test_a_suite_with_a_problem_says_the_same_every_time(path: Path, problem: str) -> None:
    path.write_text(f"{TEXT}{problem}\n", encoding="utf-8")
    words = []
    for _ in range(2):
        with pytest.raises(SuiteErrors) as caught:
            read(path)
        words.append(str(caught.value))
        assert not place(path).exists()
    assert words[0] == words[1]


def test_a_problem_that_comes_up_in_a_kept_suite_is_located(path: Path) -> None:
    rows = path.with_name("rows.csv")
    path.write_text(
        TEXT.replace("user: Hello.", "user: Hello.\n        attach: {document: rows.csv}"),
        encoding="utf-8",
    )
    with pytest.raises(SuiteErrors) as caught:
        read(path)
    rows.write_text("id\na\n")
    read(path)
    assert place(path).is_file()
    rows.unlink()
    with pytest.raises(SuiteErrors) as again:
        read(path)
    assert str(again.value) == str(caught.value)
    assert "kept.yaml:8:28" in str(again.value)


def test_a_damaged_file_is_as_good_as_none(path: Path) -> None:
    expected = repr(told(read(path)))
    whole = place(path).read_bytes()
    first, _, rest = whole.partition(b"\n")
    damage = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    damage += [
        b"",
        first,
        rest,
        whole[:-7],
        whole + b"\n",
        first + b"\n{}",
        b"\n" + rest,
        b"\xff\xfe",
    ]
    for data in damage:
        place(path).write_bytes(data)
        assert kept.fetch(path, TEXT) is None, data
    assert repr(told(read(path))) == expected
    assert place(path).read_bytes() == whole


def test_python_is_told_to_keep_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    read(path)
    assert not place(path).parent.exists()


def test_python_is_told_to_keep_it_elsewhere(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "elsewhere"))
    read(path)
    assert not place(path).parent.exists()
    assert [found.name for found in (tmp_path / "elsewhere").rglob("*.evalkit")] == [
        "kept.yaml.evalkit"
    ]
    assert kept.fetch(path, TEXT) is not None


def test_a_place_that_cannot_be_written_is_no_trouble(path: Path) -> None:
    place(path).parent.write_text("a file where a folder would be")
    assert len(expand(read(path))) == 3
    assert place(path).parent.read_text() == "a file where a folder would be"


def test_two_suites_of_one_name_do_not_disturb_each_other(path: Path) -> None:
    twin = path.with_suffix(".yml")
    twin.write_text(TEXT.replace("id: a", "id: other"), encoding="utf-8")
    for _ in range(2):
        assert [expand(read(one))[0].scenario.id for one in (path, twin)] == ["a", "other"]
    assert place(path).is_file()
    assert place(twin).is_file()
