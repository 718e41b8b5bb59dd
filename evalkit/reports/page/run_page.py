"""``index.html``: the report of a run, one file that needs no network and no server.

The page's script renders the list, each variant when it is opened, filters and sorting, from the
data in the page. Without JavaScript (and in sandboxes that forbid it) the page shows totals and, as
plain text, findings and conversations: all of a small run, the first failures of a large one. So
the page's size and the time to build it grow by little more than a line of data per variant.

Text from a model is never trusted: see ``templating``.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import file_digest
from pathlib import Path

from evalkit._lib.json import JSON
from evalkit._lib.text import EMOJI_RANGES, INVISIBLE_RANGES
from evalkit.reports.formatting import (
    LINE,
    TEXT_LIMIT,
    Findings,
    findings_of,
    has_warning,
    headline,
)
from evalkit.reports.line_reports import LineReport
from evalkit.reports.overview import ResultCounts, overview
from evalkit.reports.page.embedded_data import ResultPacks, RowData, inline_json
from evalkit.reports.page.figures import figures
from evalkit.reports.page.media import NAME, MediaStore
from evalkit.reports.page.split_output import remove_stale_data, write_data
from evalkit.reports.page.step_labels import LABELS
from evalkit.reports.page.templating import content_policy, resource, write_page
from evalkit.reports.plain_text import conversation_text, findings_text
from evalkit.results import Run
from evalkit.results.early_stop import sequential_of
from evalkit.results.judgments import judge_rate_text, read_judge_rates
from evalkit.results.records import ResultHead
from evalkit.results.result_line import is_passed_trial
from evalkit.results.run_directory import SIGNOFFS
from evalkit.results.strength import read_strength, strength_text

LARGE = 20 << 20
"""Characters of packs and media above which they are files beside the page."""

SMALL = 100
"""Results up to which every variant of a run is in the page as plain text."""

FAILURES = 200
"""Failed, and errored, variants of a larger run that are in the page as plain text."""

TAGS = 40
"""Tags that have a filter button."""

SCRIPTS = (
    "formatting",
    "embedded_data",
    "citations",
    "media",
    "steps",
    "variant_body",
    "resent_history",
    "instruction",
    "exchange",
    "output_tree",
    "filter_query",
    "sorting",
    "row_list",
    "keyboard",
    "page",
)
TABLES = {
    "labels": LABELS,
    "mediaName": NAME,
    "limit": TEXT_LIMIT,
    "line": LINE,
    "invisible": INVISIBLE_RANGES,
    "emoji": EMOJI_RANGES,
}
"""Values that the page's script shares with Python."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_RANK = {"failed": 0, "errored": 1, "warned": 2, "passed": 3, "skipped": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainVariant:
    """A variant as the page shows it without JavaScript; variants are sorted by rank."""

    rank: int
    number: int
    head: ResultHead
    anchor: str
    text: str

    @property
    def name(self) -> str:
        """The id without the suite."""
        return self.head["id"].removeprefix(f"{self.head['suite']}::")

    @property
    def message(self) -> str:
        """Why the variant has its verdict."""
        return headline(self.head, findings_of(self.head))


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSection:
    """A suite on the page; ``rest`` counts the variants that are only in the data."""

    name: str
    anchor: str
    counts: ResultCounts
    variants: list[PlainVariant]
    rest: int


class RunPage(LineReport):
    """Writes ``index.html`` into the run directory, and ``data/`` beside it for a large run."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._rows = RowData()
        self._packs = ResultPacks()
        self._media = MediaStore(run.directory)
        self._is_small = not run.is_longer_than(SMALL)
        self._anchors: Counter[str] = Counter()
        self._plain: dict[str, list[PlainVariant]] = {}
        self._plain_counts: Counter[str] = Counter()
        self._best_rank: dict[str, int] = {}

    def add(self, head: ResultHead, line: str, number: int) -> None:
        """Add the row and the line of a result, and its plain text where the page has it."""
        findings = findings_of(head)
        is_warned = has_warning(findings)
        verdict = head["verdict"]
        rank = _RANK["warned" if is_warned and verdict == "passed" else verdict]
        anchor = self._new_anchor(head["id"])
        address = self._packs.add(self._media.extract(line))
        self._rows.add(_row(head, findings, anchor, address, number, is_warned))
        suite = head["suite"]
        self._best_rank[suite] = min(rank, self._best_rank.get(suite, rank))
        if self._has_plain_text(verdict):
            texts = (findings_text(findings), conversation_text(line, number))
            text = "\n\n".join(filter(None, texts))
            variant = PlainVariant(rank=rank, number=number, head=head, anchor=anchor, text=text)
            self._plain.setdefault(suite, []).append(variant)

    def finish(self, suites: Mapping[str, ResultCounts], total: ResultCounts) -> Path:
        """Write the page."""
        directory = self.run.directory
        with (directory / "results.jsonl").open("rb") as results:
            digest = file_digest(results, "sha256").hexdigest()
        self._packs.complete()
        files: list[dict[str, JSON]] = []
        if self._packs.size + self._media.size > LARGE:
            files = write_data(directory, self._packs, self._media, digest)
        strength, sequential = read_strength(directory), sequential_of(self.run.manifest)
        script, style = page_script(), resource("css/report.css") + print_style(digest)
        path = write_page(
            directory / "index.html",
            "page.html",
            overview=overview(self.run.manifest, total),
            figures=figures(suites, total, sequential["largest"] if sequential else None),
            strength=strength_text(strength) if strength else "",
            judges=[judge_rate_text(one) for one in read_judge_rates(directory)],
            total=total,
            tags=[tag for tag, _ in total.tags.most_common(TAGS)],
            sections=self._sections(suites),
            signoffs=_signoffs(self.run),
            directory=directory.name,
            digest=digest,
            is_small=self._is_small,
            failures=FAILURES,
            rows=self._rows.base64(),
            packs=() if files else self._packs.items(),
            media=() if files else self._media.items(),
            tables=inline_json({**TABLES, "files": files, "noun": total.noun}),
            script=script,
            style=style,
            policy=content_policy(
                script, style, loads_data=bool(files), loads_media=bool(self._media.linked)
            ),
        )
        remove_stale_data(directory, files)
        return path

    def close(self) -> None:
        """Drop temporary files."""
        self._packs.close()
        self._media.close()

    def _new_anchor(self, id_: str) -> str:
        name = _UNSAFE.sub("-", id_).strip("-") or "variant"
        self._anchors[name] += 1
        number = self._anchors[name]
        return f"v.{name}" if number == 1 else f"v.{name}~{number}"

    def _has_plain_text(self, verdict: str) -> bool:
        self._plain_counts[verdict] += 1
        is_failure = verdict in ("failed", "errored")
        return self._is_small or (is_failure and self._plain_counts[verdict] <= FAILURES)

    def _sections(self, suites: Mapping[str, ResultCounts]) -> Iterator[SuiteSection]:
        """Yield suites: those with failures, then those with errors, then the others by name."""
        for name in sorted(suites, key=lambda name: (min(self._best_rank[name], 2), name)):
            variants = sorted(self._plain.get(name, []), key=lambda one: (one.rank, one.number))
            anchor = f"suite.{_UNSAFE.sub('-', name)}"
            rest = suites[name].rows.total() - len(variants)
            yield SuiteSection(
                name=name, anchor=anchor, counts=suites[name], variants=variants, rest=rest
            )


def _signoffs(run: Run) -> Sequence[dict[str, JSON]]:
    if not (run.directory / SIGNOFFS).is_dir():
        return ()
    # Start-up cost: a run that was just written has no sign-offs, and does not need the gates.
    from evalkit.signoff.records import printable_signoffs

    return printable_signoffs(run)


def _row(
    head: ResultHead,
    findings: Findings,
    anchor: str,
    address: str,
    number: int,
    is_warned: bool,
) -> list[JSON]:
    """Return a row for the page's script; ``js/embedded_data.js`` names the members."""
    metrics = head["metrics"]
    errors = [(check["name"], one["code"]) for check, one in findings if one["severity"] == "error"]
    warnings = [
        (check["name"], one["code"]) for check, one in findings if one["severity"] == "warn"
    ]
    return [
        head["id"].removeprefix(f"{head['suite']}::"),
        head["verdict"],
        int(is_warned),
        head["suite"],
        head["title"],
        head["tags"],
        metrics.get("tokens", {}).get("total_tokens"),
        metrics.get("exchanges"),
        metrics.get("elapsed_ms"),
        "" if is_passed_trial(head) and not is_warned else headline(head, findings),
        address,
        number,
        anchor,
        head["variant"],
        list(dict.fromkeys(errors + warnings)),
        head["trial"],
        head.get("kind", ""),
    ]


def print_style(digest: str) -> str:
    """Return the style of a printed page's margins: the digest of the results, page numbers."""
    left, right = f'"results.jsonl sha256 {digest}"', 'counter(page) " / " counter(pages)'
    return (
        f"@page {{ @bottom-left {{ content: {left}; }} @bottom-right {{ content: {right}; }} }}\n"
    )


@cache
def page_script() -> str:
    """Return the page's script: all files in one function, so that no name becomes global."""
    files = "\n".join(resource(f"js/{name}.js") for name in SCRIPTS)
    return f'"use strict";(() => {{\n{files}}})();\n'
