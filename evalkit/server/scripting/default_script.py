"""The script that ships: where it is, and reading any script file."""

from __future__ import annotations

from pathlib import Path

from evalkit.errors import ScriptError
from evalkit.server.scripting.script import Script

DEFAULT_SCRIPT = Path(__file__).parents[1] / "scripts" / "guide.yaml"
"""Answers every prompt of the API's getting-started guide as the guide shows."""


def load_script(path: Path = DEFAULT_SCRIPT) -> Script:
    """Read a script file. Raises ScriptError: no such file, not UTF-8, or what ``Script.load`` finds."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ScriptError(f"{path}: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise ScriptError(f"{path}: {error.strerror}") from error
    return Script.load(text, path.name if path == DEFAULT_SCRIPT else str(path))
