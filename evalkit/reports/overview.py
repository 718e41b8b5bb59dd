"""The summary of a run: its verdict, totals with their denominators, and facts about the session.

Counts are those of the result lines; how many variants were collected is only in the manifest. If
the two contradict each other, or the run did not finish, a notice says so.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from evalkit._lib.json import JSON, dumps
from evalkit._lib.text import as_sentence, visible
from evalkit.compare.clusters import ClusterSum
from evalkit.compare.rows import cluster_name, grouped
from evalkit.reports.formatting import count, findings_of
from evalkit.results.early_stop import (
    SIMULATED_ERRORS,
    early_stop_text,
    left_out_tests,
    sequential_of,
)
from evalkit.results.records import ManifestRecord, ResultHead
from evalkit.results.result_line import amount, counts_as_test, outcome_of, verdict_of

VERDICTS = ("passed", "failed", "errored", "skipped")
EXPECTED = ("xfailed", "xpassed")
"""As what else pytest counts a test: it has an xfail mark."""


class ResultCounts:
    """Counts over results, of a run or a suite.

    Trials that are one test are counted once; ``rows`` count every result by its own verdict,
    ``trials`` those that are part of a test. ``outcomes`` counts as pytest does, which differs from
    verdicts by marks (xfail) and hooks. ``scored_of`` and ``passed_of`` count the results of a tag
    (``""`` for all) and a cluster. ``sizes`` (tokens) and ``times`` (milliseconds) have one value
    for each variant that has one.
    """

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.scored_of: Counter[tuple[str, str]] = Counter()
        self.passed_of: Counter[tuple[str, str]] = Counter()
        self.rows: Counter[str] = Counter()
        self.trials: Counter[str] = Counter()
        self.sizes: array[float] = array("d")
        self.times: array[float] = array("d")
        self.tests = 0
        self.warned = self.warnings = self.unplayed = self.checks = self.tokens = 0

    def add(self, head: ResultHead) -> None:
        """Count one result."""
        metrics = head["metrics"]
        self.rows[head["verdict"]] += 1
        if "repeat" in head:
            self.trials[head["verdict"]] += 1
        if counts_as_test(head):
            self.verdicts[verdict_of(head)] += 1
            self.outcomes[outcome_of(head)] += 1
            self.tags.update(head["tags"])
            self.tests += "kind" in head
        if head["verdict"] in ("passed", "failed"):
            case = str(head["variant"].get("case") or "")
            cluster = cluster_name(head["suite"], head["scenario"], case)
            for tag in ("", *head["tags"]):
                self.scored_of[tag, cluster] += 1
                self.passed_of[tag, cluster] += head["verdict"] == "passed"
        self.checks += len(head["checks"])
        self.unplayed += len(head["unplayed"])
        tokens = amount(metrics.get("tokens", {}).get("total_tokens"))
        if tokens is not None:
            self.tokens += tokens
            self.sizes.append(tokens)
        if (elapsed := amount(metrics.get("elapsed_ms"))) is not None:
            self.times.append(elapsed)
        warnings = sum(finding["severity"] == "warn" for _, finding in findings_of(head))
        self.warnings += warnings
        self.warned += warnings > 0

    def include(self, suite: ResultCounts) -> None:
        """Add the counts of a suite to those of a run."""
        for name, value in vars(suite).items():
            vars(self)[name] += value

    @property
    def passed(self) -> dict[str, list[ClusterSum]]:
        """The scored results that passed, over clusters, by tag (``""`` for all)."""
        return grouped(
            (key[0], ClusterSum(scored, self.passed_of[key]))
            for key, scored in sorted(self.scored_of.items())
        )

    @property
    def results(self) -> int:
        """Variants that have a result."""
        return self.verdicts.total()

    @property
    def noun(self) -> str:
        """What a result is about: a variant, or also a test of an application."""
        return "test" if self.tests else "variant"

    @property
    def scored(self) -> int:
        """Variants that are evidence about the model: passed or failed."""
        return self.verdicts["passed"] + self.verdicts["failed"]


class Tile(NamedTuple):
    """A number with what it counts and what it is a part of."""

    style: str
    number: str
    label: str
    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The summary of a run. ``bar`` are ``(style, start, width)`` in percent."""

    style: str
    verdict: str
    sentence: str
    notices: Sequence[str]
    tiles: Sequence[Tile]
    bar: Sequence[tuple[str, str, str]]
    facts: Sequence[tuple[str, Sequence[str]]]
    started: str


def overview(manifest: ManifestRecord, counts: ResultCounts) -> Overview:
    """Return the summary of a run."""
    totals: Mapping[str, int] = cast("Any", manifest.get("totals", {}))
    sequential = sequential_of(manifest)
    # Variants that -k and -m left out, or that a decided gate made needless, were left out on
    # purpose: no result is missing.
    deselected = totals.get("deselected", 0) + left_out_tests(sequential)
    selected = max(totals.get("collected", 0) - deselected, counts.results)
    is_complete = manifest.get("complete", True) is True
    broken = manifest.get("not_collected", [])
    style, verdict, sentence = _verdict(counts, selected, is_complete, len(broken))
    return Overview(
        style=style,
        verdict=verdict,
        sentence=sentence,
        notices=[
            *(
                f"{visible(name)} could not be collected; its scenarios were not run."
                for name in broken
            ),
            *(
                [f"{as_sentence(early_stop_text(sequential))} {SIMULATED_ERRORS}"]
                if sequential
                else ()
            ),
            *_notices(totals, counts, selected, is_complete or bool(broken)),
        ],
        tiles=_tiles(counts, selected, deselected),
        bar=_bar(counts, selected),
        facts=_facts(manifest),
        started=str(manifest.get("started") or ""),
    )


def _verdict(
    counts: ResultCounts, selected: int, is_complete: bool, broken: int
) -> tuple[str, str, str]:
    failed, errored = counts.outcomes["failed"], counts.outcomes["errored"]
    scored = f"{counts.scored:,} scored"
    if failed:
        rest = f"; {errored:,} could not be evaluated" if errored else ""
        return "failed", "Failed", f"{failed:,} of {scored} failed{rest}"
    none_failed = f"of {scored} none failed"
    if errored:
        sentence = f"{errored:,} of {selected:,} could not be evaluated; {none_failed}"
        return "errored", "Errored", sentence
    if broken:
        return "errored", "Errored", f"{count(broken, 'suite')} not collected; {none_failed}"
    if not is_complete or counts.results < selected:
        sentence = f"{counts.results:,} of {selected:,} have a result; {none_failed}"
        return "errored", "Not finished", sentence
    if not counts.scored:
        sentence = f"{count(selected, counts.noun)}, {counts.verdicts['skipped']:,} skipped"
        return "skipped", "Nothing scored", sentence
    expected = [f"{counts.outcomes[name]:,} {name}" for name in EXPECTED if counts.outcomes[name]]
    if expected:
        sentence = f"{counts.verdicts['passed']:,} of {scored} passed ({', '.join(expected)})"
        return "passed", "Passed", sentence
    return "passed", "Passed", f"all {scored} passed"


def _notices(
    totals: Mapping[str, int], counts: ResultCounts, selected: int, is_complete: bool
) -> list[str]:
    notices = []
    if not is_complete:
        notices.append("This run did not finish. The results written until then are below.")
    if missing := selected - counts.results:
        notices.append(f"{count(missing, counts.noun)} without a result.")
    stated = {name: totals[name] for name in VERDICTS if name in totals}
    if is_complete and any(counts.verdicts[name] != number for name, number in stated.items()):
        numbers = ", ".join(f"{number:,} {name}" for name, number in stated.items())
        notices.append(
            f"manifest.json counts {numbers}; the numbers on this page are those of results.jsonl."
        )
    if orphans := totals.get("orphans", 0):
        notices.append(f"{count(orphans, 'cassette')} on disk that no scenario uses.")
    return notices


def _tiles(counts: ResultCounts, selected: int, deselected: int) -> list[Tile]:
    of_scored = f"of {counts.scored:,} scored"
    word, whole = "collected", f"{counts.noun}s"
    if deselected:
        word, whole = "selected", f"of {selected + deselected:,} collected"
    of_selected = f"of {selected:,} {word}"
    table = [
        ("", selected, word, whole),
        ("", counts.scored, "scored", of_selected),
        ("passed", counts.verdicts["passed"], "passed", of_scored),
        ("failed", counts.verdicts["failed"], "failed", of_scored),
        ("errored", counts.verdicts["errored"], "errored", of_selected),
        ("skipped", counts.verdicts["skipped"], "skipped", of_selected),
        ("warned", counts.warnings, "warnings", f"in {count(counts.warned, counts.noun)}"),
        ("warned", counts.unplayed, "unplayed", "recordings"),
    ]
    if counts.trials:
        passed, trials = counts.trials["passed"], counts.trials.total()
        table.append(("", passed, "trials passed", f"of {trials:,} in repeated tests"))
    return [
        Tile("zero" if style and not number else style, f"{number:,}", label, of)
        for style, number, label, of in table
    ]


def _bar(counts: ResultCounts, selected: int) -> list[tuple[str, str, str]]:
    bar = []
    start = 0.0
    for style in ("failed", "errored", "passed", "skipped"):
        width = 100 * counts.verdicts[style] / selected if selected else 0.0
        if width:
            bar.append((style, f"{start:.3f}", f"{width:.3f}"))
        start += width
    return bar


def _facts(manifest: ManifestRecord) -> list[tuple[str, Sequence[str]]]:
    members = cast("Mapping[str, JSON]", manifest)
    versions = ("evalkit", "python", "pytest", "platform")
    cassettes = manifest.get("cassettes", [])
    facts = [
        ("Started", [str(members.get("started") or "")]),
        ("Ended", [str(members.get("ended") or "not recorded")]),
        ("Versions", [f"{name} {members[name]}" for name in versions if members.get(name)]),
        (
            "Options",
            [
                f"{name} {value if isinstance(value, str) else dumps(value)}"
                for name, value in manifest.get("options", {}).items()
            ],
        ),
        (
            "Environment",
            [f"{name}={value}" for name, value in manifest.get("environment", {}).items()],
        ),
        ("Merged from", _digests(members.get("merged", []))),
        ("Suites", _digests(members.get("suites", []))),
        (
            "Cassettes",
            [f"{count(len(cassettes), 'file')}, digests in manifest.json"] if cassettes else [],
        ),
    ]
    return [(name, values) for name, values in facts if any(values)]


def _digests(files: Iterable[Mapping[str, JSON]]) -> list[str]:
    return [f"{file.get('path')}  {file.get('digest')}" for file in files]
