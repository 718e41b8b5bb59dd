"""All programs: the guide's snippets, if the guide is available, and ours for each capability."""

from __future__ import annotations

from pathlib import Path

from tests.guide.expected import CAPABILITIES
from tests.guide.running import HERE, SUFFIXES, Program
from tests.guide.snippets import Guide, Language, read_guide

GUIDE = Path(__file__).parents[2] / ".." / "shared" / "guide.txt"
LANGUAGES: tuple[Language, ...] = ("python", "javascript", "curl")
_FOLDERS: dict[Language, str] = {"python": "python", "javascript": "js", "curl": "curl"}
_PROGRAMS = HERE / "programs"


def guide() -> Guide | None:
    """Return the guide, None if its file does not exist."""
    return read_guide(GUIDE.read_text(encoding="utf-8")) if GUIDE.is_file() else None


def snippets() -> list[Program]:
    """Return the guide's snippets as programs, named ``curl-9-stateless``."""
    found = guide()
    return [
        Program(snippet.name, snippet.language, snippet.source)
        for snippet in (found.snippets if found else ())
    ]


def our_own() -> list[Program]:
    """Return our programs, named ``curl-functions``."""
    files = {"weather.json": (_PROGRAMS / "weather.json").read_bytes()}
    return [
        Program(
            f"{language}-{capability}",
            language,
            path_of(language, capability).read_text(encoding="utf-8"),
            files,
        )
        for language in LANGUAGES
        for capability in CAPABILITIES
    ]


def path_of(language: Language, capability: str) -> Path:
    """Return the path of our program for a capability."""
    return _PROGRAMS / _FOLDERS[language] / f"{capability}{SUFFIXES[language]}"
