"""Topic ``suites``: cassettes and snapshots compared with the suites that use them.

A cassette belongs to suites when its folder is that of a loaded suite, or when its metadata say
that a suite recorded it. Recordings of applications may be beside them and are never orphans.
Suites are loaded without their checks, which may be defined in a ``conftest.py``: only the variants
matter here. Which recordings a variant plays is only known after a run; lint reads it from a run
directory (``--run``).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import display_path
from evalkit._lib.json import JSON
from evalkit.checks.snapshot import DEFAULT_NAMES, FOLDER, KINDS, path_of
from evalkit.errors import SuiteErrors
from evalkit.lint.cassette_view import CassetteView
from evalkit.lint.file_search import LintFiles
from evalkit.lint.rules import RuleFinding
from evalkit.results import Run
from evalkit.suite import Suite, Variant, cassettes_of, expand, load
from evalkit.suite.model.variant_names import unlocked_cassette

_TRIAL = re.compile(r"\.trial[0-9]+(?=\.yaml\Z)")
_RECORDING = re.compile(r"recording ([0-9]+): (.*)", re.DOTALL)
_NAMES = re.compile(r"[A-Za-z_]\w*")
_NOT_CHECKS = frozenset(("not", "severity"))

UnplayedRecordings = dict[str, list[tuple[int | None, str]]]
"""Number (from 1) and description of each unplayed recording, by cassette (``suite/name.yaml``)."""


class SuiteFiles(NamedTuple):
    """The files that suites use.

    ``cassettes`` maps each cassette (``suite/name.yaml``) to the variant that plays it. ``suites``
    are the loaded suites by name.
    ``snapshots`` maps each suite's folder of snapshots to the file names that its checks use.
    """

    cassettes: dict[str, str]
    suites: Mapping[str, Suite]
    snapshots: dict[Path, set[str]]


def load_suite_files(
    paths: Iterable[Path], root: Path
) -> tuple[SuiteFiles, list[tuple[str, RuleFinding]]]:
    """Load suites; return the files they use, and a finding per suite that cannot be loaded."""
    cassettes: dict[str, str] = {}
    snapshots: dict[Path, set[str]] = defaultdict(set)
    suites: dict[str, Suite] = {}
    findings = []
    for path in paths:
        try:
            suite = _load_without_checks(path, root)
        except SuiteErrors as error:
            problem = error.problems[0]
            message = f"it cannot be loaded: {problem.message}"
            finding = RuleFinding("suite_unreadable", message, line=problem.line)
            findings.append((display_path(path), finding))
            continue
        suites[suite.name] = suite
        folder = path.absolute().parent / FOLDER / suite.name
        for variant in expand(suite):
            cassettes[variant.cassette] = f"{variant.id} ({display_path(path)}:{variant.line})"
            snapshots[folder].update(_snapshot_names(variant))
    return SuiteFiles(cassettes, suites, snapshots), findings


def _snapshot_names(variant: Variant) -> Iterator[str]:
    turns = [(turn.number, variant.turn_expect(turn.number)) for turn in variant.scenario.turns]
    for number, expectations in ((None, variant.expect), *turns):
        for item in expectations:
            if item.name != "snapshot":
                continue
            options = item.argument
            if not isinstance(options, dict):
                options = {"of": options or "text"}
            kind = options.get("of", "text")
            if kind in KINDS:
                name = str(options.get("name") or DEFAULT_NAMES[kind])
                suite, scenario = variant.suite.name, variant.scenario.id
                path = path_of(suite, scenario, variant.parts, number, name, kind)
                yield path.rpartition("/")[2]


def find_orphan_snapshots(suite_files: SuiteFiles) -> Iterator[tuple[str, RuleFinding]]:
    """Yield approved snapshots that no check of their suite uses, with their file name."""
    for folder, names in suite_files.snapshots.items():
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_file() and path.name not in names and not path.name.startswith("."):
                message = f"no check of the suite {folder.name!r} uses it; delete it"
                yield display_path(path), RuleFinding("snapshot_orphan", message)


def check_orphan(view: CassetteView, suite_files: SuiteFiles) -> Iterator[RuleFinding]:
    """Yield a finding where no variant plays a cassette of a suite."""
    folder = view.path.absolute().parent.name
    key = unlocked_cassette(f"{folder}/{view.path.name}")
    in_suite = folder in suite_files.suites
    names = {key, _TRIAL.sub("", key)}
    if not names.isdisjoint(suite_files.cassettes):
        return
    model = view.cassette.metadata.get("model")
    # A session with --evalkit-model plays the cassettes of that model.
    with_model = cassettes_of(suite_files.suites[folder], str(model)) if in_suite and model else ()
    if not names.isdisjoint(with_model):
        return
    if in_suite or "suite_digest" in view.cassette.metadata:
        subject = f"no variant of the suite {folder!r}" if in_suite else "no suite"
        yield RuleFinding("cassette_orphan", f"{subject} plays it; delete it")


def find_missing_cassettes(
    files: LintFiles, suite_files: SuiteFiles
) -> Iterator[tuple[str, RuleFinding]]:
    """Yield cassettes that are missing in the linted folders, with their file name.

    A suite without any cassette there is recorded elsewhere, or not yet.
    """
    existing = {path.absolute() for path in files.cassettes}
    homes = {
        path.parent
        for path in existing
        if f"{path.parent.name}/{path.name}" in suite_files.cassettes
    }
    linted = [folder.absolute() for folder in files.folders]
    for home in sorted(homes):
        for key, variant in suite_files.cassettes.items():
            path = home.parent / key
            if path.parent != home or path in existing or path.exists():
                continue
            if any(path.is_relative_to(folder) for folder in linted):
                message = f"the cassette does not exist; {variant} plays it"
                yield display_path(path), RuleFinding("cassette_missing", message)


def load_unplayed(run: Path) -> UnplayedRecordings:
    """Return the recordings that a run did not play.

    Raises UsageError where ``run`` is not a run directory.
    """
    unplayed: UnplayedRecordings = defaultdict(list)
    for result in Run(run).results():
        cassette, lines = result.get("cassette"), result.get("unplayed")
        for line in lines if isinstance(cassette, str) and isinstance(lines, list) else ():
            match = _RECORDING.match(str(line))
            item = (int(match[1]), match[2]) if match else (None, str(line))
            unplayed[str(cassette)].append(item)
    return unplayed


def check_unplayed(view: CassetteView, unplayed: UnplayedRecordings) -> Iterator[RuleFinding]:
    """Yield the recordings of a cassette that the run did not play."""
    key = f"{view.path.absolute().parent.name}/{view.path.name}"
    for number, description in unplayed.get(key, ()):
        message = f"the run did not play it: {description}"
        yield RuleFinding("recording_unplayed", message, exchange=number)


def _load_without_checks(path: Path, root: Path) -> Suite:
    try:
        names = set(_NAMES.findall(path.read_text("utf-8", "replace")))
    except OSError:
        names = set()
    catalog = _AnyCheck(sorted(names - _NOT_CHECKS))
    return load(path.absolute(), root=root.absolute(), checks=catalog)


class _AnyCheck:
    """A catalog that accepts every word of a suite as a check."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def names(self) -> Sequence[str]:
        return self._names

    def build(self, name: str, argument: JSON, *, bare: bool) -> object:
        return (name, bare)

    def schema(self, name: str) -> dict[str, JSON]:
        return {}

    def text_options(self, name: str) -> Sequence[str]:
        return ()

    def files(self, name: str, argument: JSON) -> list[tuple[tuple[str | int, ...], str]]:
        return []
