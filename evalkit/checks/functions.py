"""A check from a plain function: its first argument is the View, its further arguments are the check's options in YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import Parameter, signature
from typing import Any, ClassVar, get_type_hints

from pydantic import create_model

from evalkit.checks.base import Check, View
from evalkit.checks.python_target import findings_of
from evalkit.verdict import Finding


class FunctionCheck(Check):
    """Base of the checks made here."""

    function: ClassVar[Callable[..., Any]]

    def run(self, view: View) -> Iterator[Finding]:
        """Call the function with the view and the options; it answers as a ``python`` check's function does."""
        options = {word: getattr(self, word) for word in type(self).model_fields}
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
    if view is None or view.kind not in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
        raise TypeError(f"the check {name!r} must be a function of a view: def {function.__name__}(view)")
    if any(option.kind not in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY) for option in options):
        raise TypeError(f"the check {name!r} must name its options, without * and **")
    fields: dict[str, Any] = {
        option.name: (hints.get(option.name, Any), ... if option.default is Parameter.empty else option.default) for option in options
    }
    doc = function.__doc__ or f"The check {name}."
    made = create_model(function.__name__, __base__=FunctionCheck, __module__=function.__module__, __doc__=doc, **fields)
    made.__qualname__ = function.__qualname__
    made.name = name
    made.function = staticmethod(function)
    made.shorthand = options[0].name if options else None
    return made
