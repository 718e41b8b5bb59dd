"""A review in the terminal: lists and single items, in 80 columns, hostile text visible, nothing of it read as markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from evalkit._lib.text import plural, shorten, visible
from evalkit.review.item_text import Line, conversation, difference
from evalkit.review.queue import Item
from evalkit.review.session import Look
from evalkit.review.state import Decision, Standing, State, companions, in_turn

LINES, LETTERS = 30, 1_200
"""Lines of a difference, and letters of a line, that are printed at first; ``v`` prints more."""
ALL_LINES, ALL_LETTERS = 2_000, 20_000

_COLOURS = {"-": "red", "+": "green", "…": "dim"}
_STATES: Mapping[State, str] = {
    State.OPEN: "bold",
    State.VOID: "yellow",
    State.SKIPPED: "dim",
    State.ACCEPTED: "green",
    State.REJECTED: "red",
}


def show_list(look: Look, console: Console) -> None:
    """Print everything: what is left, group by group, what was decided, what errored, what lost its result."""
    left = in_turn(look.standings)
    groups: dict[str, list[Standing]] = {}
    for one in left:
        groups.setdefault(one.item.group, []).append(one)
    for name, group in groups.items():
        first = group[0].item
        told = f"{plural(len(group), 'item')}, identical" if len(group) > 1 else "1 item"
        _put(
            console,
            Text.assemble(
                (f"{first.kind_in_words}, {first.check}: {first.code}", "bold"),
                (f"  {name} ({told})", "dim"),
            ),
        )
        _put(console, Text(shorten(first.message, 300), "dim"), 2)
        for one in group:
            _put_entry(console, one)
        console.print()
    decided = [one for one in look.standings if not one.left]
    if decided:
        _put(console, Text(f"Decided ({len(decided):,})", "bold"))
        for one in decided:
            _put_entry(console, one)
        console.print()
    if look.queue.errors:
        _put(console, Text(f"Errored, nothing to decide ({len(look.queue.errors):,})", "bold"))
        for error in look.queue.errors:
            _put(console, Text(f"{error.result}  ({visible(error.place)})"), 2)
            _put(console, Text(shorten(error.message, 300), "dim"), 6)
        console.print()
    if look.gone:
        _put(console, Text(f"Void: no longer in the run ({len(look.gone):,})", "bold"))
        for decision in look.gone:
            _put(console, Text(f"{visible(decision.result)}  was {_told(decision)}"), 2)
        console.print()


def _put_entry(console: Console, one: Standing) -> None:
    head = Text.assemble(
        f"{one.item.key}  ",
        (str(one.state), _STATES[one.state]),
        f"  {one.item.result}, {one.item.place}",
    )
    _put(console, head, 2)
    if one.why and one.decision is not None:
        _put(console, Text(f"void: {one.why}; it was {_told(one.decision)}", "yellow"), 6)
    elif one.decision is not None:
        _put(console, Text(_told(one.decision), "dim"), 6)
    if one.offer is not None:
        _put(console, Text(f"offered from an earlier run: {_told(one.offer)}", "cyan"), 6)


def show_item(look: Look, one: Standing, console: Console, number: int, of: int) -> None:
    """Print one item as it is asked about."""
    item = one.item
    console.print()
    console.rule(Text(f"{number} of {of}", "dim"), align="left", characters="─")
    _put(console, Text.assemble((item.kind_in_words, "bold"), f"  {item.result}"))
    _put(
        console,
        Text(f"{item.check}: {item.code} at {item.place}  ({visible(item.declared)})", "dim"),
    )
    if one.why and one.decision is not None:
        _put(console, Text(f"void: {one.why}; it was {_told(one.decision)}", "yellow"))
    elif one.decision is not None:
        _put(console, Text(_told(one.decision), "dim"))
    if one.offer is not None:
        _put(
            console,
            Text(f"decided in an earlier run on the same result: {_told(one.offer)}", "cyan"),
        )
    console.print()
    _put(console, Text(_cut(item.message, LETTERS)), 2)
    show_difference(item, console, LINES, LETTERS)
    others = len(companions(look.standings, item)) - 1
    if others:
        _put(
            console,
            Text(
                f"{plural(others, 'other')} with the identical difference (group {item.group})",
                "bold",
            ),
        )


def show_difference(item: Item, console: Console, most: int, letters: int) -> None:
    """Print what was expected and what came, or what the check shows in their place."""
    lines = difference(item)
    if not lines and item.detail:
        lines = [Line("", text) for text in item.detail.split("\n")]
    console.print()
    for line in lines[:most]:
        colour = _COLOURS.get(line.sign, "")
        _put(console, Text(f"{line.sign or ' '} {_cut(line.text, letters)}".rstrip(), colour), 2)
    if len(lines) > most:
        _put(console, Text(f"… and {len(lines) - most:,} more lines", "dim"), 2)
    if lines:
        console.print()


def show_conversation(line: Mapping[str, Any], console: Console) -> None:
    """Print what was said in a result."""
    for said in conversation(line):
        _put(console, Text(f"turn {said.turn}, {visible(said.who)}", "bold"), 2)
        _put(console, Text(_cut(said.text, ALL_LETTERS)), 4)
    console.print()


def told(look: Look) -> str:
    """Return a review in numbers, as one sentence."""
    found = look.summary
    parts = [f"{found.accepted:,} accepted", f"{found.rejected:,} rejected", f"{found.left:,} left"]
    void = f" ({found.void:,} void)" if found.void else ""
    errored = (
        f"; {plural(found.errored, 'result')} errored and {'tells' if found.errored == 1 else 'tell'} nothing"
        if found.errored
        else ""
    )
    return f"{', '.join(parts)}{void} of {plural(found.items, 'item')}{errored}."


def rows(look: Look) -> Iterator[Standing]:
    """Yield what ``--json`` lists, what is left first."""
    yield from in_turn(look.standings)
    yield from (one for one in look.standings if not one.left)


def _told(decision: Decision) -> str:
    words: Iterable[str] = filter(
        None, (f"{decision.decision} by {decision.by}, {decision.at}", decision.comment)
    )
    return visible(": ".join(words))


def _cut(text: str, limit: int) -> str:
    return visible(
        text if len(text) <= limit else f"{text[:limit]}… {len(text) - limit:,} more characters"
    )


def _put(console: Console, text: Text, indent: int = 0) -> None:
    for line in text.wrap(console, console.width - indent, overflow="fold"):
        line.rstrip()
        console.print(Text(" " * indent).append_text(line))
