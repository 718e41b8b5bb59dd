"""Checks and reports by name.

They are built in, or come from installed packages or a ``conftest.py``. A package registers a check
with an entry point of the group ``evalkit.checks`` that names its class, a report with one of the
group ``evalkit.reports``; the built-in ones are registered the same way. In a ``conftest.py`` the
decorator ``@evalkit.check`` registers a class or a plain function. An entry point is imported when
its name is first used, so a session pays only for the checks its suites name.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload

from evalkit._lib.json import JSON, dumps, loads
from evalkit._lib.registry import Registry
from evalkit._lib.yaml import ValuePath
from evalkit.checks.core.arguments import argument_schema, build_check
from evalkit.checks.core.base import Check
from evalkit.checks.functions import check_from
from evalkit.suite import BadArguments

Registered = TypeVar("Registered", bound=Callable[..., Any])

CHECKS: Registry[type[Check]] = Registry("check", "evalkit.checks")
REPORTS: Registry[Callable[..., Any]] = Registry("report", "evalkit.reports")

_CI_REPORTS = ("badge", "ctrf")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def reports_of(environment: Mapping[str, str]) -> list[Callable[..., Any]]:
    """Return the reports of a new run.

    Those that only CI tools read are written if ``CI`` is set.
    """
    names = [name for name in REPORTS if name not in _CI_REPORTS or environment.get("CI")]
    return [REPORTS.get(name) for name in names]


@overload
def check(definition: Registered) -> Registered: ...


@overload
def check(definition: str) -> Callable[[Registered], Registered]: ...


def check(definition: Any) -> Any:
    """Register a Check class or a ``function(view, …options)`` as a check.

    Used as ``@evalkit.check`` or ``@evalkit.check("name")``. Without a name, a class is registered
    under its ``name`` or its class name in snake case, a function under its own. Returns the class
    or function unchanged. Raises TypeError for anything else, ValueError if the name is taken.
    """
    if isinstance(definition, str):
        return lambda decorated: _register(decorated, definition)
    return _register(definition, None)


def _register(definition: Any, name: str | None) -> Any:
    if isinstance(definition, type):
        if not issubclass(definition, Check):
            message = f"a check class must be an evalkit.Check, {definition.__name__} is not"
            raise TypeError(message)
        snake_case = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", definition.__name__).lower()
        name = name or getattr(definition, "name", None) or snake_case
        definition.name = name
        check_class: type[Check] = definition
    elif callable(definition):
        name = name or definition.__name__
        check_class = check_from(definition, name)
    else:
        raise TypeError(f"a check is a class or a function, not {type(definition).__name__}")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be a check's name: lower-case letters, digits and '_', a letter first"
        )
    CHECKS.add(name, check_class)
    return definition


class Catalog:
    """The registered checks, for the suite language (``suite.CheckCatalog``)."""

    def __init__(self, registry: Registry[type[Check]] = CHECKS) -> None:
        self._registry = registry

    def names(self) -> list[str]:
        """Return every check's name, sorted."""
        return list(self._registry)

    def build(self, name: str, argument: JSON, *, bare: bool) -> Check:
        """Return the check of ``name: argument``, or of ``name`` alone.

        Raises suite.BadArguments.
        """
        try:
            value = loads(dumps(argument))
        except (TypeError, ValueError, RecursionError) as error:
            raise BadArguments([((), f"not a JSON value: {error}")]) from None
        return build_check(self._class(name), value, bare=bare)

    def schema(self, name: str) -> dict[str, JSON]:
        """Return the JSON Schema (2020-12) of the argument of a check."""
        return argument_schema(self._class(name))

    def text_options(self, name: str) -> Sequence[str]:
        """Return the options that may be ``{file: path}``, ``""`` for the argument itself."""
        return self._class(name).text_options

    def files(self, name: str, argument: JSON) -> list[tuple[ValuePath, str]]:
        """Return the file names in an argument, each with its path inside the argument."""
        return self._class(name).named_files(argument)

    def _class(self, name: str) -> type[Check]:
        try:
            return self._registry.get(name)
        except KeyError as error:
            raise BadArguments([((), error.args[0])]) from None
