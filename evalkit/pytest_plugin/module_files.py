"""The files that Python modules of a project consist of: their own and those that they import.

Nothing is imported: modules are found on the project's part of the path, and their text is parsed.
What cannot be known from the text (``import_module(name)``, plugins by name, a file that is not
Python) makes the result incomplete, and then any module of the project may be used.
"""

import ast
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_DYNAMIC = frozenset(
    {
        *("import_module", "__import__", "exec_module", "run_path", "run_module"),
        *("iter_modules", "walk_packages", "pytest_plugins"),
    }
)


@dataclass(frozen=True, slots=True)
class ModuleFiles:
    """The files of modules, names that were not found, and whether there may be more."""

    files: set[Path] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    may_import_more: bool = False


def search_folders(root: Path, top: Path) -> list[Path]:
    """Return the folders in which the modules of a project are found; ``top`` contains them."""
    folders = dict.fromkeys([root])
    for entry in sys.path:
        path = Path(entry or os.curdir).resolve()
        if path.is_relative_to(top) and not {"site-packages", "dist-packages"} & {*path.parts}:
            folders[path] = None
    return list(folders)


def module_files(
    names: Iterable[str], scripts: Iterable[Path], folders: Sequence[Path]
) -> ModuleFiles:
    """Return the files of modules by name and of scripts, with all that they import."""
    found = ModuleFiles()
    may_import_more = False
    waiting = list(scripts)
    for name in names:
        waiting += _modules(name, folders, found)
    while waiting:
        path = waiting.pop()
        if path in found.files:
            continue
        found.files.add(path)
        if path.suffix != ".py":
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError):
            may_import_more = True
            continue
        for node in ast.walk(tree):
            words = {getattr(node, key, None) for key in ("id", "attr", "name")}
            may_import_more |= not words.isdisjoint(_DYNAMIC)
            for imported, level in _imported(node):
                # A relative import starts in the folder of the module, whatever its package.
                start = path.parents[level - 1 : level] if level else folders
                waiting += _modules(imported, start, found)
    return ModuleFiles(found.files, found.missing, may_import_more)


def _imported(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the modules that a statement imports, and those that its names may be.

    Each has the number of its leading dots.
    """
    if isinstance(node, ast.Import):
        yield from ((alias.name, 0) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = f"{node.module}." if node.module else ""
        yield from ((f"{base}{alias.name}", node.level) for alias in node.names)


def _modules(name: str, folders: Sequence[Path], found: ModuleFiles) -> Iterator[Path]:
    """Yield the files of a module and of the packages that contain it."""
    path, parts = folders, name.split(".")
    for number, part in enumerate(parts, 1):
        file = next(
            (
                file
                for folder in path
                for file in (folder / part / "__init__.py", folder / f"{part}.py")
                if file.is_file()
            ),
            None,
        )
        if file is not None:
            yield file
        # Without a file it may be a namespace package, in several folders.
        below = [folder / part for folder in path] if file is None else [file.parent]
        path = [folder for folder in below if folder.is_dir()]
        if not path or (file is not None and file.name != "__init__.py" and number < len(parts)):
            found.missing.add(".".join(parts[: number + (file is not None)]))
            return
