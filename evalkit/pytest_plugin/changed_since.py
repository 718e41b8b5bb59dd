"""``--evalkit-changed-since REF``: run only the variants that a change concerns.

Everything that a variant is made of is compared with a git revision: its cassette with its media;
its suite with the files that it uses, the snapshots and the Python modules that it names. Where
that cannot be known, the variant is run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalkit._lib.files import FILE_ERRORS
from evalkit._lib.text import plural
from evalkit.checks.snapshot import FOLDER as SNAPSHOTS
from evalkit.errors import Misconfigured
from evalkit.pytest_plugin.collection import VariantItem
from evalkit.pytest_plugin.module_files import ModuleFiles, module_files, search_folders
from evalkit.pytest_plugin.options import CHANGES
from evalkit.pytest_plugin.project import project_root
from evalkit.session.siblings import compares_siblings
from evalkit.signoff import git

if TYPE_CHECKING:
    from evalkit.pytest_plugin.state import SessionState
    from evalkit.suite import Suite, Variant

_CONFIGURATION = (
    *("evalkit.yaml", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini"),
    *("pyproject.toml", "setup.cfg", "setup.py", "requirements*.txt", "*.lock", "Pipfile"),
)
"""Files that decide about every variant, in the project's folder and those above it."""
_TARGET = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_]")
_MEDIA = "_media"


def read_changes(config: pytest.Config) -> str:
    """Return what changed since the option's revision, as text for workers. Raises UsageError."""
    try:
        ref: str = config.getoption("evalkit_changed_since")
        return git.changes_since(project_root(config), ref)
    except Misconfigured as error:
        raise pytest.UsageError(f"--evalkit-changed-since: {error}") from error


class WorkTree:
    """The files of a repository compared with a revision.

    ``changes`` names its folder ``top``, the files that the revision has (``known``) and those that
    differ (``changed``), all from ``top``.
    """

    def __init__(self, changes: str, root: Path) -> None:
        values: dict[str, Any] = json.loads(changes)
        self.top = Path(values["top"])
        self.commit: str = values["commit"]
        self.changed: frozenset[str] = frozenset(values["changed"])
        self._known: frozenset[str] = frozenset(values["known"])
        self._root = root

    def is_changed(self, path: Path) -> bool:
        """Return whether a file differs from the revision, or cannot be compared with it.

        A link is compared and what it leads to; a file of a submodule is as its submodule.
        """
        return any(map(self._is_changed, self._names(path)))

    def below(self, folder: Path) -> Iterator[str]:
        """Yield the changed files in a folder, by their paths from it."""
        for name in self._names(folder):
            if name is not None:
                start = f"{name}/".removeprefix("./")
                yield from (path[len(start) :] for path in self.changed if path.startswith(start))

    def _names(self, path: Path) -> set[str | None]:
        """Return the paths of a file and of what it leads to, None for one outside."""
        paths = {path.resolve()}
        if path.is_relative_to(self._root):
            paths.add(self._root.resolve() / path.relative_to(self._root))
        return {
            one.relative_to(self.top).as_posix() if one.is_relative_to(self.top) else None
            for one in paths
        }

    def _is_changed(self, name: str | None) -> bool:
        if name is None:
            return True
        parts = name.split("/")
        names = {"/".join(parts[:number]) for number in range(1, len(parts) + 1)}
        if names & self.changed:
            return True
        # What neither the revision nor the folder has is unchanged.
        return not names & self._known and (self.top / name).exists()


class ChangedVariants:
    """Decides which variants of a project a change concerns.

    ``cassettes`` is None in a live session. ``ini`` is pytest's file of settings, if any.
    """

    def __init__(
        self, tree: WorkTree, root: Path, cassettes: Path | None, ini: Path | None = None
    ) -> None:
        self._tree = tree
        self._root = root
        self._cassettes = cassettes
        self._ini = ini
        self._changed_cassettes = list(tree.below(cassettes)) if cassettes is not None else []
        self._media = [name for name in self._changed_cassettes if name.startswith(f"{_MEDIA}/")]
        self._suites: dict[Suite, bool] = {}
        self._modules: dict[tuple[frozenset[str], frozenset[Path]], bool] = {}

    @property
    def configuration(self) -> str:
        """A changed file that decides about every variant, ``""`` if there is none."""
        top, root = self._tree.top, self._root.resolve()
        folders = [one for one in (root, *root.parents) if one.is_relative_to(top)]
        for name in sorted(self._tree.changed):
            folder, _, file = name.rpartition("/")
            if (top / folder) in folders and any(fnmatch(file, one) for one in _CONFIGURATION):
                return name
        if self._ini is not None and self._tree.is_changed(self._ini):
            return self._ini.name
        return ""

    def __contains__(self, variant: Variant) -> bool:
        """Return whether the change concerns a variant."""
        suite = variant.suite
        if suite not in self._suites:
            self._suites[suite] = self._is_suite_changed(suite)
        return self._suites[suite] or (
            self._cassettes is not None
            and self._is_cassette_changed(variant, self._cassettes / variant.cassette)
        )

    def _is_cassette_changed(self, variant: Variant, path: Path) -> bool:
        if self._tree.is_changed(path):
            return True
        if compares_siblings(variant):
            start = f"{variant.suite.name}/{variant.scenario.id}."
            if any(name.startswith(start) for name in self._changed_cassettes):
                return True
        if not self._media or not path.exists():
            return False
        try:
            text = path.read_text("utf-8", "replace")
        except FILE_ERRORS:
            return True
        return any(Path(name).stem in text for name in self._media)

    def _is_suite_changed(self, suite: Suite) -> bool:
        files = [suite.path, *(path for _, path in suite.used_files)]
        snapshots = suite.path.parent / SNAPSHOTS / suite.name
        return (
            any(map(self._tree.is_changed, files))
            or any(self._tree.below(snapshots))
            or self._are_modules_changed(suite)
        )

    def _are_modules_changed(self, suite: Suite) -> bool:
        """Return whether Python code changed that the suite names, or that registers checks."""
        sources = (suite.resources.source, *suite.resources.included.values())
        names = frozenset(name for one in sources for name in _TARGET.findall(one.text))
        folders = [one for one in suite.path.parents if one.is_relative_to(self._root)]
        # pytest imports the package of a conftest.py with it.
        scripts = frozenset(
            folder / name
            for folder in folders
            for name in ("conftest.py", "__init__.py")
            if (folder / name).is_file()
        )
        key = names, scripts
        if key not in self._modules:
            used = module_files(names, scripts, search_folders(self._root, self._tree.top))
            self._modules[key] = self._is_any_changed(used) or any(
                "conftest.py" in self._tree.below(folder) for folder in folders
            )
        return self._modules[key]

    def _is_any_changed(self, used: ModuleFiles) -> bool:
        sources = [name for name in self._tree.changed if name.endswith(".py")]
        if used.may_import_more and sources:
            return True
        # A module that is missing may have been deleted.
        words = {name.removesuffix(".py").removesuffix("/__init__") for name in sources}
        missing = {name.replace(".", "/") for name in used.missing}
        return any(
            word == name or word.endswith(f"/{name}") for word in words for name in missing
        ) or any(
            self._tree.is_changed(path)
            for path in used.files
            if path.resolve().is_relative_to(self._tree.top)
        )


class ChangedSelection:
    """Deselects the variants that no change since a revision concerns."""

    def __init__(self, config: pytest.Config, state: SessionState) -> None:
        self._config = config
        self._state = state
        changes: str = getattr(config, "workerinput", {}).get(CHANGES) or read_changes(config)
        self._tree = WorkTree(changes, state.settings.root)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Deselect variants, after options and other plugins did."""
        settings = self._state.settings
        cassettes = None if settings.live else settings.cassettes
        affected = ChangedVariants(self._tree, settings.root, cassettes, self._config.inipath)
        ref = self._config.getoption("evalkit_changed_since")
        since = f"changed since {ref} ({self._tree.commit[:10]})"
        if file := affected.configuration:
            self._state.selection = f"{since}: all tests, because {file} did"
            return
        tests = [item for item in items if isinstance(item, VariantItem)]
        left_out = {
            item for item in tests if not any(variant in affected for variant in item.variants)
        }
        self._state.unaffected = len(left_out)
        count = f"{len(tests) - len(left_out)} of {plural(len(tests), 'test')}"
        self._state.selection = f"{since}: {count}"
        if left_out:
            items[:] = [item for item in items if item not in left_out]
            self._config.hook.pytest_deselected(items=list(left_out))
