"""The conversations of a baseline that a locked session continues (``--evalkit-locked``).

Turn k of a variant is asked after the baseline's turns 1 to k - 1, as they were received. Thoughts
and signatures bind the model that made them, so another model gets these turns without them.
"""

from collections.abc import Mapping
from itertools import accumulate, takewhile
from typing import NamedTuple

from evalkit._lib.files import display_path, file_errors
from evalkit._lib.json import JSON, canonical
from evalkit._lib.text import quoted
from evalkit.compare.rows import answer_digest
from evalkit.conversation.locked import without_thoughts
from evalkit.errors import Misconfigured, UsageError
from evalkit.results import Run
from evalkit.results.records import LockRecord, ResultHead, ResultLine
from evalkit.results.result_line import parse_head, parse_result
from evalkit.results.run_directory import RESULTS
from evalkit.results.stored_transcript import transcript_with_media
from evalkit.suite import Variant
from evalkit.transcript import Turn


class LockedTurns(NamedTuple):
    """The turns that a variant continues, and what its result says about them."""

    turns: list[Turn]
    record: LockRecord


class BaselineTurns:
    """The conversations of a run, found by variant. Raises UsageError for a run without results.

    Only the positions of the results are in memory.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._path = run.directory / RESULTS
        # By variant without its model, then by model, then by trial.
        self._starts: dict[tuple[str, str, str], dict[str, dict[int, int]]] = {}
        with file_errors(self._path, "cannot be read"), self._path.open("rb") as file:
            starts = accumulate(map(len, file), initial=0)
            for number, (start, line) in enumerate(zip(starts, run.lines(), strict=False), 1):
                try:
                    self._add(parse_head(line), start)
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    message = f"{self._path}:{number}: not a result ({error!r})"
                    raise UsageError(message) from error

    def _add(self, head: ResultHead, start: int) -> None:
        if "locked" in head:
            raise UsageError(
                f"--evalkit-locked {display_path(self._run.directory)}: it is locked itself (to "
                f"{head['locked']['model']}); name the run that it continues"
            )
        key = _key(head["suite"], head["scenario"], head["variant"])
        trials = self._starts.setdefault(key, {}).setdefault(_model(head["variant"]), {})
        trials[head["trial"]] = start

    def of(self, variant: Variant) -> LockedTurns | None:
        """Return what a variant continues; None where the baseline has no conversation of it.

        A trial that the baseline does not have continues its first one. Raises SuiteErrors for a
        variant that cannot be locked, Misconfigured for a baseline of several models.
        """
        refuse_lock(variant, "run it without --evalkit-locked")
        models = self._starts.get(_key(variant.suite.name, variant.scenario.id, variant.settings))
        if models is None:
            return None
        model = _model(variant.settings)
        if model not in models and len(models) > 1:
            raise Misconfigured(
                f"--evalkit-locked {display_path(self._run.directory)}: it has results of several "
                f"models ({', '.join(models)}), and it is not clear which one {variant.id} "
                "continues; name a run of one model"
            )
        trials = models.get(model) or next(iter(models.values()))
        try:
            line = self._read(trials.get(variant.trial, trials[min(trials)]))
            all_turns = transcript_with_media(line, self._run.directory).turns
            answers = answer_digest(line["turns"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Misconfigured(
                f"{self._path}: the result that {variant.id} continues is not valid ({error!r}); "
                "run the baseline again"
            ) from error
        if not all_turns:
            return None
        earlier = all_turns[: len(variant.scenario.turns) - 1]
        turns = list(takewhile(lambda turn: turn.outcome == "completed", earlier))
        old_model = _model(line["variant"])
        record: LockRecord = {"answers": answers, "model": old_model, "history": "exact"}
        if old_model != model:
            unsigned = list(map(without_thoughts, turns))
            if unsigned != turns:
                turns, record["history"] = unsigned, "unsigned"
        return LockedTurns(turns, record)

    def _read(self, start: int) -> ResultLine:
        with file_errors(self._path, "cannot be read"), self._path.open("rb") as file:
            file.seek(start)
            return parse_result(file.readline().decode("ascii"))


def refuse_lock(variant: Variant, advice: str) -> None:
    """Raise SuiteErrors for a variant whose turns are more than the steps of a history."""
    path, reason = variant.scenario.path, ""
    simulated = next((turn for turn in variant.turns if turn.simulate is not None), None)
    if simulated is not None:
        path, reason = simulated.path, "its simulated user answers what the model says"
    elif variant.target is not None:
        reason = f"the application {quoted(variant.target)} has a history of its own"
    elif "environment" in variant.scenario.fields and len(variant.turns) > 1:
        reason = "its environment has files that earlier turns left there"
    if reason:
        message = f"the turns cannot be locked: {reason}; {advice}"
        raise variant.suite.resources.located(path, ValueError(message))


def _model(settings: Mapping[str, JSON]) -> str:
    return str(settings.get("model") or settings.get("agent") or "")


def _key(suite: str, scenario: str, settings: Mapping[str, JSON]) -> tuple[str, str, str]:
    others = {name: one for name, one in settings.items() if name not in ("model", "agent")}
    return suite, scenario, canonical(others)
