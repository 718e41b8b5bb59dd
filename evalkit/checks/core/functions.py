"""A check from a plain function: its first argument is the View, its further arguments are the check's options in YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import Parameter, signature
from types import new_class
from typing import Any, ClassVar, get_type_hints

from evalkit.checks.core.base import Check, View
from evalkit.checks.core.declaring import option, spellings
from evalkit.checks.python_target import findings_of
from evalkit.verdict import Finding


class FunctionCheck(Check):
    """Base of the checks made here."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}
    function: ClassVar[Callable[..., Any]]

    def run(self, view: View) -> Iterator[Finding]:
        """Call the function with the view and the options; it answers as a ``python`` check's function does."""
        options = {
            word: getattr(self, attribute) for word, attribute in spellings(type(self)).items()
        }
        yield from findings_of(lambda: type(self).function(view, **options), self.name)


def check_from(function: Callable[..., Any], name: str) -> type[Check]:
    """Return a check class that calls ``function(view, **options)``.

    Options are the arguments after the first, typed by their annotations, required where they have no default; ``name: argument`` fills the
    first. Raises TypeError when the function takes no view, or options that cannot be named in YAML.
    """
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError):
        # An annotation that only exists while type checking: the option takes anything.
        hints = {}
    view, *options = signature(function).parameters.values() or (None,)
    if view is None or view.kind not in (
        Parameter.POSITIONAL_ONLY,
        Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise TypeError(
            f"the check {name!r} must be a function of a view: def {function.__name__}(view)"
        )
    if any(
        option.kind not in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
        for option in options
    ):
        raise TypeError(f"the check {name!r} must name its options, without * and **")
    # Fields are not called as the options are, which may be called name or run, as something of a check's class is.
    fields = {f"option_{one.name}": one for one in options}
    body: dict[str, Any] = {word: _option(one) for word, one in fields.items()}
    body |= {
        "name": name,
        "function": staticmethod(function),
        "shorthand": options[0].name if options else None,
        "__annotations__": {word: hints.get(one.name, Any) for word, one in fields.items()},
        "__doc__": function.__doc__ or f"The check {name}.",
        "__module__": function.__module__,
        "__qualname__": function.__qualname__,
    }
    made: type[Check] = new_class(
        function.__name__, (FunctionCheck,), exec_body=lambda held: held.update(body)
    )
    return made


def _option(one: Parameter) -> Any:
    return (
        option(alias=one.name)
        if one.default is Parameter.empty
        else option(alias=one.name, default=one.default)
    )
