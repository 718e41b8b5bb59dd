"""Compare turn by turn: a locked run with the baseline that its turns continue.

Each turn of both runs is a result of its own, with its checks, tokens and verdict. Its scenario, or
the case, stays the unit of evidence. What is expected of a whole conversation is in no turn: a
locked run has no whole conversation.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import cast

from evalkit._lib.json import JSON, dumps
from evalkit._lib.text import plural
from evalkit.compare.pairing import Pairing
from evalkit.compare.rows import ResultRow, answer_digest
from evalkit.errors import UsageError
from evalkit.results import Run
from evalkit.results.records import CheckRecord, ResultLine
from evalkit.results.result_line import metrics
from evalkit.results.stored_transcript import stored_transcript
from evalkit.transcript import Transcript
from evalkit.verdict import Verdict, worst

_FIRST = "turn 1"


class TurnRun(Run):
    """A run whose results are turns."""

    def __init__(self, run: Run) -> None:
        self.directory, self.manifest = run.directory, run.manifest
        self.whole = run

    def lines(self) -> Iterator[str]:
        """Yield each turn as a line of JSON."""
        return (dumps(cast("JSON", turn)) for turn in self.results())

    def results(self) -> Iterator[ResultLine]:
        """Yield each turn. Raises UsageError for a line that is not a result."""
        for line in self.whole.results():
            try:
                yield from turn_results(line)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise UsageError(
                    f"{self.directory}: {line.get('id')} is not a valid result ({error!r}); run "
                    "its suites again"
                ) from error


def turn_runs(baseline: Run, candidate: Run) -> tuple[Run, Run]:
    """Return two runs by turn if the candidate says that it is locked, else as they are."""
    is_locked = bool(candidate.manifest.get("options", {}).get("locked"))
    return (TurnRun(baseline), TurnRun(candidate)) if is_locked else (baseline, candidate)


def whole_id(id_: str) -> str:
    """Return the id of the result that a turn is of."""
    return re.sub(r" turn \d+(#\d+)?\Z", r"\1", id_)


def turn_results(line: ResultLine) -> Iterator[ResultLine]:
    """Yield the turns of a result; itself if it has none, or is a test of an application.

    ``conversation`` is the digest of the answers that a turn continues: the baseline's.
    """
    if not line["turns"] or "kind" in line:
        yield line
        return
    transcript = stored_transcript(line)
    locked = line.get("locked")
    answers = locked["answers"] if locked else answer_digest(line["turns"])
    last = len(transcript.turns)
    for turn, record in zip(transcript.turns, line["turns"], strict=True):
        checks = list(line["checks"])
        if last > 1:
            checks = [one for check in checks if (one := _of_turn(check, turn.number)) is not None]
        verdict = worst(Verdict(check["verdict"]) for check in checks)
        if turn.outcome == "not_run":
            verdict = Verdict.SKIPPED
        name, trial, number = line["id"].partition("#")
        id_ = f"{name} turn {turn.number}{trial}{number}"
        # Requests of checks have no turn; they are counted once.
        sides = transcript if turn.number == last else Transcript()
        own = replace(sides, turns=[turn])
        fields = {
            **line,
            "id": id_,
            "parts": [*line["parts"], f"turn {turn.number}"],
            "verdict": str(verdict),
            "message": _message(id_, line, checks),
            "checks": checks,
            "metrics": metrics(own),
            "turns": [record],
            "turn": turn.number,
            "conversation": answers,
        }
        yield cast("ResultLine", fields)


def _of_turn(check: CheckRecord, number: int) -> CheckRecord | None:
    """Return what a check says about one of several turns; None if it is about others."""
    if "turn" in check:
        return check if check["turn"] == number else None
    if check.get("declared"):
        return None
    findings = [one for one in check["findings"] if one["where"].get("turn", number) == number]
    is_passed = all(one["severity"] == "warn" for one in findings)
    return {**check, "findings": findings, "verdict": "passed" if is_passed else check["verdict"]}


def _message(id_: str, line: ResultLine, checks: Iterable[CheckRecord]) -> str:
    findings = [
        f"{check['name']}: {finding['message']}"
        for check in checks
        for finding in check["findings"]
        if finding["severity"] == "error"
    ]
    return "\n".join([f"{id_}  ({line['path']}:{line['line']})", *findings]) if findings else ""


def aligned_turns(rows: Iterable[ResultRow], others: Iterable[ResultRow]) -> list[ResultRow]:
    """Return the turns of a run; one of each result that has no turns in the other run.

    So a variant that was skipped in one of the runs is one pair, and no turn of it was removed.
    """
    whole = {row.key for row in others if not row.conversation}
    aligned = []
    for row in rows:
        suite, scenario, parts, trial = row.key
        key = suite, scenario, parts[:-1], trial
        if not row.conversation or key not in whole:
            aligned.append(row)
        elif parts[-1] == _FIRST:
            aligned.append(replace(row, key=key))
    return aligned


def lock_notes(
    runs: Sequence[Run], rows: Sequence[Sequence[ResultRow]], pairing: Pairing
) -> list[str]:
    """Return what to know about the figures of a baseline and a candidate, by turn or not.

    Raises UsageError for runs that cannot be compared so.
    """
    baseline, candidate = runs
    locked = [run for run, own in zip(runs, rows, strict=True) if any(row.locked for row in own)]
    if not isinstance(candidate, TurnRun):
        if locked:
            name = locked[0].directory
            raise UsageError(
                f"{name} is locked: each of its turns continues the turns of another run; compare "
                f"it with that one: evalkit compare THAT_RUN {name} --locked"
            )
        return []
    if baseline in locked:
        raise UsageError(
            f"{baseline.directory} is locked itself; name the run that it continues as BASELINE"
        )
    pairs = [pair for pair in pairing.scored if pair.candidate.conversation]
    records = [(new.id, new.locked, old.conversation) for old, new in pairs]
    for id_, record, answers in records:
        if record is None:
            raise UsageError(
                f"{candidate.directory} is not locked ({id_}); run its suites with "
                f"--evalkit-locked {baseline.directory}, or compare it without --locked"
            )
        if record["answers"] != answers:
            raise UsageError(
                f"{candidate.directory} continues other answers than those of "
                f"{baseline.directory} ({id_}); name the run that it was locked to, or lock it "
                f"again with --evalkit-locked {baseline.directory}"
            )
    notes = [
        "locked: each turn of the candidate continues the baseline's turns; pairs, tokens and cost "
        "are those of turns, and what is expected of whole conversations is not compared"
    ]
    later = [new.locked for _, new in pairs if new.key[2][-1] != _FIRST]
    unsigned = [one["model"] for one in later if one and one["history"] == "unsigned"]
    if unsigned:
        notes.append(
            f"in {plural(len(unsigned), 'pair')} the candidate got the turns of "
            f"{', '.join(sorted(set(unsigned)))} without thoughts and signatures, which bind that "
            "model"
        )
    return notes
