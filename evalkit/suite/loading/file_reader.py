"""Reads the files of a suite; an error says where a file is wrong, or where it is named."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit._lib.files import read_file
from evalkit._lib.problems import PLAIN_LINE_BREAKS, ProblemList, SourceText
from evalkit._lib.text import quoted
from evalkit._lib.yaml import (
    ListLines,
    ValuePath,
    YamlError,
    load_lines,
    plain_scalars,
    resolve_scalar,
)
from evalkit.errors import Problem, SuiteErrors
from evalkit.suite.model.project_files import ProjectFileError
from evalkit.suite.yaml_messages import yaml_problem

_COMMENT_WORD = re.compile(r"[ \t]+(#(?:(?P<digit>\d)|[^\W_])\S*)")


def read_document(path: Path, name: str) -> tuple[SourceText, Any, ListLines]:
    """Return a YAML file's text, its document, and the lines of list items. Raises SuiteErrors."""
    source = SourceText(name, read_text(path, name))
    try:
        document = load_lines(source.text)
    except YamlError as error:
        raise SuiteErrors([yaml_problem(error, source)]) from error
    if _COMMENT_WORD.search(source.text) and (problems := [*_cut_texts(source)]):
        raise SuiteErrors(problems)
    return source, *document


def _cut_texts(source: SourceText) -> Iterator[Problem]:
    """Yield each text that ends before a word such as ``#4711``, which is a comment in YAML.

    After a single word, ``#todo`` is a comment that somebody meant.
    """
    for value, line, column in plain_scalars(source.text):
        match = _COMMENT_WORD.match(source.line(line)[column - 1 :])
        is_text = isinstance(resolve_scalar(value), str)
        if match and is_text and (match["digit"] or " " in value):
            message = f"{quoted(match[1])} starts a comment in YAML, so it is not part of the text"
            hint = "put the text in quotes, or start the comment with '# '"
            yield source.problem(line, column + match.start(1), message, (hint,))


def read_text(path: Path, name: str) -> str:
    """Return a file's text without a byte order mark. Raises SuiteErrors."""
    try:
        data = read_file(path)
    except OSError as error:
        raise file_error(name, f"cannot read the file: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise file_error(name, "UTF-16 text; save the file as UTF-8") from error
        before = data[: error.start].decode("utf-8-sig", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"not UTF-8 text (byte 0x{data[error.start]:02X}); save the file as UTF-8"
        source = SourceText(name, data.decode("utf-8-sig", "replace"), PLAIN_LINE_BREAKS)
        raise SuiteErrors([source.problem(line, column, message)]) from error


def file_error(name: str, message: str) -> SuiteErrors:
    """Return a problem of a whole file."""
    return SuiteErrors([Problem(name, 1, 1, message)])


@contextmanager
def reported_at(problems: ProblemList, path: ValuePath) -> Iterator[None]:
    """Add the problem of a file to a list: inside the file, or at the path that names it."""
    try:
        yield
    except ProjectFileError as error:
        problems.add(path, str(error))
    except SuiteErrors as error:
        for problem in error.problems:
            problems.add_located(problem)
