"""What a project has before ``evalkit init``: repository, CI system, dependencies."""

import os
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evalkit._lib.files import display_path
from evalkit._lib.pytest_settings import SettingsFile
from evalkit.cli.init_pytest import find_pytest_file
from evalkit.errors import UsageError
from evalkit.signoff.git import output

CISystem = Literal["github", "gitlab", "none"]
_GROUPS = ("dev", "test", "tests")
"""Groups of dependencies that are installed where they exist."""
_REQUIREMENTS = ("requirements.txt", *(f"requirements-{group}.txt" for group in _GROUPS))
_UV = (
    "python -m pip install uv",
    # Into the environment that the next steps use.
    "export UV_PROJECT_ENVIRONMENT=\"$(python -c 'import sys; print(sys.prefix)')\"",
)
_POETRY = (
    "python -m pip install poetry",
    "poetry config virtualenvs.create false",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProject:
    """Where ``evalkit init`` writes, all absolute.

    ``folder`` gets suites and prompts. ``root`` is the project's root: the folder of pytest's
    settings, where cassettes and reports are. ``top`` is the repository's root, where a CI system
    starts; without a repository it is ``folder``.
    """

    folder: Path
    root: Path
    top: Path
    has_repository: bool
    pytest_file: SettingsFile | None

    @classmethod
    def find(cls, folder: Path) -> "NewProject":
        """Return the project of a folder. Raises UsageError."""
        repository = next(
            (path for path in (folder, *folder.parents) if (path / ".git").exists()), None
        )
        top = repository or folder
        settings = find_pytest_file(folder, top)
        return cls(
            folder=folder,
            root=settings.path.parent if settings else folder,
            top=top,
            has_repository=repository is not None,
            pytest_file=settings,
        )

    def ci_system(self) -> CISystem | None:
        """Return the CI system in use, by its files, else by the repository's remotes."""
        gitlab = (self.top / ".gitlab-ci.yml").exists()
        github = (self.top / ".github" / "workflows").exists()
        if github != gitlab:
            return "github" if github else "gitlab"
        remotes = output(self.top, "remote", "-v") if self.has_repository else ""
        for system in ("github", "gitlab"):
            if re.search(rf"(?m)^[^\t]*\t[^/]*(?://)?[^/]*\b{system}\b", remotes):
                return system
        return "github" if (self.top / ".github").exists() else None

    def install_commands(self) -> list[str]:
        """Return the commands that install the dependencies and evalkit, started in ``root``."""
        folders = [self.folder, *self.folder.parents]
        folders = folders[: folders.index(self.top) + 1]
        commands = next(filter(None, map(self._dependencies, folders)), [])
        return [*commands, "python -m pip install pytest-evalkit"]

    def _dependencies(self, folder: Path) -> list[str]:
        """Return the commands that install what the files of a folder declare."""
        path = Path(os.path.relpath(folder, self.root)).as_posix()
        pyproject = folder / "pyproject.toml"
        table = _read_toml(pyproject) if pyproject.is_file() else {}
        if table:
            above = [folder, *folder.parents]
            # The lock of a workspace is in its root.
            if any((one / "uv.lock").is_file() for one in above[: above.index(self.top) + 1]):
                return [*_UV, f"uv sync --locked --inexact{_option('--project', path)}"]
            if (folder / "poetry.lock").is_file():
                return [*_POETRY, f"poetry install --no-interaction{_option('--directory', path)}"]
        words = [
            word
            for name in _REQUIREMENTS
            if (folder / name).is_file()
            for word in ("-r", Path(path, name).as_posix())
        ]
        words += _package(folder, table, path)
        groups = [name for name in _GROUPS if name in table.get("dependency-groups", {})]
        words += [
            word
            for name in groups
            for word in ("--group", name if path == "." else f"{path}/pyproject.toml:{name}")
        ]
        if not words:
            return []
        # Groups need pip 25.1.
        upgrade = ["python -m pip install --upgrade pip"] if groups else []
        return [*upgrade, f"python -m pip install {shlex.join(words)}"]


def _package(folder: Path, table: dict[str, Any], path: str) -> list[str]:
    """Return the arguments that install a folder as a package, if it is one."""
    if not ("project" in table or "build-system" in table or (folder / "setup.py").is_file()):
        return []
    declared = table.get("project", {}).get("optional-dependencies", {})
    extras = ",".join(name for name in _GROUPS if name in declared)
    return ["-e", f"{path}[{extras}]" if extras else path]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{display_path(path)}: cannot be read ({error})") from error


def _option(name: str, path: str) -> str:
    return "" if path == "." else f" {name} {shlex.quote(path)}"
