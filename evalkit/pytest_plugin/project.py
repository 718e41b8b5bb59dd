"""Where a project is: its root, its folders of suites, the folders that options name.

The root is pytest's rootdir where a file or an option decides it. Without one pytest takes the
common ancestor of the arguments, which differs from one command to the next. Then the root is the
folder of ``evalkit.yaml`` or of the suites that the arguments lead to, so that the same cassettes
are found from everywhere.

Like ``hooks``, loaded in every session: no evalkit imports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.pytest_plugin.command_line import is_typed
from evalkit.pytest_plugin.options import DEFAULT_SUITES, DEFAULTS

_ROOT: pytest.StashKey[Path] = pytest.StashKey()
_FRAGMENT = re.compile(rb"(?m)^(?:\xef\xbb\xbf)?fragment[ \t]*:")
_KEYS = re.compile(rb"(?m)^(?:\xef\xbb\xbf)?suite[ \t]*:"), re.compile(rb"(?m)^scenarios[ \t]*:")


def project_root(config: pytest.Config) -> Path:
    """Return the project's root, absolute."""
    if _ROOT not in config.stash:
        config.stash[_ROOT] = next(_roots(config))
    return config.stash[_ROOT]


def _roots(config: pytest.Config) -> Iterator[Path]:
    root = config.rootpath
    if config.inipath or config.option.rootdir or (root / "setup.py").is_file():
        yield root
    names = config.getini("evalkit_suites")
    for argument in config.args:
        path = config.invocation_params.dir / argument.partition("::")[0]
        folders = (path, *path.parents)
        yield from (folder for folder in folders if (folder / "evalkit.yaml").is_file())
        for folder in folders:
            if any(path.is_relative_to(folder / name) for name in names):
                yield folder
        if any((path / name).is_dir() for name in names):
            yield path
    yield root


def suite_folders(config: pytest.Config) -> list[Path]:
    """Return the folders of the ini option ``evalkit_suites``, absolute."""
    base = config.inipath.parent if config.inipath else project_root(config)
    return [base / name for name in config.getini("evalkit_suites")]


def check_suite_folders(config: pytest.Config) -> None:
    """Raise UsageError if a configured folder of suites does not exist.

    It may be misspelt; then its suites would not run, and nobody would notice.
    """
    if config.getini("evalkit_suites") == DEFAULT_SUITES:
        return
    for folder in suite_folders(config):
        if not folder.is_dir():
            raise pytest.UsageError(
                f"{config.inipath or 'pytest'}: evalkit_suites: {folder} is not a folder (folders "
                "are relative to the ini file); correct its name or create it"
            )


def is_suite(path: Path, parent: pytest.Collector) -> bool:
    """Return whether a YAML file is a suite, and not a fragment that suites include.

    That is a file named ``*.eval.yaml``, a file in a folder of suites, and a file that has the keys
    of a suite and is named on the command line, or is in a folder named there (or in the current
    folder, where none is named).
    """
    folders = suite_folders(parent.config)
    if path.name.endswith((".eval.yaml", ".eval.yml")) or any(
        path.is_relative_to(folder) for folder in folders
    ):
        return not _is_fragment(path)
    return (
        parent.config.args_source is not pytest.Config.ArgsSource.TESTPATHS
        and any(
            parent.session.isinitpath(named)
            and not any(folder.is_relative_to(named) for folder in folders)
            for named in (path, *path.parents)
        )
        and _has_keys_of_a_suite(path)
    )


def _is_fragment(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError:
        return False
    return _FRAGMENT.search(start) is not None and _KEYS[0].search(start) is None


def _has_keys_of_a_suite(path: Path) -> bool:
    first, second = _KEYS
    try:
        with path.open("rb") as file:
            # Most other files, such as large cassettes, are seen by their beginning.
            start = file.read(4096)
            return bool(first.search(start) and second.search(start + file.read()))
    except OSError:
        return False


def folder_of(config: pytest.Config, name: str) -> Path:
    """Return the absolute folder of an option in ``DEFAULTS``.

    A typed one is relative to the working directory, one of an ini file to that file, a default to
    the project.
    """
    folder: str = config.getoption(f"evalkit_{name}")
    if is_typed(config, f"--evalkit-{name}"):
        base = config.invocation_params.dir
    elif folder != DEFAULTS[name] and config.inipath:
        base = config.inipath.parent
    else:
        base = project_root(config)
    return base / folder
