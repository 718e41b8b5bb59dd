"""The top of the page: the verdict of the run, totals with their denominators, and what the run was made of.

Counts are those of the result lines; how many variants were collected is known by the manifest alone. Where the two cannot both be right,
or the run did not finish, the page says so first.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from evalkit._lib.json import JSON, dumps
from evalkit.reports.formatting import count, found


class Tally:
    """Counts over result lines, for a run or for one suite. ``rates`` count tags by verdict; ``sizes`` are tokens, ``times`` milliseconds, one a
    variant that has them."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.rates: Counter[tuple[str, str]] = Counter()
        self.sizes: array[float] = array("d")
        self.times: array[float] = array("d")
        self.warned = self.warnings = self.unplayed = self.checks = self.tokens = 0

    def add(self, head: Mapping[str, JSON]) -> None:
        """Count one result (its head is enough)."""
        verdict, metrics = head["verdict"], head["metrics"]
        self.verdicts[verdict] += 1
        for tag in head["tags"]:
            self.tags[tag] += 1
            self.rates[tag, verdict] += 1
        self.checks += len(head["checks"])
        self.unplayed += len(head["unplayed"])
        tokens = metrics.get("tokens", {}).get("total_tokens")
        if tokens is not None:
            self.tokens += tokens
            self.sizes.append(tokens)
        if "elapsed_ms" in metrics:
            self.times.append(metrics["elapsed_ms"])
        warnings = sum([finding["severity"] == "warn" for _, finding in found(head)])
        self.warnings += warnings
        self.warned += warnings > 0

    def merge(self, other: Tally) -> None:
        """Add another tally's counts to this one."""
        self.verdicts += other.verdicts
        self.tags += other.tags
        self.rates += other.rates
        self.sizes.extend(other.sizes)
        self.times.extend(other.times)
        for name in ("warned", "warnings", "unplayed", "checks", "tokens"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @classmethod
    def sum(cls, tallies: Iterable[Tally]) -> Tally:
        """Return the counts of several, of all suites of a run, say."""
        total = cls()
        for tally in tallies:
            total.merge(tally)
        return total

    @property
    def results(self) -> int:
        """Variants that have a result."""
        return self.verdicts.total()

    @property
    def scored(self) -> int:
        """Variants that tell something of the model: passed or failed."""
        return self.verdicts["passed"] + self.verdicts["failed"]


class Tile(NamedTuple):
    """One number with what it counts and what it is a part of."""

    style: str
    number: str
    label: str
    of: str


class Overview(NamedTuple):
    """Everything above the list. ``bar`` are ``(style, start, width)`` in percent."""

    style: str
    verdict: str
    sentence: str
    notices: Sequence[str]
    tiles: Sequence[Tile]
    bar: Sequence[tuple[str, str, str]]
    facts: Sequence[tuple[str, Sequence[str]]]
    started: str


def overview(manifest: Mapping[str, JSON], tally: Tally) -> Overview:
    """Return the top of the page for a run."""
    totals = manifest.get("totals", {})
    # Of what was collected, -k and -m may have left some out on purpose: nobody waits for their results.
    selected = max(totals.get("collected", 0) - totals.get("deselected", 0), tally.results)
    style, verdict, sentence = _verdict(tally, selected, manifest.get("complete", True) is True)
    return Overview(
        style,
        verdict,
        sentence,
        _notices(manifest, totals, tally, selected),
        _tiles(tally, selected, totals.get("deselected", 0)),
        _bar(tally, selected),
        _facts(manifest),
        str(manifest.get("started") or ""),
    )


def _verdict(tally: Tally, selected: int, complete: bool) -> tuple[str, str, str]:
    counts = tally.verdicts
    scored = f"{tally.scored:,} scored"
    if counts["failed"]:
        tail = f"; {counts['errored']:,} could not be judged" if counts["errored"] else ""
        return "failed", "Failed", f"{counts['failed']:,} of {scored} failed{tail}"
    if counts["errored"]:
        return (
            "errored",
            "Errored",
            f"{counts['errored']:,} of {selected:,} could not be judged; of {scored} none failed",
        )
    if not complete or tally.results < selected:
        return (
            "errored",
            "Not finished",
            f"{tally.results:,} of {selected:,} have a result; of {scored} none failed",
        )
    if not tally.scored:
        return (
            "skipped",
            "Nothing scored",
            f"{count(selected, 'variant')}, {counts['skipped']:,} skipped",
        )
    return "passed", "Passed", f"all {scored} passed"


def _notices(
    manifest: Mapping[str, JSON], totals: Mapping[str, JSON], tally: Tally, selected: int
) -> list[str]:
    notices = []
    if manifest.get("complete", True) is not True:
        notices.append("This run did not finish. What it had written when it ended is below.")
    if missing := selected - tally.results:
        notices.append(f"{count(missing, 'variant')} without a result.")
    told = {
        name: totals[name] for name in ("passed", "failed", "errored", "skipped") if name in totals
    }
    if manifest.get("complete", True) is True and any(
        tally.verdicts[name] != number for name, number in told.items()
    ):
        words = ", ".join(f"{number:,} {name}" for name, number in told.items())
        notices.append(f"manifest.json counts {words}; results.jsonl holds the numbers shown here.")
    if orphans := totals.get("orphans", 0):
        notices.append(f"{count(orphans, 'cassette')} on disk that no scenario uses.")
    return notices


def _tiles(tally: Tally, selected: int, deselected: int) -> list[Tile]:
    counts = tally.verdicts
    of_scored = f"of {tally.scored:,} scored"
    word, whole = (
        ("selected", f"of {selected + deselected:,} collected")
        if deselected
        else ("collected", "variants")
    )
    of_selected = f"of {selected:,} {word}"
    tiles = [
        Tile("", f"{selected:,}", word, whole),
        Tile("", f"{tally.scored:,}", "scored", of_selected),
        Tile("passed", f"{counts['passed']:,}", "passed", of_scored),
        Tile("failed", f"{counts['failed']:,}", "failed", of_scored),
        Tile("errored", f"{counts['errored']:,}", "errored", of_selected),
        Tile("skipped", f"{counts['skipped']:,}", "skipped", of_selected),
        Tile("warned", f"{tally.warnings:,}", "warnings", f"in {count(tally.warned, 'variant')}"),
        Tile("warned", f"{tally.unplayed:,}", "unplayed", "recordings"),
    ]
    return [
        tile._replace(style="zero") if tile.style and tile.number == "0" else tile for tile in tiles
    ]


def _bar(tally: Tally, selected: int) -> list[tuple[str, str, str]]:
    bar = []
    start = 0.0
    for style in ("failed", "errored", "passed", "skipped"):
        width = 100 * tally.verdicts[style] / selected if selected else 0.0
        if width:
            bar.append((style, f"{start:.3f}", f"{width:.3f}"))
        start += width
    return bar


def _facts(manifest: Mapping[str, JSON]) -> list[tuple[str, Sequence[str]]]:
    def named(*names: str) -> list[str]:
        return [f"{name} {manifest[name]}" for name in names if manifest.get(name)]

    options = manifest.get("options", {})
    environment = manifest.get("environment", {})
    cassettes = manifest.get("cassettes", [])
    facts = [
        ("Started", [str(manifest.get("started") or "")]),
        ("Ended", [str(manifest.get("ended") or "not recorded")]),
        ("Versions", named("evalkit", "python", "pytest", "platform")),
        (
            "Options",
            [
                f"{name} {value if isinstance(value, str) else dumps(value)}"
                for name, value in options.items()
            ],
        ),
        ("Environment", [f"{name}={value}" for name, value in environment.items()]),
        (
            "Merged from",
            [
                f"{origin.get('path')}  {origin.get('digest')}"
                for origin in manifest.get("merged", [])
            ],
        ),
        (
            "Suites",
            [f"{suite.get('path')}  {suite.get('digest')}" for suite in manifest.get("suites", [])],
        ),
        (
            "Cassettes",
            [f"{count(len(cassettes), 'file')}, digests in manifest.json"] if cassettes else [],
        ),
    ]
    return [(name, values) for name, values in facts if any(values)]
