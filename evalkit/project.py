"""The project that a run belongs to, for commands that judge results again.

Code of the project may run then: its ``python`` checks, and the checks that its ``conftest.py``
files register. It is always the code that the project has now. Nothing else is executed: of other
revisions only suites are read, and those are data.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from evalkit._lib.files import display_path
from evalkit._lib.pytest_settings import UNREADABLE, find_settings
from evalkit.compare.bar import BarComparison, ComparedChoices
from evalkit.config import NAME as CONFIG
from evalkit.errors import SuiteErrors, UsageError
from evalkit.plugins import Catalog
from evalkit.results import Run
from evalkit.results.run_directory import find_project_root
from evalkit.session.python_targets import NoPython, PythonTargets
from evalkit.session.run_bars import compare_bars, load_suites
from evalkit.suite import Suite
from evalkit.suite.loading.loader import redacted
from evalkit.suite.model.deferred import ReadVariable


def root_of(run: Run) -> Path:
    """Return the project of a run; the working directory where its suites are not found."""
    try:
        return find_project_root(run.directory, run.manifest)
    except (UsageError, KeyError):
        return Path.cwd()


def find_root(folder: Path) -> Path:
    """Return the nearest folder, from one upward, with settings of pytest or ``evalkit.yaml``.

    It is the folder itself where no other one has any.
    """
    for root in (folder, *folder.parents):
        with suppress(*UNREADABLE):
            if find_settings(root) is not None or (root / CONFIG).is_file():
                return root
    return folder


def pytest_lines(root: Path, name: str) -> list[str]:
    """Return the lines of an option in the project's pytest settings, none if it is not set."""
    with suppress(*UNREADABLE):
        value = (settings := find_settings(root)) and settings.options.get(name)
        lines = value if isinstance(value, list) else str(value or "").splitlines()
        return [line for one in lines if (line := str(one).strip())]
    return []


def pytest_option(root: Path, name: str) -> list[str]:
    """Return the words of an option in the project's pytest settings, none if it is not set.

    There are none in settings that cannot be read, which pytest itself reports.
    """
    with suppress(*UNREADABLE):
        return ((settings := find_settings(root)) and settings.words(name)) or []
    return []


def project_python(root: Path) -> PythonTargets:
    """Return the code that the suites of a project may name."""
    return PythonTargets(root, tuple(pytest_option(root, "evalkit_python")))


def project_bars(baseline: Run, candidate: Run, choices: ComparedChoices) -> BarComparison:
    """Compare the bars of two runs with the checks of the candidate's project."""
    root = root_of(candidate)
    load = partial(load_all, root)
    return compare_bars(baseline, candidate, choices, project_python(root), load)


def bars_without_code(baseline: Run, candidate: Run, choices: ComparedChoices) -> BarComparison:
    """Compare the bars of two runs without running any code of the project."""
    python = NoPython(root_of(candidate))
    load = partial(load_suites, checks=Catalog())
    return compare_bars(baseline, candidate, choices, python, load)


def load_all(
    root: Path, folder: Path, paths: Iterable[str], environment: ReadVariable = redacted
) -> list[Suite]:
    """Load suites of a folder with the checks of the project. Raises SuiteErrors, UsageError.

    ``environment`` returns the value of an environment variable, as for ``evalkit.suite.load``.
    """
    names = sorted(set(paths))
    try:
        return load_suites(folder, names, Catalog(), environment)
    except SuiteErrors as error:
        # Few projects register checks, and their code runs only where a suite needs one.
        if "unknown check" not in str(error) or not register_checks(root, names):
            raise
        return load_suites(folder, names, Catalog(), environment)


def register_checks(root: Path, suites: Iterable[str]) -> bool:
    """Import the project's ``conftest.py`` files above its suites; return whether there are any."""
    found = list(dict.fromkeys(_conftests(root, suites)))
    for path in found:
        spec = spec_from_file_location(f"evalkit_conftest_{len(path.parts)}", path)
        if spec is None or spec.loader is None:
            continue
        try:
            spec.loader.exec_module(module_from_spec(spec))
        except Exception as error:
            raise UsageError(
                f"{display_path(path)}: cannot be imported for its checks "
                f"({type(error).__name__}: {error}); correct it"
            ) from error
    return bool(found)


def _conftests(root: Path, suites: Iterable[str]) -> Iterator[Path]:
    for suite in suites:
        for folder in reversed([*(root / suite).parents]):
            if folder.is_relative_to(root) and (folder / "conftest.py").is_file():
                yield folder / "conftest.py"
