"""One result line: what a report, a comparison or an auditor needs of one variant, as one JSON
object.

The same suite, cassette and evalkit give the same bytes: no clock is read, times are those of the
recording. ``digest`` is the SHA-256 of the line without its ``digest`` member. The transcript, nine
tenths of a line, comes last, so that most readers can parse the head alone.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypedDict, cast

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, dumps, loads
from evalkit._lib.text import shorten, visible
from evalkit.checks.core.pricing import counted_exchanges, token_totals
from evalkit.errors import IntegrityError
from evalkit.results.records import (
    Identity,
    MetricsRecord,
    RepeatRecord,
    ResultHead,
    ResultLine,
    VerdictName,
)
from evalkit.transcript import Exchange, Transcript
from evalkit.verdict import CheckResult, Verdict

SCHEMA_VERSION = 1
_DIGEST, _HEX = b',"digest":"', b"0123456789abcdef"
_TRANSCRIPT = (',"settings":', ',"turns":')
_NAMES = ("id", "suite", "scenario")
_MEMBER_OF_TEST = re.compile(r'\{"(?:pytest|repeat)":')
_DECODER = json.JSONDecoder()
_MOST = 1e18
"""The largest amount that is believed: its square and its sums are finite."""


class Tally(TypedDict):
    """What totals need of one result.

    ``verdict`` is that of its test, ``outcome`` as what pytest counts that. One result of each test
    ``counts``; its ``trials`` say how many passed if it passed and not all did. ``warned`` is its
    first warning, if any.
    """

    verdict: VerdictName
    outcome: str
    counts: bool
    trials: str
    checks: int
    warnings: int
    warned: list[str]
    unplayed: int
    tokens: int


def result_record(
    identity: Identity,
    verdict: Verdict,
    message: str,
    checks: Sequence[CheckResult],
    transcript: Transcript | None,
    unplayed: Sequence[str] = (),
) -> ResultLine:
    """Return a result without its digest; without a transcript no conversation was run."""
    turns = transcript.turns if transcript is not None else []
    record: dict[str, JSON] = {
        "schema_version": SCHEMA_VERSION,
        **identity,
        "verdict": str(verdict),
        "message": message,
        "checks": [check.to_json() for check in checks],
        "metrics": metrics(transcript),
        "unplayed": list(unplayed),
        **({"locked": dict(transcript.locked)} if transcript and transcript.locked else {}),
        "settings": transcript.settings if transcript is not None else {},
        "turns": [turn.to_json() for turn in turns],
    }
    for name, exchanges in _side_exchanges(transcript):
        record[f"{name}_exchanges"] = [one.to_json() for one in exchanges]
    return cast("ResultLine", record)


def result_line(record: ResultLine, clean: Callable[[str], str] = str) -> str:
    """Return a result as one line of ASCII JSON without a newline, its digest last.

    ``clean`` removes secrets from the text.
    """
    text = clean(dumps(record))
    return f'{text[:-1]},"digest":"{sha256(text)}"}}'


def with_pytest_outcome(line: str, outcome: str, reason: str) -> str:
    """Return a result line that says as what pytest counts the test.

    Spliced into the text: a number keeps the spelling in which it was received.
    """
    return _with_member(line, "pytest", {"outcome": outcome, "reason": visible(reason)})


def with_repeat(line: str, record: RepeatRecord) -> str:
    """Return a result line that says of which test it is a trial."""
    return _with_member(line, "repeat", cast("JSON", record))


def _with_member(line: str, name: str, value: JSON) -> str:
    text = line.rpartition(_DIGEST.decode())[0]
    text = f'{{"{name}":{dumps(value)},{text[1:]}}}'
    return f'{text[:-1]},"digest":"{sha256(text)}"}}'


def trials_text(record: RepeatRecord) -> str:
    """Return ``4 of 5 trials passed (4 required)``."""
    return f"{record['passed']} of {record['trials']} trials passed ({record['require']} required)"


def _flaky_trials(head: ResultHead) -> str:
    repeat = head.get("repeat")
    is_flaky = repeat and repeat["verdict"] == "passed" and repeat["passed"] < repeat["trials"]
    return trials_text(repeat) if repeat and is_flaky and repeat["counts"] else ""


def without_test(line: str) -> str:
    """Return a result line without what it says about its test."""
    text = line.rpartition(_DIGEST.decode())[0] + "}"
    while match := _MEMBER_OF_TEST.match(text):
        _, end = _DECODER.raw_decode(text, match.end())
        text = "{" + text[end + 1 :]
    return f'{text[:-1]},"digest":"{sha256(text)}"}}'


def verdict_of(head: ResultHead) -> VerdictName:
    """Return the verdict of the test that a result counts as, else its own."""
    repeat = head.get("repeat")
    return repeat["verdict"] if repeat and repeat["counts"] else head["verdict"]


def counts_as_test(head: ResultHead) -> bool:
    """Return whether a result is counted where tests are: not as one of several trials."""
    return "repeat" not in head or head["repeat"]["counts"]


def is_passed_trial(head: ResultHead) -> bool:
    """Return whether a result is a trial that passed, of a test that passed."""
    return "repeat" in head and head["verdict"] == head["repeat"]["verdict"] == "passed"


def outcome_of(head: ResultHead) -> str:
    """Return as what pytest counts a result: its verdict, unless marks or hooks changed that."""
    return head["pytest"]["outcome"] if "pytest" in head else verdict_of(head)


def parse_result(line: str) -> ResultLine:
    """Parse a whole result line. Raises ValueError, also for deep nesting."""
    try:
        value = loads(line)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("a result is a JSON object")
    for name in _NAMES:
        if not isinstance(value.get(name, ""), str):
            raise ValueError(f"{name!r} must be a text")
    return cast("ResultLine", value)


def parse_head(line: str, *, with_settings: bool = False) -> ResultHead:
    """Parse a result line without its transcript and, by default, its settings. Raises ValueError.

    The line is cut before ``settings`` or ``turns`` and closed by one brace. That the rest parses
    proves that the cut was at the top level: inside a string the quotes would be escaped, inside a
    nested object one brace would not be enough. Any other line is parsed whole, so the order of
    members only affects speed.
    """
    for name in _TRANSCRIPT[with_settings:]:
        at = line.find(name)
        if at > 0 and line.endswith("}"):
            try:
                return parse_result(line[:at] + "}")
            except ValueError:
                continue
    return parse_result(line)


def line_digests(line: bytes) -> tuple[str, str] | None:
    """Return a line's digest as stated and as computed; None if the line does not end with one."""
    rest, found, tail = line.rpartition(_DIGEST)
    if not found or len(tail) != 66 or not tail.endswith(b'"}') or tail[:64].strip(_HEX):
        return None
    return tail[:64].decode(), sha256(rest + b"}")


def count_verdicts(verdicts: Iterable[str]) -> dict[str, int]:
    """Count results: all of them, the scored ones, and those with each verdict."""
    counts = Counter(verdicts)
    return {
        "results": counts.total(),
        "scored": counts["passed"] + counts["failed"],
        **{name: counts[name] for name in ("passed", "failed", "errored", "skipped")},
    }


def checked_digest(line: bytes, place: str) -> str:
    """Return a line's digest. Raises IntegrityError if the line was changed."""
    digests = line_digests(line)
    if digests is not None and digests[0] == digests[1]:
        return digests[1]
    reason = "it does not end with its digest"
    if digests is not None:
        reason = f"expected digest {digests[0][:16]}…, got {digests[1][:16]}…"
    raise IntegrityError(
        f"{place}: changed since it was written ({reason}); fetch the run again, or run its suites "
        "again"
    )


def tally_of(result: ResultHead) -> Tally:
    """Return what totals need of a result.

    Raises KeyError, TypeError, AttributeError or ValueError if it is not a valid result.
    """
    warnings = [
        f"{check['name']}: {finding['message']}"
        for check in result["checks"]
        for finding in check["findings"]
        if finding["severity"] == "warn"
    ]
    # The time is not a total, but reports count with it.
    amount(result["metrics"].get("elapsed_ms"))
    return {
        "verdict": cast("VerdictName", str(Verdict(verdict_of(result)))),
        "outcome": outcome_of(result),
        "counts": counts_as_test(result),
        "trials": _flaky_trials(result),
        "checks": len(result["checks"]),
        "warnings": len(warnings),
        "warned": warnings[:1],
        "unplayed": len(result["unplayed"]),
        "tokens": amount(result["metrics"].get("tokens", {}).get("total_tokens")) or 0,
    }


def amount(value: JSON) -> Any:
    """Return a number from 0 to ``_MOST``, or None. Raises ValueError for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 <= value <= _MOST):
        raise ValueError(f"{shorten(repr(value))} is not a number from 0 to {_MOST:.0e}")
    return value


def metrics(transcript: Transcript | None) -> MetricsRecord:
    """Sum up a conversation: tokens, milliseconds, exchanges, tool calls, source of responses.

    Tokens have the API's field names. ``elapsed_ms`` is absent where no exchange has a time.
    Exchanges with judges are summed up separately as ``judge``, those with simulated users as
    ``simulator``, and those without a usable answer, which had to be sent again, as ``retried``;
    absent where there are none. An interaction that is read several times counts once.
    Without a transcript the sums are empty.
    """
    if transcript is None:
        return {}
    exchanges = list(transcript.exchanges)
    counted = counted_exchanges(exchanges)
    wasted = [one for one in counted if one.failure is not None]
    usable = [one for one in counted if one.failure is None]
    responses = [one.response for one in exchanges if one.response is not None]
    sources = {response.source for response in responses}
    times = [response.elapsed_ms for response in responses if response.elapsed_ms is not None]
    sums: MetricsRecord = {
        "tokens": token_totals(usable),
        "exchanges": len(exchanges),
        "tool_calls": sum(
            step.type.endswith("_call") for turn in transcript.turns for step in turn.steps
        ),
        "source": sources.pop() if len(sources) == 1 else "mixed" if sources else None,
    }
    if times:
        sums["elapsed_ms"] = round(sum(times), 3)
    if wasted:
        sums["retried"] = {"tokens": token_totals(wasted), "exchanges": len(wasted)}
    for name, side in _side_exchanges(transcript):
        sums[name] = {"tokens": token_totals(counted_exchanges(side)), "exchanges": len(side)}
    return sums


def _side_exchanges(
    transcript: Transcript | None,
) -> Iterator[tuple[Literal["judge", "simulator"], Sequence[Exchange]]]:
    """Yield the exchanges beside a conversation, by the name that results have for them."""
    if transcript is not None and transcript.judge_exchanges:
        yield "judge", transcript.judge_exchanges
    if transcript is not None and transcript.simulator_exchanges:
        yield "simulator", transcript.simulator_exchanges
