"""Stepping through a review in the terminal: one item at a time, one key and Enter. What was decided is on disk before the next is asked.

| key | does |
|---|---|
| a, r, s | accept, reject, skip |
| k | keep the decision an earlier run offers |
| g | the next decision is for the whole group (again: for this one) |
| c | comment on the next decision |
| v | all of it: the whole difference, and the conversation |
| q, end of input | leave; the next call goes on here |
"""

from __future__ import annotations

import click
from rich.console import Console

from evalkit._lib.text import plural, shorten, visible
from evalkit.cli.review_view import (
    ALL_LETTERS,
    ALL_LINES,
    show_conversation,
    show_difference,
    show_item,
)
from evalkit.errors import IntegrityError, UsageError
from evalkit.review.session import Desk, Look, Person, Stale
from evalkit.review.state import Choice, Standing, companions, in_turn, seal

_CHOICES: dict[str, Choice] = {"a": "accept", "r": "reject", "s": "skip"}


class Stepper:
    """One sitting. ``run`` returns when nothing is left to ask, or who decides has had enough."""

    def __init__(self, desk: Desk, who: Person, console: Console) -> None:
        self._desk = desk
        self._who = who
        self._console = console
        self._passed: set[str] = set()
        self._number = 0

    def run(self) -> None:
        """Ask about everything that is left, each once."""
        while True:
            look = self._desk.look()
            left = [one for one in in_turn(look.standings) if one.item.key not in self._passed]
            if not left:
                return
            one = left[0]
            self._number += 1
            show_item(look, one, self._console, self._number, self._number - 1 + len(left))
            try:
                if not self._ask(look, one):
                    return
            except Stale as error:
                click.echo(f"  {error}")

    def _ask(self, look: Look, one: Standing) -> bool:
        """Ask until the item is decided; False when it is enough."""
        group = companions(look.standings, one.item)
        whole, comment = False, ""
        while True:
            key = _read(f"{_keys(one, len(group), whole, comment)} ")
            if key is None or key == "q":
                return False
            if key == "c":
                comment = _read("  comment: ") or ""
            elif key == "g" and len(group) > 1:
                whole = not whole
            elif key == "v":
                show_difference(one.item, self._console, ALL_LINES, ALL_LETTERS)
                show_conversation(self._desk.line(one.item), self._console)
            elif key in _CHOICES or (key == "k" and one.offer is not None):
                chosen = group if whole and key != "k" else [one]
                if key == "a" and not comment and any(other.item.regressed for other in chosen):
                    comment = _read("  comment (why this regression is accepted): ") or ""
                if self._decide(key, chosen, comment):
                    return True
            else:
                click.echo(f"  {shorten(key, 20) or 'nothing'!r} is no key here")

    def _decide(self, key: str, chosen: list[Standing], comment: str) -> bool:
        keys = [one.item.key for one in chosen]
        try:
            if key == "k":
                decisions = self._desk.keep(keys, self._who, seen=seal(chosen))
            else:
                group = chosen[0].item.group if len(chosen) > 1 else ""
                decisions = self._desk.decide(
                    keys, _CHOICES[key], self._who, comment, seen=seal(chosen), group=group
                )
        except (Stale, IntegrityError):
            raise
        except UsageError as error:
            click.echo(f"  {error}")
            return False
        self._passed.update(keys)
        wrote = [decision.wrote for decision in decisions if decision.wrote]
        click.echo(
            f"  {decisions[0].decision}: {plural(len(decisions), 'item')}"
            + "".join(f"\n  wrote {visible(name)}" for name in wrote)
        )
        return True


def _keys(one: Standing, size: int, whole: bool, comment: str) -> str:
    keep = " k keep," if one.offer is not None else ""
    group = "" if size < 2 else " g only this one," if whole else f" g all {size},"
    said = " (with comment)" if comment else ""
    return f"{f'all {size}: ' if whole else ''}a accept, r reject, s skip,{keep}{group} c comment, v view, q quit{said} >"


def _read(prompt: str) -> str | None:
    """Return a line of input, None at its end."""
    try:
        text: str = click.prompt(prompt, default="", show_default=False, prompt_suffix="")
    except click.Abort:
        click.echo()
        return None
    return visible(text.strip())
