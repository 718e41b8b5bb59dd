"""The result of a test that recorded or replayed an application, as a result line.

Its turns are those of all conversations of its tape, numbered through; so are its exchanges. How
the test ended decides its verdict:

| the test                                   | verdict | reported as                            |
|--------------------------------------------|---------|----------------------------------------|
| passed                                     | passed  | checks that failed meanwhile are left  |
|                                            |         | out: the test expected that            |
| failed by ``expect``                       | that of | its checks                             |
|                                            | checks  |                                        |
| failed by an assertion of its own          | failed  | check ``test``                         |
| ended in an exception, also of a fixture   | errored | check ``test``                         |
| had a miss, or could not write its cassette| errored | check ``conversation``                 |
| was skipped                                | skipped | check ``test``                         |
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from evalkit.results import Identity, result_record
from evalkit.session.evaluation import overall_verdict
from evalkit.session.failure_text import failure_text
from evalkit.session.outcomes import VariantOutcome, rendered_outcome
from evalkit.taping.conversations import TapedConversation
from evalkit.taping.tapes import Tape
from evalkit.transcript import Step, Transcript, Turn
from evalkit.verdict import TEST, CheckResult, Finding, Verdict, Where

EXPECTATION_FAILED = "expectation_failed"
_NOT_PASSED = (Verdict.FAILED, Verdict.ERRORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationTest:
    """What identifies a test: its module from the project's root, its name, its parameters."""

    module: str
    name: str
    parts: tuple[str, ...] = ()
    trial: int = 1
    line: int
    title: str = ""
    tags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The node id, with the trial where it is not the first."""
        parameters = f"[{','.join(self.parts)}]" if self.parts else ""
        trial = f"#{self.trial}" if self.trial > 1 else ""
        return f"{self.module}::{self.name}{parameters}{trial}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why a phase of a test did not pass; ``location`` is ``file:line``, if it is known.

    ``check`` is under which name it is reported: ``test``, or ``conversation``.
    """

    code: str
    verdict: Verdict
    message: str
    detail: str = ""
    location: str = ""
    check: str = TEST

    def result(self) -> CheckResult:
        """Return the ending as the result of a check."""
        finding = Finding(self.code, self.message, detail=self.detail)
        return CheckResult(self.check, self.verdict, (finding,), declared=self.location)


def application_outcome(
    test: ApplicationTest,
    tape: Tape | None,
    endings: Sequence[Ending],
    *,
    cassettes: Path,
    redact: Callable[[str], str],
) -> VariantOutcome:
    """Return the outcome of a test; without a tape it did not get that far.

    ``endings`` are those of its phases that did not pass. ``cassettes`` is the folder from which
    cassettes are named.
    """

    def clean(text: str) -> str:
        # A message may contain a key that only this application uses.
        return redact(tape.redact(text) if tape is not None else text)

    conversations = tape.conversations() if tape is not None else []
    offsets = list(_offsets(conversations))
    checks = list(_checks(tape, conversations, offsets, endings))
    verdict = Verdict.PASSED
    if endings:
        is_skipped = all(ending.verdict is Verdict.SKIPPED for ending in endings)
        verdict = Verdict.SKIPPED if is_skipped else overall_verdict([one for one, _ in checks])
    transcript = _joined(conversations, offsets) if conversations else None
    settings = transcript.settings if transcript is not None else {}
    names = ("history", "stream", "background", "model", "agent")
    is_live = tape is not None and tape.is_live
    identity = Identity(
        kind="test",
        id=test.id,
        suite=test.module,
        scenario=test.name,
        title=test.title,
        variant={name: settings[name] for name in names if name in settings},
        parts=test.parts,
        trial=test.trial,
        tags=test.tags,
        path=test.module,
        line=test.line,
        cassette=None if tape is None or is_live else tape.path.relative_to(cassettes).as_posix(),
    )
    results = [result for result, _ in checks]
    message = ""
    if verdict in _NOT_PASSED:
        message = clean(failure_text(test.id, f"{test.module}:{test.line}", results))
    unplayed = tape.unplayed if tape is not None and not endings else ()
    record = result_record(identity, verdict, message, results, transcript, unplayed)
    if len(conversations) > 1:
        for check, (_, number) in zip(record["checks"], checks, strict=True):
            if number:
                check["conversation"] = number
    record["conversations"] = [
        {"first_turn": turns + 1, "settings": one.transcript.settings}
        for one, (turns, _) in zip(conversations, offsets, strict=True)
    ]
    return rendered_outcome(record, clean)


def _checks(
    tape: Tape | None,
    conversations: Sequence[TapedConversation],
    offsets: Sequence[tuple[int, int]],
    endings: Sequence[Ending],
) -> Iterator[tuple[CheckResult, int]]:
    """Yield check results with the number of their conversation, 0 for what is outside."""
    results = tape.expect_results if tape is not None else ()
    has_failed = any(ending.verdict in _NOT_PASSED for ending in endings)
    if not has_failed:
        # The test expected the failures of these checks.
        results = [one for one in results if one.result.verdict not in _NOT_PASSED]
    warnings = (
        (one.number, result) for one in conversations for result in one.unchecked_warnings()
    )
    for number, result in chain(results, warnings):
        yield _shifted(result, *offsets[number - 1]), number
    is_explained = any(one.result.verdict in _NOT_PASSED for one in results)
    for ending in endings:
        if not (ending.code == EXPECTATION_FAILED and is_explained):
            yield ending.result(), 0


def _offsets(conversations: Iterable[TapedConversation]) -> Iterator[tuple[int, int]]:
    """Yield how many turns and exchanges are before each conversation."""
    turns = exchanges = 0
    for one in conversations:
        yield turns, exchanges
        turns += len(one)
        exchanges += len(one.exchanges)


def _shifted(result: CheckResult, turns: int, exchanges: int) -> CheckResult:
    """Return the result of a check with the numbers that its turns have in the line."""

    def shift(where: Where) -> Where:
        turn, exchange = where.turn, where.exchange
        return replace(
            where,
            turn=turn + turns if turn is not None else None,
            exchange=exchange + exchanges if exchange is not None else None,
        )

    findings = tuple(replace(one, where=shift(one.where)) for one in result.findings)
    turn = result.turn + turns if result.turn is not None else None
    return replace(result, findings=findings, turn=turn)


def _joined(
    conversations: Sequence[TapedConversation], offsets: Sequence[tuple[int, int]]
) -> Transcript:
    """Return all conversations as one; its settings are those that all of them have."""
    first, *others = (one.transcript for one in conversations)
    settings = {
        name: value
        for name, value in first.settings.items()
        if all(name in other.settings and other.settings[name] == value for other in others)
    }
    turns = [
        _renumbered(turn, *offset)
        for one, offset in zip(conversations, offsets, strict=True)
        for turn in one.transcript.turns
    ]
    return Transcript(settings, turns)


def _renumbered(turn: Turn, turns: int, exchanges: int) -> Turn:
    number = turn.number + turns
    return replace(
        turn,
        number=number,
        exchanges=[
            replace(one, number=one.number + exchanges, turn=number) for one in turn.exchanges
        ],
        steps=[Step(one.raw, one.origin, one.exchange + exchanges) for one in turn.steps],
    )
