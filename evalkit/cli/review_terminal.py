"""Print a review in the terminal, and ask about one item after another.

Output fits 80 columns. Model output is printed with invisible characters made visible, never as
markup. In the dialog, one key and Enter decide. A decision is on disk before the next item is
shown:

| key | action |
|---|---|
| a, r, s | accept, reject, skip |
| k | keep the decision that an earlier run offers |
| g | switch the next decision between the item and its whole group |
| c | add a comment to the next decision |
| v | view everything: the whole difference, and the conversation |
| q, end of input | quit; the next call continues here |
| ? | list the keys |
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import click
from rich.console import Console
from rich.text import Text

from evalkit._lib.json import JSON
from evalkit._lib.text import plural, shorten, visible
from evalkit.compare.rows import grouped
from evalkit.errors import UsageError
from evalkit.review.decisions import Choice, Decision
from evalkit.review.item_text import DiffLine, conversation_lines, diff_lines
from evalkit.review.queue import ErroredResult, ReviewItem
from evalkit.review.session import (
    DecisionRequest,
    Reviewer,
    ReviewSession,
    ReviewState,
    StaleView,
)
from evalkit.review.state import ItemState, ItemStatus, group_members, undecided, view_digest

MAX_LINES, MAX_CHARACTERS = 30, 1_200
"""Lines of a difference, and characters of a line, that are printed at first."""
VIEW_LINES, VIEW_CHARACTERS = 2_000, 20_000
"""The same for the key ``v``."""

Entry = TypeVar("Entry")

_CHOICES: dict[str, Choice | Literal["keep"]] = {
    "a": "accept",
    "r": "reject",
    "s": "skip",
    "k": "keep",
}
_HELP = """\
  a  accept: the judge is right, this failure is right as it is, or this text becomes the snapshot
  r  reject: the judge is wrong, or what differs must be corrected
  s  skip: decide later
  k  keep the decision that an earlier run offers
  g  decide about the whole group of identical differences, or about this one only
  c  add a comment to the next decision
  v  view everything: the whole difference, and the conversation
  q  quit; the same command continues here"""
_LINE_COLORS = {"-": "red", "+": "green", "…": "dim"}
_STATE_STYLES: Mapping[ItemState, str] = {
    ItemState.OPEN: "bold",
    ItemState.VOID: "yellow",
    ItemState.SKIPPED: "dim",
    ItemState.ACCEPTED: "green",
    ItemState.REJECTED: "red",
}


@dataclass(slots=True)
class ReviewDialog:
    """Asks about every undecided item once."""

    session: ReviewSession
    reviewer: Reviewer
    console: Console
    _decided: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Return when nothing is left to ask about, or the reviewer quits."""
        while True:
            state = self.session.state()
            remaining = [
                status
                for status in undecided(state.statuses)
                if status.item.key not in self._decided
            ]
            if not remaining:
                return
            status = remaining[0]
            # Its place among all items does not change, whatever is decided before it.
            keys = [each.item.key for each in state.statuses]
            progress = f"{keys.index(status.item.key) + 1} of {len(keys)}"
            _print_item(state, status, self.console, progress)
            try:
                if not self._ask(state, status):
                    return
            except StaleView as error:
                click.echo(f"  {error}")

    def _ask(self, state: ReviewState, status: ItemStatus) -> bool:
        """Ask until the item is decided; return False if the reviewer quits."""
        group = group_members(state.statuses, status.item)
        whole_group, comment = False, ""
        while True:
            key = _read_line(_prompt(status, len(group), whole_group, comment))
            if key is None or key == "q":
                return False
            if key == "c":
                comment = _read_line("  comment:") or ""
            elif key == "g" and len(group) > 1:
                whole_group = not whole_group
            elif key == "?":
                click.echo(_HELP)
            elif key == "v":
                _print_difference(status.item, self.console, VIEW_LINES, VIEW_CHARACTERS)
                _print_conversation(self.session.result(status.item), self.console)
            elif key in _CHOICES and (key != "k" or status.offer is not None):
                selected = group if whole_group and key != "k" else [status]
                regressed = any(member.item.regressed for member in selected)
                if key == "a" and not comment and regressed:
                    comment = _read_line("  comment (why this regression is accepted):") or ""
                if self._decide(key, selected, comment):
                    return True
            else:
                click.echo(f"  unknown key {shorten(key, 20)!r}; ? lists the keys")

    def _decide(self, key: str, selected: list[ItemStatus], comment: str) -> bool:
        keys = [status.item.key for status in selected]
        seen = view_digest(selected)
        try:
            group = selected[0].item.group if len(selected) > 1 else ""
            request = DecisionRequest(_CHOICES[key], keys, group)
            decisions = self.session.decide([request], self.reviewer, comment, seen=seen)
        except StaleView:
            if comment:
                click.echo(f"  your comment, which was not written: {comment}")
            raise
        except UsageError as error:
            click.echo(f"  {error}")
            return False
        self._decided.update(keys)
        print_decisions(decisions)
        return True


def _prompt(status: ItemStatus, group_size: int, whole_group: bool, comment: str) -> str:
    keys = ["a accept", "r reject", "s skip"]
    if status.offer is not None:
        keys.append("k keep")
    if group_size > 1:
        keys.append("g only this one" if whole_group else f"g all {group_size}")
    keys += ["c comment", "v view", "q quit", "?"]
    scope = f"all {group_size}: " if whole_group else ""
    return f"{scope}{', '.join(keys)}{' (with comment)' if comment else ''} >"


def _read_line(prompt: str) -> str | None:
    """Return a line of input, or None at its end."""
    try:
        text: str = click.prompt(f"{prompt} ", default="", show_default=False, prompt_suffix="")
    except click.Abort:
        click.echo()
        return None
    return visible(text.strip())


def format_summary(state: ReviewState) -> str:
    """Return the counts of a review as a sentence."""
    counts = state.summary
    decided = ", ".join(
        f"{counts[name]:,} {name}" for name in ("accepted", "rejected", "undecided")
    )
    void = f" ({counts['void']:,} void)" if counts["void"] else ""
    errored = f"; {plural(counts['errored'], 'result')} errored" if counts["errored"] else ""
    return f"{decided}{void} of {plural(counts['items'], 'item')}{errored}."


def print_decisions(decisions: Sequence[Decision]) -> None:
    """Print how many items were decided, and the snapshots that were written."""
    for choice, count in Counter(decision.decision for decision in decisions).items():
        click.echo(f"{choice}: {plural(count, 'item')}")
    for decision in decisions:
        if decision.written_file:
            click.echo(f"  wrote {visible(decision.written_file)}")


def print_list(state: ReviewState, console: Console) -> None:
    """Print items by state, undecided ones by group, and what cannot be decided."""
    groups = grouped((status.item.group, status) for status in undecided(state.statuses))
    for name, members in groups.items():
        item = members[0].item
        count = f"{plural(len(members), 'item')}, identical" if len(members) > 1 else "1 item"
        title = (f"{item.label}, {item.check}: {item.code}", "bold")
        _print(console, Text.assemble(title, (f"  {name} ({count})", "dim")))
        _print(console, Text(shorten(item.message, 300), "dim"), 2)
        for status in members:
            _print_entry(console, status)
        console.print()
    decided = [status for status in state.statuses if not status.is_undecided]
    _print_section(console, "Decided", decided, _print_entry)
    _print_section(console, "Errored, nothing to decide", state.queue.errors, _print_error)
    _print_section(console, "Obsolete: no longer in the run", state.obsolete, _print_obsolete)


def _print_section(
    console: Console,
    title: str,
    entries: Sequence[Entry],
    print_entry: Callable[[Console, Entry], None],
) -> None:
    if entries:
        _print(console, Text(f"{title} ({len(entries):,})", "bold"))
        for entry in entries:
            print_entry(console, entry)
        console.print()


def _print_error(console: Console, error: ErroredResult) -> None:
    _print(console, Text(f"{error.result}  ({visible(error.location)})"), 2)
    _print(console, Text(shorten(error.message, 300), "dim"), 6)


def _print_obsolete(console: Console, decision: Decision) -> None:
    _print(console, Text(f"{visible(decision.result)}  was {_format(decision)}"), 2)


def _print_entry(console: Console, status: ItemStatus) -> None:
    item = status.item
    state = (str(status.state), _STATE_STYLES[status.state])
    _print(console, Text.assemble(f"{item.key}  ", state, f"  {item.result}, {item.location}"), 2)
    _print_decisions(console, status, 6)


def _print_decisions(console: Console, status: ItemStatus, indent: int = 0) -> None:
    if status.decision is not None:
        text = Text(_format(status.decision), "dim")
        if status.void_reason:
            was = _format(status.decision)
            text = Text(f"void: {visible(status.void_reason)}; it was {was}", "yellow")
        _print(console, text, indent)
    if status.offer is not None:
        offer = _format(status.offer)
        _print(
            console,
            Text(f"offered by an earlier run with the same result: {offer}", "cyan"),
            indent,
        )


def _print_item(state: ReviewState, status: ItemStatus, console: Console, progress: str) -> None:
    item = status.item
    console.print()
    console.rule(Text(progress, "dim"), align="left", characters="─")
    _print(console, Text.assemble((item.label, "bold"), f"  {item.result}"))
    origin = f"{item.check}: {item.code} at {item.location}  ({visible(item.declared)})"
    _print(console, Text(origin, "dim"))
    _print_decisions(console, status)
    console.print()
    _print(console, Text(_cut(item.message, MAX_CHARACTERS)), 2)
    _print_difference(item, console, MAX_LINES, MAX_CHARACTERS)
    others = len(group_members(state.statuses, item)) - 1
    if others:
        line = f"{plural(others, 'other')} with the identical difference (group {item.group})"
        _print(console, Text(line, "bold"))


def _print_difference(
    item: ReviewItem, console: Console, max_lines: int, max_characters: int
) -> None:
    """Print expected and new value, or the check's own detail if there are no values."""
    lines = diff_lines(item)
    if not lines and item.detail:
        lines = [DiffLine("", text) for text in item.detail.split("\n")]
    console.print()
    for line in lines[:max_lines]:
        text = f"{line.sign or ' '} {_cut(line.text, max_characters)}".rstrip()
        _print(console, Text(text, _LINE_COLORS.get(line.sign, "")), 2)
    if len(lines) > max_lines:
        _print(console, Text(f"… and {len(lines) - max_lines:,} more lines", "dim"), 2)
    if lines:
        console.print()


def _print_conversation(result: Mapping[str, JSON], console: Console) -> None:
    for line in conversation_lines(result):
        _print(console, Text(f"turn {line.turn}, {visible(line.speaker)}", "bold"), 2)
        _print(console, Text(_cut(line.text, VIEW_CHARACTERS)), 4)
    console.print()


def _format(decision: Decision) -> str:
    comment = f": {decision.comment}" if decision.comment else ""
    return visible(f"{decision.decision} by {decision.by}, {decision.at}{comment}")


def _cut(text: str, limit: int) -> str:
    if len(text) > limit:
        text = f"{text[:limit]}… {len(text) - limit:,} more characters"
    return visible(text)


def _print(console: Console, text: Text, indent: int = 0) -> None:
    for line in text.wrap(console, console.width - indent, overflow="fold"):
        line.rstrip()
        console.print(Text(" " * indent).append_text(line))
