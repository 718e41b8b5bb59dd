"""Parses ``expect`` entries: check, argument, ``not`` and ``severity``.

An entry is ``- name``, ``- name: argument`` or ``- name: {option: value}``. ``severity`` may
be beside the check, ``not`` around it. A check is built when its argument is known: at load, or
during the conversation if its templates read earlier turns.

The suite package is below the checks package, so a CheckCatalog builds each check. The plugin and
the command line pass the real catalog, tests pass a small one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from evalkit._lib.json import JSON, MISSING, pointer, resolve_pointer
from evalkit._lib.problems import KeyOrValue, PathProblem
from evalkit._lib.text import did_you_mean, quoted, show
from evalkit._lib.yaml import ValuePath
from evalkit.suite.model.templates import contains_template
from evalkit.suite.pydantic_messages import describe_value

_NOT_CHECKS = ("not", "severity")


class BadArguments(ValueError):
    """A check refuses its argument.

    ``problems`` are pairs of a path inside the argument and a message. A message that starts with
    ``unknown`` is about the key that ends its path, any other about the value there. The text after
    ``; valid:`` in a message is shown on a line of its own.
    """

    def __init__(self, problems: Sequence[tuple[ValuePath, str]]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(message for _, message in self.problems))


class CheckCatalog(Protocol):
    """The checks that a suite may name."""

    def names(self) -> Sequence[str]:
        """Return the name of every check."""

    def build(self, name: str, argument: JSON, *, bare: bool) -> object:
        """Return the check of ``name: argument``, or of ``name`` alone with ``bare``.

        Raises BadArguments.
        """

    def schema(self, name: str) -> dict[str, JSON]:
        """Return the JSON Schema (2020-12) of a check's argument.

        Its ``$ref`` point into its own ``$defs``.
        """

    def text_options(self, name: str) -> Sequence[str]:
        """Return the options that may be ``{file: path}``, ``""`` for the argument itself."""

    def files(self, name: str, argument: JSON) -> list[tuple[ValuePath, str]]:
        """Return the file names in an argument, each with its path inside the argument."""


class NamedCheck(NamedTuple):
    """A check with an argument: ``holder[name]`` is the argument, ``path`` leads to it."""

    name: str
    holder: dict[str, JSON]
    path: ValuePath


def named_check(entry: dict[str, JSON]) -> NamedCheck | None:
    """Return the check of an entry as it is written; None for an entry without an argument."""
    holder, path = entry, ()  # type: tuple[JSON, ValuePath]
    if "not" in entry:
        holder, path = entry["not"], ("not",)
    if not isinstance(holder, dict):
        return None
    name = next((key for key in holder if key not in _NOT_CHECKS), None)
    return None if name is None else NamedCheck(name, holder, (*path, name))


class BadExpectation(ValueError):
    """An entry that is not an expectation.

    The paths of ``problems`` start at the entry.
    """

    def __init__(self, *problems: PathProblem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationEntry:
    """One parsed entry. ``bare`` means that it has no argument."""

    name: str
    argument: JSON
    bare: bool
    negate: bool
    severity: Literal["error", "warn"]
    argument_path: ValuePath
    has_templates: bool


def parse_expectation(entry: JSON, check_names: Mapping[str, None]) -> ExpectationEntry:
    """Parse one entry. Raises BadExpectation."""
    check, path = entry, ()  # type: tuple[JSON, ValuePath]
    severity: Literal["error", "warn"] = "error"
    if isinstance(entry, dict):
        severity = entry.get("severity", "error")
        if severity not in ("error", "warn"):
            message = f"severity must be 'error' or 'warn', not {show(severity)}"
            raise BadExpectation(PathProblem(("severity",), message))
        if "not" in entry:
            check, path = _negated_check(entry), ("not",)
    if isinstance(check, str):
        name, argument, bare = check, None, True
        _require_known(name, PathProblem(path, ""), check_names)
    elif isinstance(check, dict):
        name = _check_name(check, path, check_names)
        argument, bare, path = check[name], False, (*path, name)
    else:
        expected = "'not' takes a check" if path else "a check is a name or 'name: argument'"
        raise BadExpectation(PathProblem(path, f"{expected}, not {describe_value(check)}"))
    return ExpectationEntry(
        name=name,
        argument=argument,
        bare=bare,
        negate=isinstance(entry, dict) and "not" in entry,
        severity=severity,
        argument_path=path,
        has_templates=contains_template(argument),
    )


def _negated_check(entry: Mapping[str, JSON]) -> JSON:
    """Return the check under ``not``.

    Raises BadExpectation: a key is at the wrong level.
    """
    beside = next((key for key in entry if key not in _NOT_CHECKS), None)
    if beside is not None:
        message = f"{beside!r} is beside 'not'; write it under 'not', or start it with its own '- '"
        raise BadExpectation(PathProblem((beside,), message, "key"))
    check = entry["not"]
    for key in check if isinstance(check, dict) else ():
        if key in _NOT_CHECKS:
            message = (
                "'severity' belongs beside 'not', not under it"
                if key == "severity"
                else "'not' under 'not'; leave both out"
            )
            raise BadExpectation(PathProblem(("not", key), message, "key"))
    return check


def _check_name(check: Mapping[str, JSON], path: ValuePath, check_names: Mapping[str, None]) -> str:
    """Return the one key that names a check. Raises BadExpectation."""
    names = [key for key in check if key not in _NOT_CHECKS]
    if not names:
        raise BadExpectation(PathProblem(path, "no check in this entry"))
    name = names[0]
    _require_known(name, PathProblem((*path, name), "", "key"), check_names)
    if len(names) == 1:
        return name
    second = names[1]
    message = (
        f"two checks in one entry, {name!r} and {second!r}; start each with its own '- '"
        if second in check_names
        else f"unknown key {second!r} beside the check {name!r}; its options belong under it"
    )
    raise BadExpectation(PathProblem((*path, second), message, "key"))


def _require_known(name: str, where: PathProblem, check_names: Mapping[str, None]) -> None:
    if name not in check_names:
        message = f"unknown check {quoted(name)}{did_you_mean(name[:60], check_names)}"
        hints = (f"checks: {', '.join(check_names)}",)
        raise BadExpectation(where._replace(message=message, hints=hints))


def build_check(entry: ExpectationEntry, argument: JSON, catalog: CheckCatalog) -> object:
    """Build an entry's check from its rendered argument. Raises BadExpectation."""
    if argument is None and not entry.bare:
        message = f"empty value: {entry.name!r} has a colon and nothing after it"
        hints: tuple[str, ...] = ()
        if works_bare(entry.name, catalog):
            hints = (f"write '- {entry.name}' without the colon, if it needs no argument",)
        raise BadExpectation(PathProblem(entry.argument_path, message, "key", hints))
    try:
        return catalog.build(entry.name, argument, bare=entry.bare)
    except BadArguments as error:
        raise BadExpectation(*_argument_problems(error, entry, argument)) from error


def works_bare(name: str, catalog: CheckCatalog) -> bool:
    """Return whether a check can be built without an argument."""
    try:
        catalog.build(name, None, bare=True)
    except BadArguments:
        return False
    return True


def _argument_problems(
    error: BadArguments, entry: ExpectationEntry, argument: JSON
) -> Iterator[PathProblem]:
    for path, message in error.problems:
        on: KeyOrValue = "key" if message.startswith("unknown") and path else "value"
        full_path = (*entry.argument_path, *path)
        if on == "key" and path in (("severity",), ("not",)):
            text = f"{path[-1]!r} belongs beside the check's name, not among its options"
            yield PathProblem(full_path, text, on)
            continue
        value = resolve_pointer(argument, pointer(*path))
        named = path[:-1] if on == "key" or (path and value is MISSING) else path
        option = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in named)
        text = "empty value" if path and value is None else message
        text, _, valid = text.partition("; valid: ")
        hints = (f"valid: {valid}",) if valid else ()
        yield PathProblem(full_path, f"{entry.name}{option}: {text}", on, hints)
