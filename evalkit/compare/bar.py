"""The bars of two runs: what their results are judged by, and where their verdicts depend on it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from evalkit._lib.json import JSON
from evalkit.compare.rows import ResultRow
from evalkit.results import Run
from evalkit.verdict import Verdict

ChangeKind = Literal["removed", "loosened", "changed", "tightened", "added"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationChange:
    """A difference between the expectations of a scenario.

    ``scenario`` is ``suite::scenario``, ``subject`` the check and its turn. ``location`` is
    ``file:line`` in the baseline's suite, or in the candidate's if it was added.
    """

    kind: ChangeKind
    scenario: str
    subject: str
    text: str
    location: str

    @property
    def is_weaker(self) -> bool:
        """Whether less is expected than before."""
        return self.kind in ("removed", "loosened")

    def __str__(self) -> str:
        return f"{self.scenario}, {self.subject}: {self.text}"


@dataclass(frozen=True, kw_only=True)
class BarComparison:
    """The bars of two runs.

    ``expectations`` is the number of the baseline's. ``judged`` are the candidate's results by the
    baseline's expectations, of the scenarios whose expectations differ. ``unknown`` says why the
    bars cannot be compared; empty if they can.
    """

    changes: Sequence[ExpectationChange] = ()
    expectations: int = 0
    judged: Sequence[ResultRow] = ()
    unknown: str = ""

    @property
    def weakened(self) -> list[ExpectationChange]:
        """The expectations that are gone or loosened."""
        return [change for change in self.changes if change.is_weaker]

    def to_json(self) -> dict[str, JSON]:
        """Return the comparison of the bars as it appears in ``comparison.json``."""
        return {
            "expectations": self.expectations,
            "changes": [
                {name: getattr(change, name) for name in ExpectationChange.__slots__}
                for change in self.changes
            ],
            "judged": len(self.judged),
            "unknown": self.unknown,
        }


@dataclass(frozen=True, kw_only=True)
class BarVerdicts:
    """Where the candidate's verdicts depend on the bar; the rows are those by the baseline's.

    ``lenient`` results pass only by their own expectations, ``stricter`` ones fail only by those;
    ``unclear`` ones cannot be judged by the baseline's.
    """

    lenient: Sequence[ResultRow] = ()
    stricter: Sequence[ResultRow] = ()
    unclear: Sequence[ResultRow] = ()


def bar_verdicts(candidate: Iterable[ResultRow], judged: Iterable[ResultRow]) -> BarVerdicts:
    """Compare the candidate's own verdicts with those by the baseline's expectations."""
    own = {row.id: row for row in candidate if row.scored}
    pairs = [(own[row.id], row) for row in judged if row.id in own]
    return BarVerdicts(
        lenient=[row for mine, row in pairs if mine.passed and row.verdict is Verdict.FAILED],
        stricter=[row for mine, row in pairs if row.passed and not mine.passed],
        unclear=[row for _, row in pairs if row.verdict is Verdict.ERRORED],
    )


@dataclass(frozen=True, kw_only=True)
class ComparedChoices:
    """The choices that are compared, by axis; none where two runs are compared in full."""

    baseline: Mapping[str, str] = field(default_factory=dict)
    candidate: Mapping[str, str] = field(default_factory=dict)

    @property
    def axes(self) -> set[str]:
        """The axes that one side or both are selected by."""
        return {*self.baseline, *self.candidate}


NO_CHOICES = ComparedChoices()
"""Both runs in full."""


CompareBars = Callable[[Run, Run, ComparedChoices], BarComparison]
"""Compares what a baseline and a candidate were judged by."""


class BarList(NamedTuple):
    """A list for people: its title, and its entries with what is to say about each."""

    title: str
    entries: list[tuple[str, str]]


def bar_lists(bar: BarComparison, verdicts: BarVerdicts) -> list[BarList]:
    """Return where verdicts depend on the bar, then how the expectations differ."""
    lists = [
        BarList(title, [(row.id, ", ".join(failing_checks(row))) for row in rows])
        for title, rows in (
            ("Pass only by the candidate's own expectations", verdicts.lenient),
            ("Fail only by the candidate's own expectations", verdicts.stricter),
            ("Cannot be judged by the baseline's expectations", verdicts.unclear),
        )
    ]
    changes = [(f"{one.kind}: {one}", one.location) for one in bar.changes]
    lists.append(BarList("Expectations that differ", changes))
    return [one for one in lists if one.entries]


def failing_checks(row: ResultRow) -> list[str]:
    """Return the checks that a result failed, each with the codes of its findings."""
    codes = sorted(row.reasons)
    return list(dict.fromkeys(f"{check} ({code})" for check, code in codes))


def reason_of(row: ResultRow) -> str:
    """Return the first finding of a result that did not pass."""
    lines = [line for line in row.message.splitlines()[1:] if line.strip()]
    return lines[0] if lines else "no reason is known"


def compare_digests(baseline: Run, candidate: Run, _: ComparedChoices) -> BarComparison:
    """Compare the bars of two runs by the digests of their suites alone."""
    digests = suite_digests(baseline), suite_digests(candidate)
    differing = sorted(
        path for path, digest in digests[0].items() if digests[1].get(path, digest) != digest
    )
    if not differing:
        return BarComparison()
    return BarComparison(
        unknown=f"the suites differ ({', '.join(differing)}), and what they expect is not stored "
        "in both runs: run the suites again"
    )


def suite_digests(run: Run) -> dict[str, str]:
    """Return the digests of a run's suites by path."""
    suites: Sequence[Mapping[str, JSON]] = run.manifest.get("suites") or ()
    return {str(suite.get("path")): str(suite.get("digest")) for suite in suites}
