"""Run variants without pytest, into a run directory like that of any session."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from evalkit._lib.clock import timestamp
from evalkit._lib.json import JSON
from evalkit._lib.progress import tracked
from evalkit.results import Journal, Manifest, Run
from evalkit.results.bar import file_digest, suite_record, write_bar
from evalkit.results.media import write_files
from evalkit.session.ledger import NotStarted
from evalkit.session.prefetch import Prefetcher
from evalkit.session.runner import Runner
from evalkit.suite import Variant


def run_batch(
    runner: Runner,
    variants: Sequence[Variant],
    directory: Path,
    concurrency: int,
    options: Mapping[str, JSON],
) -> Run:
    """Run variants, at most ``concurrency`` at once, and return the run.

    ``options`` are those of the manifest. What the ledger did not let start has no result. Raises
    what ``Runner.run`` raises, and UsageError where results cannot be written.
    """
    settings = runner.settings
    manifest = Manifest(dict(options), clean=runner.redact)
    counts = Counter(variant.suite.label for variant in variants)
    for suite in {variant.suite.label: variant.suite for variant in variants}.values():
        manifest.suites[suite.label] = suite_record(suite, counts[suite.label])
    manifest.totals.collected = len(variants)
    directory.mkdir(parents=True, exist_ok=True)
    journal, prefetcher = Journal(directory), Prefetcher(runner, variants, concurrency)
    runner.introduce(variants)
    try:
        for variant in tracked(variants, "running conversations", len(variants)):
            with suppress(NotStarted):
                outcome = prefetcher.run(variant)
                write_files(directory, outcome.media)
                journal.append(outcome.line)
                manifest.totals.add(outcome.tally)
                if outcome.cassette is not None:
                    path = settings.cassettes / outcome.cassette
                    manifest.cassettes[outcome.cassette] = file_digest(path)
    finally:
        prefetcher.close()
        journal.close()
    manifest.ended = timestamp()
    manifest.complete = manifest.totals.run == len(variants)
    manifest.write(directory)
    write_bar(directory, settings.root, manifest.suites.values(), runner.redact)
    return Run(directory)
