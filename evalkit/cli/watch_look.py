"""One look of ``evalkit watch``: replay the cassettes, send the same requests, compare the turns.

Turn k is sent as it was recorded, after the recorded turns 1 to k - 1, so that no live answer
changes what the next one is asked. Within a turn, functions that the model calls are answered by
the scenario's tools.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from evalkit._lib.clock import timestamp
from evalkit._lib.files import display_path, sha256
from evalkit._lib.json import JSON, canonical
from evalkit._lib.text import did_you_mean, plural
from evalkit._lib.version import VERSION
from evalkit.cassette.redaction import Redactor
from evalkit.cli.lint import collected_suites
from evalkit.compare.drift_signals import measure_look
from evalkit.compare.turn_results import whole_id
from evalkit.compare.watched_turns import TurnPair, models_of, turn_pairs, watched_turn
from evalkit.errors import UsageError
from evalkit.lint.file_search import find_files
from evalkit.lint.protocol_rules import new_things
from evalkit.project import load_all
from evalkit.results import Run
from evalkit.results.records import ResultLine
from evalkit.results.stored_transcript import stored_transcript
from evalkit.results.watch_history import Look
from evalkit.session import Runner, Settings
from evalkit.session.batch import run_batch
from evalkit.session.ledger import Ledger
from evalkit.session.locked_turns import refuse_lock
from evalkit.session.secret_values import SecretValues
from evalkit.suite import Variant, expand


class WatchedSuites:
    """The variants to watch: those with a tag. Raises UsageError, SuiteErrors.

    ``settings`` are those of the live session.
    """

    def __init__(
        self, settings: Settings, paths: Sequence[Path], tag: str, model: str | None
    ) -> None:
        root, environment = settings.root, SecretValues(os.environ)
        files = find_files(paths or collected_suites(root)).suites
        names = [Path(os.path.relpath(path, root)).as_posix() for path in files]
        suites = load_all(root, root, names, environment)
        models = [model] if model else []
        variants = [one for suite in suites for one in expand(suite, models=models)]
        self.variants = [one for one in variants if tag in one.tags and one.skip is None]
        if not self.variants:
            tags = sorted({name for one in variants for name in one.tags})
            valid = f"{did_you_mean(tag, tags)}; valid: {', '.join(tags)}" if tags else ""
            raise UsageError(
                f"--tag {tag}: no scenario of {plural(len(suites), 'suite')} to watch{valid}; add "
                f"'tags: [{tag}]' to those to watch"
            )
        for variant in self.variants:
            refuse_lock(variant, f"do not watch it (tag {tag!r})")
        secrets = [one for suite in suites for one in environment.known(suite.secret_names)]
        self._settings = replace(settings, secrets=(*settings.secrets, *secrets))

    def replay(self, folder: Path) -> Run:
        """Replay the cassettes. Raises UsageError for a conversation that has none, or another."""
        settings = replace(self._settings, live=False)
        run = run_batch(Runner(settings), self.variants, folder, 1, {"record": "none"})
        for line in run.results():
            if line["verdict"] == "errored":
                problem = " ".join(line["message"].partition("\n")[2].split())
                raise UsageError(
                    f"{line['path']}:{line['line']}: {line['id']} cannot be watched, because it "
                    f"cannot be replayed; record it with pytest {line['path']} --evalkit-record "
                    f"changed: {problem}"
                )
        return run

    def look(
        self, recorded: Run, folder: Path, concurrency: int, ledger: Ledger, looks: Sequence[Look]
    ) -> tuple[Look, list[TurnPair]]:
        """Send what was recorded; return the look, and the turns that it compared."""
        settings = replace(self._settings, locked=recorded.directory)
        endpoint = Redactor(settings.secrets).uri(settings.base_url)
        options: dict[str, JSON] = {
            "live": True,
            "base_url": endpoint,
            "locked": display_path(recorded.directory),
        }
        runner = Runner(settings, ledger=ledger)
        live = run_batch(runner, self.variants, folder, concurrency, options)
        pairs = turn_pairs(recorded.results(), live.results())
        digests = {one["path"]: one["digest"] for one in recorded.manifest["cassettes"]}
        by_id = {variant.id: variant for variant in self.variants}
        turns = [
            watched_turn(
                pair,
                _series(
                    by_id[whole_id(pair.recorded["id"])],
                    pair.recorded,
                    endpoint,
                    digests[pair.recorded["cassette"] or ""],
                ),
            )
            for pair in pairs
        ]
        news = [*_other_models(pairs), *_new_things(live)]
        known = {*_new_things(recorded), *(text for look in looks for text in look.news)}
        look = Look(
            time=timestamp(),
            evalkit=VERSION,
            endpoint=endpoint,
            models=sorted({name for pair in pairs if pair.live for name in models_of(pair.live)}),
            requests=ledger.totals.requests,
            tokens=ledger.totals.tokens,
            news=[text for text in dict.fromkeys(news) if text not in known],
            p=measure_look(looks, turns),
            turns=turns,
        )
        return look, pairs


def _series(variant: Variant, turn: ResultLine, *context: str | None) -> str:
    """Return a digest of what a turn is asked and judged by."""
    entry = turn["turns"][0].get("entry", turn["turns"][0]["number"])
    expect: list[JSON] = [
        [one.name, one.negate, one.severity, one.argument]
        for one in (*variant.turn_expect(entry), *variant.expect)
    ]
    return sha256(canonical([turn["id"], *context, expect]))[:16]


def _new_things(run: Run) -> list[str]:
    exchanges = (one for line in run.results() for one in stored_transcript(line).exchanges)
    return new_things(exchanges)


def _other_models(pairs: Iterable[TurnPair]) -> Iterable[str]:
    for pair in pairs:
        old, new = (models_of(line) if line else [] for line in pair)
        if new and new != old:
            yield f"{', '.join(new)} answers (recorded: {', '.join(old) or 'not named'})"
