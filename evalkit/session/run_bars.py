"""Compare the bars of two runs: load the suites that they store, judge one by the other's.

Only results are judged again whose expectations differ; the verdict of all others stays.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from evalkit._lib.text import shorten
from evalkit.checks.snapshot import FOLDER as SNAPSHOTS
from evalkit.compare.bar import (
    BarComparison,
    ComparedChoices,
    compare_digests,
    suite_digests,
)
from evalkit.compare.expectation_changes import bar_changes, count_expectations
from evalkit.compare.rows import ResultRow, result_row
from evalkit.compare.turn_results import TurnRun, turn_results
from evalkit.errors import SuiteErrors
from evalkit.results import Run
from evalkit.results.bar import Files, read_bar, unpacked
from evalkit.session.python_targets import PythonTargets
from evalkit.session.rejudge import Rejudge
from evalkit.suite import CheckCatalog, Suite, load
from evalkit.suite.loading.loader import redacted
from evalkit.suite.model.deferred import ReadVariable

LoadSuites = Callable[[Path, Iterable[str]], list[Suite]]


def load_suites(
    folder: Path,
    paths: Iterable[str],
    checks: CheckCatalog,
    environment: ReadVariable = redacted,
) -> list[Suite]:
    """Load suite files of a project. Raises SuiteErrors."""
    return [
        load(folder / path, root=folder, checks=checks, environment=environment)
        for path in sorted(set(paths))
    ]


def compare_bars(
    baseline: Run,
    candidate: Run,
    choices: ComparedChoices,
    python: PythonTargets,
    load_all: LoadSuites,
) -> BarComparison:
    """Compare what two runs were judged by, and judge the candidate by the baseline's bar.

    Raises UsageError for a run that cannot be read.
    """
    files = read_bar(baseline.directory), read_bar(candidate.directory)
    if files[0] is None or files[1] is None:
        return compare_digests(baseline, candidate, choices)
    if files[0] == files[1] and not choices.axes:
        return BarComparison()
    try:
        return _compare(baseline, candidate, (files[0], files[1]), choices, python, load_all)
    except SuiteErrors as error:
        reason = shorten(str(error).partition("\n")[0], 200)
        return BarComparison(unknown=f"a stored suite cannot be loaded: {reason}")


def _compare(
    baseline: Run,
    candidate: Run,
    files: tuple[Files, Files],
    choices: ComparedChoices,
    python: PythonTargets,
    load_all: LoadSuites,
) -> BarComparison:
    with ExitStack() as stack:
        old, new = (
            load_all(
                stack.enter_context(unpacked(stored)), suite_digests(run).keys() & stored.keys()
            )
            for run, stored in zip((baseline, candidate), files, strict=True)
        )
        changes = bar_changes(old, new, choices)
        scenarios = {change.scenario for change in changes}
        scenarios |= set(_with_other_snapshots(old, files))
        rejudge = Rejudge(candidate, old, python)
        judged: list[ResultRow] = []
        whole = candidate.whole if isinstance(candidate, TurnRun) else candidate
        for line in whole.results():
            if f"{line['suite']}::{line['scenario']}" in scenarios:
                record = rejudge.judge(line, choices)
                if record is not None:
                    judged += map(
                        result_row, [record] if whole is candidate else turn_results(record)
                    )
    expectations = count_expectations(old, choices.baseline)
    return BarComparison(changes=changes, expectations=expectations, judged=judged)


def _with_other_snapshots(suites: Iterable[Suite], files: tuple[Files, Files]) -> Iterator[str]:
    """Yield the scenarios of suites whose approved snapshots differ."""
    for suite in suites:
        folder = (Path(suite.label).parent / SNAPSHOTS / suite.name).as_posix()
        stored = [
            {name: text for name, text in one.items() if name.startswith(f"{folder}/")}
            for one in files
        ]
        if stored[0] != stored[1]:
            yield from (f"{suite.name}::{scenario.id}" for scenario in suite.scenarios)
