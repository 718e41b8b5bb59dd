"""pytest's settings of a project: the file that pytest reads, and ``evalkit_suites`` in it.

With a file of settings, pytest's root folder and so evalkit's project are the same from every
working folder.
"""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from _pytest.config.findpaths import locate_config
from iniconfig import IniConfig, ParseError

from evalkit._lib.files import display_path
from evalkit.errors import UsageError

NEW_FILE = """\
# Read by pytest. With this file, the project is this folder, wherever pytest is started.
[pytest]
evalkit_suites = suites
"""
_OPTION = "evalkit_suites"
_HEADERS = {
    "setup.cfg": r"\[tool:pytest\]",
    "pyproject.toml": r"\[\s*tool\s*\.\s*pytest(?:\s*\.\s*ini_options)?\s*\]",
}
"""The line above pytest's settings in each file; in the others it is ``[pytest]``."""

_UNREADABLE = OSError, ValueError, ParseError, pytest.UsageError, pytest.fail.Exception


class PytestFile(NamedTuple):
    """A file of pytest's settings; ``suites`` are its folders of suites, None without the key."""

    path: Path
    suites: list[str] | None

    def has_suites(self, folder: Path) -> bool:
        """Return whether the suites of a folder are collected."""
        return any(folder.is_relative_to(self.path.parent / name) for name in self.suites or ())

    def text_with(self, folder: Path) -> str | None:
        """Return the file's text with a folder of suites; None where that must be typed."""
        if self.suites is not None:
            return None
        with self.path.open(encoding="utf-8", newline="") as file:
            text = file.read()
        name = folder.relative_to(self.path.parent).as_posix()
        match = _header(self.path, text)
        if match is None:
            return None
        line = f"{_OPTION} = {_value(self.path, name)}"
        new = text[: match.end()] + ("" if match[1] else "\n") + line + (match[1] or "\n")
        new += text[match.end() :]
        return new if _suites_in(self.path, new) == [name] else None

    def advice(self, folder: Path) -> str:
        """Return the setting to type."""
        name = folder.relative_to(self.path.parent).as_posix()
        names = [*(self.suites or ()), name]
        return f"{_OPTION} = {_value(self.path, *names)}"


def find_pytest_file(folder: Path, top: Path) -> PytestFile | None:
    """Return the file of settings that pytest reads for a folder, unless it is above ``top``."""
    try:
        _, path, options, *_ = locate_config(folder, [folder])
        if path is None or not path.is_relative_to(top):
            return None
        text = path.read_text(encoding="utf-8")
        # pytest also finds a pyproject.toml without settings of its own.
        if path.name == "pyproject.toml" and not options and not _header(path, text):
            return None
        return PytestFile(path, _suites_in(path, text))
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{display_path(folder)}: pytest cannot read its settings: {reason}"
        ) from error


def _header(path: Path, text: str) -> re.Match[str] | None:
    """Return the line above pytest's settings; its group is the line's end."""
    header = _HEADERS.get(path.name, r"\[pytest\]")
    return re.search(rf"(?m)^[ \t]*{header}[ \t]*(?:[#;].*)?(\r?\n|\r|\Z)", text)


def _value(path: Path, *names: str) -> str:
    return json.dumps(names, ensure_ascii=False) if _is_toml(path) else shlex.join(names)


def _is_toml(path: Path) -> bool:
    return path.suffix == ".toml"


def _suites_in(path: Path, text: str) -> list[str] | None:
    if _is_toml(path):
        table = tomllib.loads(text)
        table = table.get("pytest", table.get("tool", {}).get("pytest", {}))
        value = table.get("ini_options", table).get(_OPTION)
    else:
        section = "tool:pytest" if path.name == "setup.cfg" else "pytest"
        value = IniConfig(str(path), data=text).get(section, _OPTION)
    return shlex.split(value) if isinstance(value, str) else value
