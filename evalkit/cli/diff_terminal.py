"""The differences of cassettes in the terminal: added and removed lines below their headings."""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from evalkit._lib.text import plural
from evalkit.cassette.files import read_cassette
from evalkit.cli.diff_sources import CassetteFile, Side, find_sides
from evalkit.conversation.cassette_text import CassetteText, cassette_text
from evalkit.errors import CassetteError

_SAME, _DIFFERENT, _DAMAGED = 0, 1, 3
_MOST_NAMES = 12
# Comparing words takes time that grows with the square of their number.
_MOST_COMPARED = 20_000
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_STYLES = {"-": "red", "+": "green"}


def show_differences(compared: Sequence[str], paths: Sequence[str] | None) -> int:
    """Print what differs, and return the exit code. Raises UsageError."""
    comparison = _CassetteComparison(*find_sides(compared, paths))
    return comparison.show(Console(highlight=False, soft_wrap=True))


class _CassetteComparison:
    """The cassettes of two sides, paired by name, then by content."""

    def __init__(self, old: Side, new: Side) -> None:
        self._problems: list[str] = []
        self._damaged: set[str] = set()
        before, after = dict(old), dict(new)
        self._same = 0
        for name in old.keys() & new.keys():
            if old[name].digest == new[name].digest:
                self._same += old[name].content() is not None
                del before[name], after[name]
        self._old = self._texts(before)
        self._new = self._texts(after)
        for name in self._damaged:
            for texts in (self._old, self._new):
                texts.pop(name, None)
        removed = {n: self._old[n].lines for n in self._old.keys() - self._new.keys()}
        self._renamed: dict[str, str] = {}
        for name in sorted(self._new.keys() - self._old.keys()):
            source = next((n for n in sorted(removed) if removed[n] == self._new[name].lines), None)
            if source is not None:
                self._renamed[name] = source
                del removed[source]
        self._removed = sorted(removed)

    def show(self, console: Console) -> int:
        """Print what differs; return the exit code."""
        different = 0
        for names in self._groups():
            different += len(names)
            _print_names(console, names)
            for line in _changes(self._old[names[0]].lines, self._new[names[0]].lines):
                console.print(line)
            tokens = [sum(side[name].tokens for name in names) for side in (self._old, self._new)]
            if tokens[0] != tokens[1]:
                console.print(Text(f"  usage: {tokens[0]:,} tokens, now {tokens[1]:,}", "dim"))
            console.print()
        added = sorted(self._new.keys() - self._old.keys() - self._renamed.keys())
        for title, listed in (("added", added), ("removed", self._removed)):
            for name in listed:
                console.print(Text.assemble((f"{title}  ", "bold"), name))
        for name, source in self._renamed.items():
            console.print(Text.assemble(("renamed  ", "bold"), f"{source} to {name}"))
        for problem in self._problems:
            console.print(Text(problem, "red"))
        counts = {
            "added": len(added),
            "removed": len(self._removed),
            "renamed": len(self._renamed),
        }
        parts = [plural(different, "conversation differs", "conversations differ")]
        parts += [f"{count} {title}" for title, count in counts.items() if count]
        console.print(f"{', '.join(parts)}; {self._same} the same")
        if self._problems:
            return _DAMAGED
        return _DIFFERENT if different or any(counts.values()) else _SAME

    def _groups(self) -> list[list[str]]:
        """Return the names of the cassettes that differ, those with the same difference together.

        An edited prompt is the same difference in many of them.
        """
        groups: dict[tuple[str, ...], list[str]] = {}
        for name in sorted(self._old.keys() & self._new.keys()):
            old, new = self._old[name].lines, self._new[name].lines
            if old == new:
                self._same += 1
            else:
                groups.setdefault(tuple(map(str, _changes(old, new))), []).append(name)
        return list(groups.values())

    def _texts(self, side: Side) -> dict[str, CassetteText]:
        texts = {}
        for name, file in side.items():
            try:
                if (text := _text(file, name)) is not None:
                    texts[name] = text
            except CassetteError as error:
                self._damaged.add(name)
                self._problems.append(str(error) if name in str(error) else f"{name}: {error}")
        return texts


def _text(file: CassetteFile, name: str) -> CassetteText | None:
    data = file.content()
    return None if data is None else cassette_text(read_cassette(data, Path(name)))


def _print_names(console: Console, names: Sequence[str]) -> None:
    for name in names[:_MOST_NAMES]:
        console.print(Text(name, "bold"))
    if len(names) > _MOST_NAMES:
        console.print(Text(f"and {len(names) - _MOST_NAMES} more", "bold"))


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[Text]:
    """Yield the lines that differ, each below the headings it belongs to."""
    shown: list[str] = []
    matcher = difflib.SequenceMatcher(None, old, new)
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        headings = _headings(new, new_start, (*old[old_start:old_end], "")[0])
        common = 0
        while common < min(len(shown), len(headings)) and shown[common] == headings[common]:
            common += 1
        yield from (Text(f"  {line}", "dim") for line in headings[common:])
        shown = headings
        yield from _changed_lines(old[old_start:old_end], new[new_start:new_end])


def _headings(lines: Sequence[str], at: int, instead: str) -> list[str]:
    """Return the less indented lines above a position, the outermost first."""
    line = lines[at] if at < len(lines) else instead
    depth = len(line) - len(line.lstrip(" "))
    headings: list[str] = []
    for above in reversed(lines[:at]):
        indent = len(above) - len(above.lstrip(" "))
        if above and indent < depth:
            headings.insert(0, above)
            depth = indent
    return headings


def _changed_lines(old: Sequence[str], new: Sequence[str]) -> Iterator[Text]:
    if len(old) != len(new) or sum(map(len, (*old, *new))) > _MOST_COMPARED:
        yield from (Text(f"- {line}", _STYLES["-"]) for line in old)
        yield from (Text(f"+ {line}", _STYLES["+"]) for line in new)
        return
    pairs = [_changed_words(before, after) for before, after in zip(old, new, strict=True)]
    yield from (pair[0] for pair in pairs)
    yield from (pair[1] for pair in pairs)


def _changed_words(old: str, new: str) -> tuple[Text, Text]:
    """Return two lines in which the words that differ stand out."""
    lines = Text("- ", _STYLES["-"]), Text("+ ", _STYLES["+"])
    words = _WORDS.findall(old), _WORDS.findall(new)
    matcher = difflib.SequenceMatcher(None, *words, autojunk=False)
    for tag, *positions in matcher.get_opcodes():
        style = "" if tag == "equal" else "bold underline"
        for line, some, at in zip(lines, words, (0, 2), strict=True):
            line.append("".join(some[positions[at] : positions[at + 1]]), style)
    return lines
