"""pytest's settings of a project: the file that pytest reads, and ``evalkit_suites`` in it.

With a file of settings, pytest's root folder and so evalkit's project are the same from every
working folder.
"""

import json
import re
import shlex
from pathlib import Path

from evalkit._lib.pytest_settings import SettingsFile, find_settings, read_options
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


def find_pytest_file(folder: Path, top: Path) -> SettingsFile | None:
    """Return the file of settings that pytest reads for a folder, unless it is above ``top``."""
    try:
        for above in [folder, *folder.parents]:
            if (settings := find_settings(above)) or above == top:
                return settings
    except ValueError as error:
        raise UsageError(str(error)) from error
    return None


def has_suites(settings: SettingsFile, folder: Path) -> bool:
    """Return whether the suites of a folder are collected."""
    root = settings.path.parent
    return any(folder.is_relative_to(root / name) for name in settings.words(_OPTION) or ())


def text_with(settings: SettingsFile, folder: Path) -> str | None:
    """Return the file's text with a folder of suites; None where that must be typed."""
    path = settings.path
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    match = _header(path, text)
    if match is None or settings.words(_OPTION) is not None:
        return None
    name = folder.relative_to(path.parent).as_posix()
    line = f"{_OPTION} = {_value(path, name)}"
    new = text[: match.end()] + ("" if match[1] else "\n") + line + (match[1] or "\n")
    new += text[match.end() :]
    added = SettingsFile(path, read_options(path, new) or {})
    return new if added.words(_OPTION) == [name] else None


def advice(settings: SettingsFile, folder: Path) -> str:
    """Return the setting to type."""
    name = folder.relative_to(settings.path.parent).as_posix()
    return f"{_OPTION} = {_value(settings.path, *(settings.words(_OPTION) or ()), name)}"


def _header(path: Path, text: str) -> re.Match[str] | None:
    """Return the line above pytest's settings; its group is the line's end."""
    header = _HEADERS.get(path.name, r"\[pytest\]")
    return re.search(rf"(?m)^[ \t]*{header}[ \t]*(?:[#;].*)?(\r?\n|\r|\Z)", text)


def _value(path: Path, *names: str) -> str:
    is_toml = path.suffix == ".toml"
    return json.dumps(names, ensure_ascii=False) if is_toml else shlex.join(names)
