"""What the commands print is data: no CI system reads it as commands, JSON keeps its values."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from evalkit.cli.output import echo_json, safe_output
from evalkit.cli.serve import _log


@contextmanager
def redirected() -> Iterator[io.BytesIO]:
    """Redirect stdout to bytes, as to a CI system's log."""
    buffer = io.BytesIO()
    before, sys.stdout = sys.stdout, io.TextIOWrapper(buffer, encoding="ascii")
    try:
        yield buffer
    finally:
        sys.stdout.detach()
        sys.stdout = before


def printed(*writes: str) -> str:
    with redirected() as buffer, safe_output():
        for text in writes:
            sys.stdout.write(text)
    return buffer.getvalue().decode()


@pytest.mark.parametrize(
    ("writes", "expected"),
    [
        (["::error::x\n"], ": :error::x\n"),
        (["  ::error::x\n"], "  : :error::x\n"),
        (["a", "::b\n", "::c\n"], "a::b\n: :c\n"),
        (["got ##[error]x"], "got # #[error]x"),
        (["##vso[task.setvariable]x"], "# #vso[task.setvariable]x"),
        (["##TeamCity[buildStop]"], "# #TeamCity[buildStop]"),
        (["ok\n", "--- group\n"], "ok\n --- group\n"),
        (["ok", "--- no group\n"], "ok--- no group\n"),
        (["caf\u00e9 \u6f22"], "caf\\xe9 \\u6f22"),
    ],
)
def test_commands_of_ci_systems_are_escaped_where_a_line_begins(
    writes: list[str], expected: str
) -> None:
    assert printed(*writes) == expected


@pytest.mark.parametrize("width", range(20, 60))
def test_wrapped_text_never_begins_a_line_with_a_command(width: int) -> None:
    text = "a model wrote this and then ::add-mask::x and ::error file=a::b at the end ::warning::c"
    with redirected() as buffer, safe_output():
        Console(width=width).print(text)
        click.echo(click.wrap_text(text, width))
    assert not re.search(r"^\s*::", buffer.getvalue().decode(), re.MULTILINE)


@given(st.recursive(st.text("#[vso\u2028\n:x"), lambda inner: st.lists(inner), max_leaves=5))
def test_json_keeps_its_values(value: object) -> None:
    with redirected() as buffer, safe_output():
        echo_json(value)
    assert json.loads(buffer.getvalue()) == value
    assert b"##" not in buffer.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[8mha:AAAA\x1b[0m x", "<U+001B>[8mha:AAAA\x1b[0m x"),
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
        ("\x1b[38;5;8mgrey\x1b[39m", "\x1b[38;5;8mgrey\x1b[39m"),
        ("section_start:1:a\r\x1b[0Kb", "section_start:1:a<U+000D><U+001B>[0Kb"),
        ("a\r::error::b", "a<U+000D>::error::b"),
        ("\x1b]8;;http://x\x07y", "<U+001B>]8;;http://x<U+0007>y"),
        ("\x1b[2J\x1b[1;8m", "<U+001B>[2J<U+001B>[1;8m"),
        ("a\r\nb\n", "a\r\nb\n"),
        ("\x1b[0;8mha:x", "<U+001B>[0;8mha:x"),
        ("\x1b[48;2;1;2;3;1mx\x1b[38:2::1:2:3mx", "\x1b[48;2;1;2;3;1mx\x1b[38:2::1:2:3mx"),
        ("\x1b[38;2;1;2;3;8mx", "<U+001B>[38;2;1;2;3;8mx"),
        ("\x1b[38;5;8;8mha:x", "<U+001B>[38;5;8;8mha:x"),
        ("\x1bP1$r\x1b\\", "<U+001B>P1$r<U+001B>\\"),
        ("\x1b]1338;url=http://x\x07", "<U+001B>]1338;url=http://x<U+0007>"),
        ("\x9b2J\x90q\x9c", "<U+009B>2J<U+0090>q<U+009C>"),
        ("fine\x08\x08\x08\x08\x08bad\x7f", "fine" + "<U+0008>" * 5 + "bad<U+007F>"),
        ("a\U000e0068\U000e0069b\u00adc\ufe0f", "a<U+E0068><U+E0069>b<U+00AD>c<U+FE0F>"),
        ("x\u202ey\u200bz\u2028::error", "x<U+202E>y<U+200B>z<U+2028>::error"),
    ],
)
def test_no_escape_sequence_and_nothing_invisible_is_printed(text: str, expected: str) -> None:
    assert printed(text) == expected


def test_a_key_of_the_environment_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "AIzaSyD-planted_key")
    assert printed('{"a": "AIzaSyD-planted\\u005fkey"}\n') == '{"a": "REDACTED"}\n'
    assert printed("wrapped AIzaSyD-pl\nanted_key\n") == "wrapped REDACTED\n"


def test_a_terminal_gets_no_escape_sequence_of_a_text() -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    before, buffer = sys.stdout, io.BytesIO()
    sys.stdout = Terminal(buffer, encoding="utf-8")
    try:
        with safe_output():
            assert sys.stdout.isatty()
            click.echo("\x1b]52;c;eA==\x07 " + click.style("red", "red"))
            click.echo("::not a command in a terminal")
        sys.stdout.flush()
    finally:
        sys.stdout.detach()
        sys.stdout = before
    assert buffer.getvalue().decode() == (
        "<U+001B>]52;c;eA==<U+0007> \x1b[31mred\x1b[0m\n::not a command in a terminal\n"
    )


def test_output_streams_are_restored() -> None:
    before = sys.stdout, sys.stderr
    with pytest.raises(KeyError), safe_output():
        raise KeyError
    assert (sys.stdout, sys.stderr) == before
    print("still open")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("GET /\x1b]52;c;eA==\x07 404", "GET /<U+001B>]52;c;eA==<U+0007> 404"),
        ("GET /a\nPOST /forged 200", "GET /a\n  POST /forged 200"),
        ("GET /\u202egnp.exe 404", "GET /<U+202E>gnp.exe 404"),
        ("GET /\x9b31m 404", "GET /<U+009B>31m 404"),
    ],
)
def test_the_servers_log_is_printable_and_no_entry_looks_like_two(line: str, shown: str) -> None:
    with redirected() as buffer, safe_output():
        _log(line)
    assert buffer.getvalue().decode() == f"{shown}\n"
