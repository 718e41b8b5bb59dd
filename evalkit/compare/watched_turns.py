"""Compare the live answers of a watch with the recorded ones, turn by turn and by meaning. Pure.

Two samples of the same answer differ in words, so words are not compared: that is what expectations
are for. Compared are the outcome, the steps of the model without its thoughts, functions and their
arguments, and the shape of an answer that is JSON: its members and their types.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from evalkit._lib.json import JSON, differences, json_type, loads
from evalkit._lib.text import shorten, visible
from evalkit.compare.answer_differences import difference_by_meaning
from evalkit.compare.rows import interactions
from evalkit.compare.turn_results import turn_results
from evalkit.results.records import ResultLine, TurnRecord
from evalkit.results.watch_history import WatchedTurn

_MOST = 160
_NOT_RUN = "it was not run"
_SIDES = "recording", "live answer"


class TurnPair(NamedTuple):
    """A recorded turn, and the live one to the same request; None if it was not run."""

    recorded: ResultLine
    live: ResultLine | None


def turn_pairs(recorded: Iterable[ResultLine], live: Iterable[ResultLine]) -> list[TurnPair]:
    """Return the turns of recorded conversations with the live ones."""
    answered = {turn["id"]: turn for line in live for turn in turn_results(line)}
    # What could not start has no turns.
    whole = {line["id"]: line for line in answered.values() if not line["turns"]}
    return [
        TurnPair(turn, answered.get(turn["id"], whole.get(line["id"])))
        for line in recorded
        for turn in turn_results(line)
    ]


def watched_turn(pair: TurnPair, series: str) -> WatchedTurn:
    """Return what the history stores of a turn."""
    id_, live = pair.recorded["id"], pair.live
    if live is None or not live["turns"]:
        reason = (_reason(live) if live is not None else "") or _NOT_RUN
        return WatchedTurn(id=id_, series=series, verdict="errored", reason=reason)
    (old,), (new,) = pair.recorded["turns"], live["turns"]
    is_scored = live["verdict"] in ("passed", "failed")
    difference = _difference(old, new) if is_scored else ""
    is_usual = not difference and live["verdict"] == "passed"
    metrics = live["metrics"]
    return WatchedTurn(
        id=id_,
        series=series,
        verdict=live["verdict"],
        difference=difference,
        tokens=metrics.get("tokens", {}).get("total_output_tokens"),
        ms=metrics.get("elapsed_ms"),
        reason=_reason(live) or ("" if is_scored else _NOT_RUN),
        answer="" if is_usual else excerpt(new),
    )


def excerpt(turn: TurnRecord) -> str:
    """Return the beginning of an answer in one line."""
    return shorten(visible(" ".join((turn["text"] or "").split())), _MOST)


def models_of(line: ResultLine) -> list[str]:
    """Return the models that answered, as the service names them."""
    names = {str(one["model"]) for one in interactions(line["turns"]) if one.get("model")}
    return sorted(names)


def _reason(line: ResultLine) -> str:
    """Return the first thing that a result did not pass for."""
    lines = (text for text in line["message"].splitlines()[1:] if text.strip())
    return shorten(visible(next(lines, "").strip()), _MOST)


def _difference(old: TurnRecord, new: TurnRecord) -> str:
    found = difference_by_meaning(old, new, without=("thought",), names=_SIDES)
    return shorten(visible(found or _shape_difference(old["text"], new["text"])), _MOST)


def _shape_difference(old: str | None, new: str | None) -> str:
    """Return where the shape of a JSON answer differs; empty if the old one is not JSON."""
    before, after = _document(old), _document(new)
    if before is None:
        return ""
    if after is None:
        return "text: JSON → not JSON"
    for pointer, one, other in differences(_shape(before), _shape(after)):
        return f"JSON {pointer or '/'}: {_kind(one)} → {_kind(other)}"
    return ""


def _document(text: str | None) -> JSON:
    with suppress(ValueError, RecursionError):
        value = loads(text or "")
        return value if isinstance(value, dict | list) else None
    return None


def _shape(value: JSON) -> JSON:
    """Return a JSON value with types in place of values; of a list, those of its first item."""
    if isinstance(value, dict):
        return {name: _shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shape(one) for one in value[:1]]
    return json_type(value)


def _kind(shape: JSON) -> str:
    return shape if isinstance(shape, str) else json_type(shape)
