"""Checks that are functions of the project: ``python``, and those made by ``@evalkit.check``."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import Parameter, iscoroutine, signature
from typing import Any, ClassVar, get_type_hints

from pydantic import ConfigDict, Field, create_model

from evalkit._lib.text import shorten
from evalkit.checks.core.arguments import Target
from evalkit.checks.core.base import Check, View
from evalkit.errors import Misconfigured
from evalkit.verdict import Finding, Severity, Where


class FunctionCheck(Check):
    """Base of the check classes that ``check_from`` creates."""

    model_config = ConfigDict(validate_by_name=False)
    function: ClassVar[Callable[..., Any]]

    def run(self, view: View) -> Iterator[Finding]:
        """Call the function with the view and the options."""
        options = {name: getattr(self, field) for name, field in self.yaml_names().items()}
        yield from findings_of(lambda: type(self).function(view, **options), self.name)


def check_from(function: Callable[..., Any], name: str) -> type[Check]:
    """Return a check class that calls ``function(view, **options)``.

    The arguments after the first are the options, typed by their annotations, required where they
    have no default. ``name: argument`` fills the first option. Raises TypeError for a function
    without a view, or with options that cannot be named in YAML.
    """
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError):
        # An annotation that exists for type checkers only: the option takes any value.
        hints = {}
    parameters = list(signature(function).parameters.values())
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    if not parameters or parameters[0].kind not in positional:
        raise TypeError(
            f"the check {name!r} must be a function of a view: def {function.__name__}(view)"
        )
    fields: dict[str, Any] = {}
    for option in parameters[1:]:
        if option.kind not in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY):
            raise TypeError(f"the check {name!r} must name its options, without * and **")
        default = ... if option.default is Parameter.empty else option.default
        # A field is not named like its option, which may be called "name" or "run".
        fields[f"option_{option.name}"] = (
            hints.get(option.name, Any),
            Field(default, alias=option.name),
        )
    check: type[FunctionCheck] = create_model(
        function.__name__,
        __base__=FunctionCheck,
        __module__=function.__module__,
        __doc__=function.__doc__ or f"The check {name}.",
        **fields,
    )
    check.__qualname__ = function.__qualname__
    check.name = name
    check.function = staticmethod(function)
    check.shorthand = parameters[1].name if len(parameters) > 1 else None
    return check


def findings_of(call: Callable[[], Any], name: str) -> Iterator[Finding]:
    """Call a user's function and yield what it returns as findings.

    Raises Misconfigured for a result that is not a finding.
    """
    try:
        result = call()
        if iscoroutine(result):
            result.close()
            raise Misconfigured(f"{name} is asynchronous; a check must be a plain function")
        if result is None or result is True:
            return
        if result is False:
            yield Finding("assertion", f"{name} returned False")
            return
        single = isinstance(result, Finding | str | Mapping) or not isinstance(result, Iterable)
        for item in [result] if single else result:
            yield _finding(item, name)
    except AssertionError as error:
        first, _, rest = str(error).partition("\n")
        yield Finding(
            "assertion", shorten(first, 300) or f"an assertion in {name} failed", detail=rest
        )


def _finding(item: Any, name: str) -> Finding:
    if isinstance(item, Finding):
        return item
    if isinstance(item, str):
        first, _, rest = item.partition("\n")
        return Finding("python", first, detail=rest)
    if isinstance(item, Mapping) and isinstance(item.get("message"), str):
        where = item.get("where")
        return Finding(
            str(item.get("code", "python")),
            item["message"],
            Where(**where) if isinstance(where, Mapping) else Where(),
            severity=Severity.WARN if item.get("severity") == "warn" else Severity.ERROR,
            detail=str(item.get("detail", "")),
            **{key: item[key] for key in ("expected", "got") if key in item},
        )
    raise Misconfigured(
        f"{name} returned {shorten(repr(item))}, which is not a finding"
        " (a Finding, a string, or a mapping with a message)"
    )


class PythonTarget(Check):
    """A Python function reports nothing. It is called as ``function(transcript, turn)``.

    Over the conversation ``turn`` is None. The function returns findings: Finding objects,
    strings, or mappings with a ``message`` and perhaps a ``code``, alone or in a list. ``False``
    and a failed ``assert`` are findings too; any other exception makes the check *errored*. The
    empty case: an empty list, None or True means no finding.
    """

    name: ClassVar[str] = "python"
    shorthand: ClassVar[str | None] = "target"

    target: Target = Field(description="The function: package.module:function.")

    def run(self, view: View) -> Iterator[Finding]:
        """Yield what the function reports. Raises TargetError, and what the function raises."""
        function = view.resolve(self.target)
        if not callable(function):
            raise Misconfigured(f"{self.target} is not a function but {type(function).__name__}")
        try:
            signature(function).bind(view.transcript, view.turn)
        except TypeError as error:
            name = self.target.rpartition(":")[2]
            raise Misconfigured(
                f"{self.target} cannot be called with a transcript and a turn ({error}); write "
                f"def {name}(transcript, turn)"
            ) from error
        except ValueError:
            pass  # a function of C has no signature
        yield from findings_of(lambda: function(view.transcript, view.turn), self.target)
