"""pytest's settings in a folder, found as pytest finds them, but without running it."""

import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from iniconfig import IniConfig, ParseError

from evalkit._lib.files import display_path

_SECTIONS = {
    "pytest.toml": "pytest",
    ".pytest.toml": "pytest",
    "pytest.ini": "pytest",
    ".pytest.ini": "pytest",
    "pyproject.toml": "tool.pytest",
    "tox.ini": "pytest",
    "setup.cfg": "tool:pytest",
}
"""The files that may have settings, in pytest's order, and the table or section in each."""

UNREADABLE = (OSError, ValueError, TypeError, AttributeError, ParseError)
"""What a file raises that pytest cannot read either."""


class SettingsFile(NamedTuple):
    """A file of settings, and the options in it."""

    path: Path
    options: Mapping[str, Any]

    def words(self, name: str) -> list[str] | None:
        """Return the words of an option, None if it is not set."""
        value = self.options.get(name)
        if isinstance(value, list):
            return list(map(str, value))
        return None if value is None else shlex.split(str(value))


def find_settings(folder: Path) -> SettingsFile | None:
    """Return the first file of a folder that has settings, which is the only one for pytest.

    Raises ValueError: pytest cannot read it either.
    """
    for name in _SECTIONS:
        path = folder / name
        if path.is_file():
            try:
                options = read_options(path, path.read_text("utf-8"))
            except UNREADABLE as error:
                raise ValueError(
                    f"{display_path(path)}: pytest cannot read its settings: "
                    f"{' '.join(str(error).split())}"
                ) from error
            if options is not None:
                return SettingsFile(path, options)
    return None


def read_options(path: Path, text: str) -> Mapping[str, Any] | None:
    """Return the options in the text of a file, None if it has no settings of pytest."""
    section = _SECTIONS[path.name]
    if path.suffix == ".toml":
        table: Any = tomllib.loads(text)
        for key in section.split("."):
            table = table and table.get(key)
        options = table and table.get("ini_options", table)
    else:
        ini = IniConfig(str(path), data=text)
        if path.name == "setup.cfg" and "pytest" in ini:
            raise ValueError("setup.cfg has the section [pytest]; pytest reads [tool:pytest]")
        options = dict(ini[section].items()) if section in ini else None
    # A file with this name is for pytest alone.
    return {} if options is None and "pytest" in path.stem else options
