"""What ``evalkit watch`` prints: the cost, the look, and what changed since when."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import fmean

from evalkit._lib.text import plural
from evalkit.compare.drift_signals import MEASURES, Signal, TurnValues, values_by_series
from evalkit.compare.rows import grouped
from evalkit.compare.watched_turns import TurnPair, excerpt
from evalkit.results.records import ResultLine
from evalkit.results.watch_history import Look, WatchedTurn

_MOST = 5
_COUNTED = {"verdicts": "failed", "answers": "differed"}
_UNITS = {"tokens": "tokens", "latency": "ms"}


def cost_line(recorded: Sequence[ResultLine]) -> str:
    """Return what a look will send, by what is recorded."""
    metrics = [line["metrics"] for line in recorded]
    requests = sum(one.get("exchanges", 0) for one in metrics)
    tokens = sum(one.get("tokens", {}).get("total_tokens", 0) for one in metrics)
    conversations = plural(len(recorded), "conversation")
    return f"{conversations}: about {plural(requests, 'request')}, {tokens:,} tokens, as recorded"


def look_lines(
    looks: Sequence[Look], pairs: Sequence[TurnPair], signals: Sequence[Signal], stop_reason: str
) -> Iterator[str]:
    """Yield the last look beside the recordings: what is new, what failed, what had no answer."""
    look = looks[-1]
    verdicts = Counter(turn.verdict for turn in look.turns)
    recorded = Counter(pair.recorded["verdict"] for pair in pairs)
    scored = [turn for turn in look.turns if turn.is_scored]
    yield (
        f"look {len(looks)}: {verdicts['passed']} of {plural(len(scored), 'turn')} passed "
        f"({recorded['passed']} of {len(pairs)} recorded), "
        f"{sum(bool(turn.difference) for turn in scored)} differ by meaning"
    )
    yield f"sent: {plural(look.requests, 'request')}, {look.tokens:,} tokens"
    if stop_reason:
        yield f"stopped: {stop_reason}"
    for news in look.news:
        yield f"changed: {news}"
    alarmed = {signal.measure for signal in signals if signal.is_alarm}
    for measure in _COUNTED:
        if measure not in alarmed:
            yield from _turn_lines(measure, looks)
    unanswered = grouped((turn.reason, turn.id) for turn in look.turns if not turn.is_scored)
    for reason, (first, *others) in unanswered.items():
        more = f" and {plural(len(others), 'other turn')}" if others else ""
        yield f"no answer: {first}{more}: {reason}"


def _turn_lines(measure: str, looks: Sequence[Look]) -> Iterator[str]:
    """Yield the turns that failed or differed today, those that did so most often first."""
    found = values_by_series(measure, looks)
    turns = [turn for turn in looks[-1].turns if turn.is_scored and found[turn.series][-1]]
    turns.sort(key=lambda turn: -fmean(found[turn.series]))
    for turn in turns[:_MOST]:
        values = found[turn.series]
        count = f"{sum(values):.0f} of {plural(len(values), 'look')}"
        reason = turn.reason if measure == "verdicts" else turn.difference
        yield f"{_COUNTED[measure]} in {count}: {turn.id}: {reason}"
    if len(turns) > _MOST:
        yield f"{_COUNTED[measure]}: {plural(len(turns) - _MOST, 'other turn')}"


def signal_lines(signals: Sequence[Signal], look: Look, pairs: Sequence[TurnPair]) -> Iterator[str]:
    """Yield each change, with the turns that changed most."""
    texts = {pair.recorded["id"]: excerpt(pair.recorded["turns"][0]) for pair in pairs}
    today = {turn.id: turn for turn in look.turns}
    for signal in signals:
        meaning = MEASURES[signal.measure].meaning[signal.side]
        yield f"{'DRIFT' if signal.is_alarm else 'note'}: {meaning} since {signal.since.time}"
        yield f"  {_part(signal, signal.total)}"
        for part in signal.parts[:_MOST]:
            yield f"  {_part(signal, part)}"
            turn = today.get(part.name)
            if signal.is_alarm and turn is not None:
                yield from _answers(turn, texts[part.name])
        if len(signal.parts) > _MOST:
            yield f"  … and {plural(len(signal.parts) - _MOST, 'more turn')}"


def _answers(turn: WatchedTurn, recorded: str) -> Iterator[str]:
    if turn.reason or turn.difference:
        yield f"    {turn.reason or turn.difference}"
    if turn.answer:
        yield f"    recorded: {recorded}"
        yield f"    today: {turn.answer}"


def _part(signal: Signal, part: TurnValues) -> str:
    if signal.measure in _COUNTED:
        before, since = (f"{sum(one):.0f} of {len(one)}" for one in (part.before, part.since))
        return f"{part.name}: {before} {_COUNTED[signal.measure]} before, {since} since"
    before, since = (f"{math.exp(fmean(one)):,.0f}" if one else "?" for one in part[1:])
    ratio = f" (x{math.exp(part.change):.2f})"
    return f"{part.name}: {before} {_UNITS[signal.measure]} before, {since} since{ratio}"
