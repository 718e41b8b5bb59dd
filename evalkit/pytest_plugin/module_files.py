"""The files that Python modules of a project consist of: their own and those that they import.

Nothing is imported: modules are found on the project's part of the path, and their text is parsed.
What cannot be known from the text (``import_module(name)``, plugins by name, a file that is not
Python) makes the result incomplete, and then any module of the project may be used.
"""

import ast
import os
import sys
from collections.abc import Iterable, Iterator
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


def search_folders(root: Path, top: Path) -> list[str]:
    """Return the folders in which the modules of a project are found; ``top`` contains them."""
    folders = dict.fromkeys([str(root)])
    for entry in sys.path:
        path = Path(entry or os.curdir).resolve()
        if path.is_relative_to(top) and not {"site-packages", "dist-packages"} & {*path.parts}:
            folders[str(path)] = None
    return list(folders)


def module_files(names: Iterable[str], scripts: Iterable[Path], folders: list[str]) -> ModuleFiles:
    """Return the files of modules by name and of scripts, with all that they import."""
    found = ModuleFiles()
    may_import_more = False
    waiting = [("", path) for path in scripts]
    for name in names:
        waiting += _modules(name, folders, found)
    while waiting:
        name, path = waiting.pop()
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
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node in ast.walk(tree):
            word = getattr(node, "id", None) or getattr(node, "attr", None)
            may_import_more |= word in _DYNAMIC
            for imported in _imported(node, package):
                waiting += _modules(imported, folders, found)
    return ModuleFiles(found.files, found.missing, may_import_more)


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """Yield the modules that a statement imports, and those that its names may be."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*(above if node.level else []), *([node.module] if node.module else [])])
        yield from ([base] if base else [])
        yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def _modules(name: str, folders: list[str], found: ModuleFiles) -> Iterator[tuple[str, Path]]:
    """Yield the packages that contain a module, and the module, with their files."""
    path = [Path(folder) for folder in folders]
    parts = name.split(".")
    for number, part in enumerate(parts, 1):
        prefix = ".".join(parts[:number])
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
            yield prefix, file
        # Without a file it may be a namespace package, in several folders.
        below = [folder / part for folder in path] if file is None else [file.parent]
        path = [folder for folder in below if folder.is_dir()]
        if not path or (file is not None and file.name != "__init__.py" and number < len(parts)):
            found.missing.add(".".join(parts[: number + (file is not None)]))
            return
