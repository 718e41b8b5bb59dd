"""Checks and reports by name: the built-in ones, those of installed packages, those of a ``conftest.py``. All come by the same road.

A package registers a check with an entry point of the group ``evalkit.checks`` that names its class, a report likewise under
``evalkit.reports``. In a ``conftest.py`` the decorator ``@evalkit.check`` does it, on a class or on a plain function. Entry points are
imported when their name is first used, so a session pays for the checks its suites name. ``Catalog`` shows the checks to the suite
language.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from evalkit._lib.json import JSON, dumps
from evalkit._lib.registry import Registry

if TYPE_CHECKING:
    from evalkit.checks.core.base import Check
    from evalkit.suite.catalog import Path

Thing = TypeVar("Thing", bound=Callable[..., Any])

CHECKS: Registry[type[Check]] = Registry("check", "evalkit.checks")
REPORTS: Registry[Callable[..., Any]] = Registry("report", "evalkit.reports")

_FOR_CI = ("badge", "ctrf")
_MOST_HELD = 1000
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def reports_of(environment: Mapping[str, str]) -> list[Callable[..., Any]]:
    """Return the reports that belong to a new run: all of them where ``CI`` is set, elsewhere without those that only CI's tools read."""
    return [REPORTS.get(name) for name in REPORTS if name not in _FOR_CI or environment.get("CI")]


@overload
def check(thing: Thing) -> Thing: ...


@overload
def check(thing: str) -> Callable[[Thing], Thing]: ...


def check(thing: Any) -> Any:
    """Register a check: ``@evalkit.check`` on a Check class or on a ``function(view, …options)``, or ``@evalkit.check("name")``.

    Without a name, a class goes by its ``name`` or by its class name in lower case with ``_``, a function by its own. The class or
    function is returned as it was. Raises TypeError for anything else, ValueError where the name is taken.
    """
    if isinstance(thing, str):
        return lambda decorated: _register(decorated, thing)
    return _register(thing, None)


def _register(thing: Any, name: str | None) -> Any:
    from evalkit.checks.core.base import Check
    from evalkit.checks.core.functions import check_from

    if isinstance(thing, type):
        if not issubclass(thing, Check):
            raise TypeError(f"a check class must be an evalkit.Check, {thing.__name__} is not")
        word = (
            name
            or getattr(thing, "name", None)
            or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", thing.__name__).lower()
        )
        thing.name = word
        made: type[Check] = thing
    elif callable(thing):
        word = name or thing.__name__
        made = check_from(thing, word)
    else:
        raise TypeError(f"a check is a class or a function, not {type(thing).__name__}")
    if not _NAME.fullmatch(word):
        raise ValueError(
            f"{word!r} cannot be a check's name: lower-case letters, digits and '_', a letter first"
        )
    CHECKS.add(word, made)
    return thing


class Catalog:
    """The registered checks, as the suite language asks for them (``suite.CheckCatalog``).

    Equal arguments give the very same check: checks are immutable, and suites say ``status: completed`` a thousand times.
    """

    def __init__(self, registry: Registry[type[Check]] = CHECKS) -> None:
        self._registry = registry
        self._made: dict[tuple[str, bool, str], Check] = {}

    def names(self) -> list[str]:
        """Return every check's name, in order."""
        return list(self._registry)

    def build(self, name: str, argument: JSON, *, bare: bool) -> Check:
        """Return the check of ``name: argument``, or of ``name`` alone. Raises suite.BadArguments."""
        from evalkit.checks.core.arguments import BadOptions, build_check

        try:
            key = (name, bare, dumps(argument))
        except (TypeError, ValueError, RecursionError) as error:
            _refuse([((), f"not a JSON value: {error}")])
        held = self._made.get(key)
        if held is None:
            if len(self._made) >= _MOST_HELD:
                # Arguments made from earlier answers never come again: forgetting costs little, keeping all of them does not end.
                self._made.clear()
            try:
                held = self._made[key] = build_check(self._kind(name), argument, bare=bare)
            except BadOptions as error:
                _refuse(error.problems)
        return held

    def schema(self, name: str) -> dict[str, JSON]:
        """Return the JSON Schema (2020-12) of what may stand after ``name:``."""
        from evalkit.checks.core.arguments import argument_schema

        return argument_schema(self._kind(name))

    def files(self, name: str, argument: JSON) -> list[tuple[Path, str]]:
        """Return the file names an argument speaks of, each with its path inside the argument."""
        return self._kind(name).named_files(argument)

    def _kind(self, name: str) -> type[Check]:
        try:
            return self._registry.get(name)
        except KeyError as error:
            _refuse([((), error.args[0])])


def _refuse(problems: list[tuple[Path, str]]) -> NoReturn:
    # Imported here: a conftest that registers a check must not pay for the suite language.
    from evalkit.suite import BadArguments

    raise BadArguments(problems) from None
