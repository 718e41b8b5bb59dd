"""``expect`` entries: a check's name, its argument, ``not`` and ``severity``, told apart and handed to the check catalog.

Three spellings make one Expectation each: ``- name``, ``- name: argument``, ``- name: {option: value}``, where ``severity: warn`` may
stand beside the check and ``not:`` may stand around it. A check is built when the suite is loaded; one whose argument holds a template is
built when its variables are known, which for case variables is still at load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from evalkit._lib.json import JSON, MISSING, json_type
from evalkit._lib.text import did_you_mean, quoted, show
from evalkit.suite.catalog import BadArguments, CheckCatalog, Path
from evalkit.suite.source import On
from evalkit.suite.templates import holds_template, render

Severity = Literal["error", "warn"]
_BESIDE = ("not", "severity")


class Fault(NamedTuple):
    """What is wrong with an entry, and where inside it."""

    path: Path
    message: str
    on: On = "value"
    hints: tuple[str, ...] = ()


class BadEntry(ValueError):
    """An entry that is no expectation."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


class Entry(NamedTuple):
    """One ``expect`` entry, read. ``inside`` is the path of the argument within the entry; ``bare`` means there is none."""

    name: str
    argument: JSON
    bare: bool
    negate: bool
    severity: Severity
    inside: Path
    templated: bool


def read_entry(entry: JSON, names: Mapping[str, None]) -> Entry:
    """Tell an entry's parts apart; ``names`` are the checks there are. Raises BadEntry with everything that is wrong."""
    if isinstance(entry, str):
        _known(entry, (), "value", names)
        return Entry(
            entry, None, bare=True, negate=False, severity="error", inside=(), templated=False
        )
    if type(entry) is dict and len(entry) == 1:  # by far the most entries
        ((name, argument),) = entry.items()
        if name in names:
            return Entry(name, argument, False, False, "error", (name,), holds_template(argument))
    if not isinstance(entry, dict):
        raise BadEntry(Fault((), f"a check is a name or 'name: argument', not {_a(entry)}"))
    severity = entry.get("severity", "error")
    if severity not in ("error", "warn"):
        raise BadEntry(Fault(("severity",), f"severity is 'error' or 'warn', not {show(severity)}"))
    held: JSON = entry
    path: Path = ()
    negate = False
    if "not" in entry:
        held, path, negate = entry["not"], ("not",), True
        beside = next((key for key in entry if key not in _BESIDE), None)
        if beside is not None:
            raise BadEntry(
                Fault(
                    (beside,),
                    f"{beside!r} stands beside 'not'; write it under 'not', or start it with its own '- '",
                    "key",
                )
            )
        if isinstance(held, str):
            _known(held, path, "value", names)
            return Entry(
                held, None, bare=True, negate=True, severity=severity, inside=path, templated=False
            )
        if not isinstance(held, dict):
            raise BadEntry(Fault(path, f"'not' takes a check, not {_a(held)}"))
        wrong = next((key for key in held if key in _BESIDE), None)
        if wrong is not None:
            what = (
                "'severity' stands beside 'not', not under it"
                if wrong == "severity"
                else "'not' under 'not'; leave both out"
            )
            raise BadEntry(Fault((*path, wrong), what, "key"))
    checks = [key for key in held if key not in _BESIDE]
    if not checks:
        raise BadEntry(Fault(path, "no check in this entry"))
    name = checks[0]
    _known(name, (*path, name), "key", names)
    if len(checks) > 1:
        second = checks[1]
        if second in names:
            raise BadEntry(
                Fault(
                    (*path, second),
                    f"two checks in one entry, {name!r} and {second!r}; start each with its own '- '",
                    "key",
                )
            )
        raise BadEntry(
            Fault(
                (*path, second),
                f"unknown key {second!r} beside the check {name!r}; its options stand under it",
                "key",
            )
        )
    argument = held[name]
    return Entry(name, argument, False, negate, severity, (*path, name), holds_template(argument))


def build(entry: Entry, argument: JSON, catalog: CheckCatalog) -> object:
    """Build the check of an entry with its argument as rendered. Raises BadEntry."""
    if argument is None and not entry.bare:
        hint = (
            f"write '- {entry.name}' without the colon, if it needs no argument"
            if _works_bare(entry.name, catalog)
            else ""
        )
        raise BadEntry(
            Fault(
                entry.inside,
                f"empty value: {entry.name!r} has a colon and nothing after it",
                "key",
                (hint,) if hint else (),
            )
        )
    try:
        return catalog.build(entry.name, argument, bare=entry.bare)
    except BadArguments as error:
        raise BadEntry(*_faults(error, entry, argument)) from error


def render_argument(entry: Entry, variables: Mapping[str, JSON]) -> JSON:
    """Return the argument with its templates rendered. Raises TemplateFault."""
    return render(entry.argument, variables)


def _faults(error: BadArguments, entry: Entry, argument: JSON) -> Iterator[Fault]:
    for path, message in error.problems:
        on: On = "key" if message.startswith("unknown") and path else "value"
        value = _at(argument, path)
        if on == "key" and path in (("severity",), ("not",)):
            yield Fault(
                (*entry.inside, *path),
                f"{path[-1]!r} stands beside the check's name, not among its options",
                on,
            )
        else:
            named = path[:-1] if on == "key" or (path and value is MISSING) else path
            where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in named)
            what, _, valid = ("empty value" if path and value is None else message).partition(
                "; valid: "
            )
            yield Fault(
                (*entry.inside, *path),
                f"{entry.name}{where}: {what}",
                on,
                (f"valid: {valid}",) if valid else (),
            )


def _at(argument: JSON, path: Path) -> JSON:
    for step in path:
        try:
            argument = argument[step]
        except (LookupError, TypeError):
            return MISSING
    return argument


def _known(name: str, path: Path, on: On, names: Mapping[str, None]) -> None:
    if name not in names:
        hints = (f"checks: {', '.join(names)}",)
        raise BadEntry(
            Fault(path, f"unknown check {quoted(name)}{did_you_mean(name[:60], names)}", on, hints)
        )


def _works_bare(name: str, catalog: CheckCatalog) -> bool:
    try:
        catalog.build(name, None, bare=True)
    except BadArguments:
        return False
    return True


def _a(value: JSON) -> str:
    return (
        "an empty value"
        if value is None
        else f"{'an' if json_type(value)[0] in 'aeiou' else 'a'} {json_type(value)}"
    )
