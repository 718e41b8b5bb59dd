"""Cassettes as other tools, editors, git and file systems leave them: read, or named with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from evalkit._lib.yaml import YamlError, load
from evalkit.cassette.files import load_cassette
from evalkit.cassette.format import parse, render
from evalkit.cassette.recording import Cassette
from evalkit.errors import CassetteError, UsageError
from evalkit.lint import LintOptions, lint
from evalkit.server.scripting.script import load_script
from evalkit.transcript import Request, Response
from evalkit.transports import open_transport
from tests.cassette.samples import recording

BODY = {"model": "m", "input": "Grüße", "nested": [1, 1.5, True, None, {"a": "yes"}, "1e5", "007"]}


@pytest.mark.parametrize("no_body", [{}, {"body": None}])
def test_bodies_that_were_stored_as_yaml(no_body: dict[str, None]) -> None:
    document = {
        "interactions": [
            {
                "request": {
                    "method": "POST",
                    "uri": "https://a/v1/interactions",
                    "headers": {"content-type": ["application/json"]},
                    "parsed_body": BODY,
                    **no_body,
                },
                "response": {
                    "status": {"code": 200, "message": "OK"},
                    "headers": {},
                    "parsed_body": [BODY],
                    **no_body,
                },
            }
        ],
        "version": 1,
    }
    (read,) = parse(yaml.safe_dump(document, allow_unicode=True), "c.yaml").recordings
    assert isinstance(read.request_body, str)
    assert isinstance(read.body, str)
    assert (json.loads(read.request_body), json.loads(read.body)) == (BODY, [BODY])
    assert read.extra == {}
    (again,) = parse(render(Cassette([read])), "c.yaml").recordings
    assert json.loads(again.body) == [BODY]


@pytest.mark.parametrize("value", ["!!binary YQ==", ".nan", "[.inf]"])
def test_a_stored_body_that_is_no_json_is_named(value: str) -> None:
    text = (
        "interactions:\n- request: {method: GET, uri: 'https://a/'}\n  response:\n"
        f"    status: {{code: 200, message: OK}}\n    parsed_body: {value}\nversion: 1\n"
    )
    with pytest.raises(CassetteError, match=r"c\.yaml:5 recording 1, response: not a JSON value"):
        parse(text, "c.yaml")


CONFLICT = "<<<<<<< HEAD\n{ours}=======\n{theirs}>>>>>>> other branch\n"


def conflicted(text: str, line: int) -> str:
    lines = text.splitlines(keepends=True)
    mark = CONFLICT.format(ours=lines[line], theirs=lines[line])
    return "".join([*lines[:line], mark, *lines[line + 1 :]])


@pytest.mark.parametrize("line", [1, 3, 8])
def test_a_conflict_in_a_cassette_is_named_with_its_line(tmp_path: Path, line: int) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(conflicted(render(Cassette([recording({"a": 1}, {"b": 2})])), line))
    with pytest.raises(CassetteError) as caught:
        load_cassette(path)
    assert f"{path}:{line + 1} " in str(caught.value)
    assert "git left a conflict here: keep one side and delete the markers" in str(caught.value)


@pytest.mark.parametrize("marker", ["<<<<<<< HEAD", "=======", ">>>>>>> other branch"])
def test_a_marker_inside_a_quoted_body_is_not_a_part_of_the_answer(
    tmp_path: Path, marker: str
) -> None:
    poem = "\n".join(f"This is line {number} of a long poem about roses." for number in range(4))
    text = render(Cassette([recording({"a": 1}, {"text": poem})]))
    lines = text.splitlines()
    line = next(number for number, one in enumerate(lines) if "line 2" in one)
    assert lines[line].endswith("\\n\\")  # a line of a double-quoted text
    path = tmp_path / "c.yaml"
    # Somebody resolved the conflict, and overlooked one of its markers.
    path.write_text("\n".join([*lines[:line], marker, *lines[line:], ""]))
    with pytest.raises(CassetteError, match=f"c.yaml:{line + 1} .*git left a conflict here"):
        load_cassette(path)


@pytest.mark.parametrize(
    "text", ["suite: a\nscenarios:\n  - id: b\n", "gates: {}\nprices: {}\n", "- a\n- b\n- c\n"]
)
def test_a_conflict_in_any_yaml_file_is_named_with_its_line(text: str) -> None:
    with pytest.raises(YamlError, match="git left a conflict") as caught:
        load(conflicted(text, 1))
    assert (caught.value.line, caught.value.column) == (2, 1)


def test_text_that_only_quotes_a_conflict_is_text() -> None:
    assert load("a: |\n  <<<<<<< HEAD\nb: <<<<<<< x") == {"a": "<<<<<<< HEAD\n", "b": "<<<<<<< x"}


class _Unused:
    secrets: tuple[str, ...] = ()

    def uri(self, request: Request) -> str:
        raise AssertionError(request)

    def send(self, request: Request) -> Response:
        raise AssertionError(request)

    def close(self) -> None:
        pass


def _folder(path: Path) -> None:
    path.mkdir()


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _utf16(path: Path) -> None:
    path.write_text(render(Cassette([recording({"a": 1}, {"b": 2})])), encoding="utf-16")


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (_folder, "cannot be read: "),
    "loop": (_loop, "cannot be read: "),
    "utf-16": (_utf16, "UTF-16 text; save the file as UTF-8"),
    "pointer": (
        lambda path: path.write_bytes(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:a\n"
        ),
        "cannot be read: a Git LFS pointer, not the file itself; run git lfs pull",
    ),
    "latin-1": (lambda path: path.write_bytes(b"a: \xe4"), "not UTF-8: .*; save the file as UTF-8"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_cassette_that_cannot_be_read_is_named_and_stays(tmp_path: Path, name: str) -> None:
    make, reason = UNREADABLE[name]
    path = tmp_path / "c.yaml"
    make(path)
    with pytest.raises(CassetteError, match=f"c.yaml:1 {reason}"):
        load_cassette(path)
    for mode in ("none", "once", "new_episodes", "all"):
        with pytest.raises((CassetteError, UsageError), match=r"c\.yaml"):
            open_transport(
                mode=mode,
                path=path,
                live=_Unused,
                metadata={},
                hint=str,
                label="a",
            )
    assert path.is_symlink() or path.exists()


def test_lint_reports_an_unreadable_file_and_checks_the_others(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(render(Cassette([recording({"a": 1}, {"b": 2})])))
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nothing.yaml")
    outcome = lint([tmp_path], LintOptions())
    codes = {Path(finding.file).name: finding.code for finding in outcome.findings}
    codes.pop("good.yaml", "")
    assert codes == dict.fromkeys(("loop.yaml", "dangling.yaml"), "cassette_unreadable")
    assert outcome.exchanges == 1


def test_a_byte_order_mark_before_a_script_or_a_cassette_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("\ufeff" + render(Cassette([recording({"a": 1}, {"b": 2})])), "utf-8")
    (tmp_path / "d.yaml").write_text(render(Cassette([recording({"a": 1}, {"b": 2})])), "utf-8")
    assert load_cassette(path) == load_cassette(tmp_path / "d.yaml")
    (tmp_path / "s.yaml").write_text("\ufeffscript: a\nrules: []\n", "utf-8")
    assert load_script(tmp_path / "s.yaml") is not None
