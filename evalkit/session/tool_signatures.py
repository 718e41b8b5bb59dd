"""Compare the signatures of Python tools with the parameters that the suite declares.

Where they disagree, no model can call the tool rightly: that is a fault of the suite, found before
anything is sent. Parameters composed of other schemas (``$ref``, ``anyOf``, …), and those of
predefined functions, which the service declares, are not compared.
"""

import inspect
from collections.abc import Callable, Iterator
from inspect import Parameter
from typing import Any

from evalkit._lib.json import JSON
from evalkit.errors import Problem, SuiteErrors, TargetError
from evalkit.session.python_targets import PythonTargets
from evalkit.suite import Variant

_COMPOSED = frozenset({"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "dependentRequired"})
_VARIABLE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def check_signatures(variant: Variant, python: PythonTargets) -> None:
    """Raise SuiteErrors if a Python tool of a variant does not accept what it declares.

    A target that cannot be imported is reported where it is called.
    """
    source = variant.suite.resources.source
    problems = []
    for name, tool in variant.tools.items():
        if not tool.python or tool.is_predefined(variant.scenario.fields.get("tools", [])):
            continue
        try:
            function = python.resolve(tool.python)
        except TargetError:
            continue
        for message in signature_conflicts(function, tool.schema(variant.variables)):
            line, column = source.position(("tools", name, "python"))
            text = f"tool {name!r}: {tool.python} {message}"
            problems.append(Problem(source.name, line, column, text, source=source.line(line)))
    if problems:
        raise SuiteErrors(problems)


def signature_conflicts(function: Callable[..., Any], parameters: JSON) -> Iterator[str]:
    """Yield how a function and the declared parameters disagree, and what to do."""
    schema = parameters if isinstance(parameters, dict) else {}
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not (isinstance(properties, dict) and isinstance(required, list) and callable(function)):
        return
    if not _COMPOSED.isdisjoint(schema):
        return
    try:
        signature = inspect.signature(function).parameters
    except (TypeError, ValueError):
        # Some functions of extension modules have no signature.
        return
    for name, parameter in signature.items():
        if parameter.kind in _VARIABLE or parameter.default is not Parameter.empty:
            continue
        if parameter.kind is Parameter.POSITIONAL_ONLY:
            yield f"takes {name!r} by position only, but tools are called by name; remove the '/'"
        elif name not in properties:
            yield (
                f"requires the argument {name!r}, which 'parameters' does not declare; declare and"
                " require it, or give it a default in the function"
            )
        elif name not in required:
            yield (
                f"requires the argument {name!r}, which 'parameters' leaves optional; add it to"
                " 'required', or give it a default in the function"
            )
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in signature.values()):
        return
    for name in properties:
        if name not in signature:
            yield (
                f"has no argument {name!r}, which 'parameters' declares; add it to the function, or"
                " remove it from 'parameters'"
            )
