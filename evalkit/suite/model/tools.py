"""Tools that a suite declares: how the model sees them, and what they return.

A tool returns a value, the first of several results whose ``when`` fits the arguments, or what a
Python function returns. The model's arguments are never trusted: arguments that no result fits, or
that a template cannot use, give an error result that tells the model so, as a real tool would. The
caller imports and calls the Python function (``call``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evalkit._lib.json import JSON, equal
from evalkit._lib.problems import PathProblem
from evalkit._lib.text import did_you_mean, quoted, show
from evalkit._lib.yaml import ValuePath
from evalkit.protocol.step_reader import may_be_predefined
from evalkit.protocol.wire_facts import COMPUTER_FUNCTIONS
from evalkit.suite.model.entries import ToolEntry
from evalkit.suite.model.templates import TemplateError, contains_template, render

_RESULT_KEYS = ("result", "results", "python")
_DECLARATION_KEYS = ("description", "short_description", "parameters", "defer_loading")


class ArgumentsInvalid(ValueError):
    """A tool's Python function cannot be called with the model's arguments."""


class ToolOutcome(NamedTuple):
    """What a tool returned: any JSON value, and whether the tool failed."""

    result: JSON
    is_error: bool = False


class DeclaredResult(NamedTuple):
    """A result for arguments that contain ``when``; None fits all arguments."""

    result: JSON
    when: dict[str, JSON] | None = None
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One declared function.

    ``declaration`` is its wire form. ``results`` are tried in order, then ``python`` is called.
    """

    name: str
    declaration: dict[str, JSON]
    results: Sequence[DeclaredResult]
    python: str
    entry: ToolEntry
    has_templates: bool
    declaration_has_templates: bool

    @property
    def marked_predefined(self) -> bool:
        """Whether the suite says that the service declares the function itself."""
        return self.entry.get("predefined", False)

    def is_predefined(self, tools: list[JSON]) -> bool:
        """Return whether the service declares the function itself beside the tools of a scenario.

        It is marked so, or one of ``computer_use``.
        """
        return self.marked_predefined or (
            self.name in COMPUTER_FUNCTIONS and may_be_predefined(self.name, tools)
        )

    @property
    def parameters(self) -> frozenset[str] | None:
        """The names of the declared arguments, None if the tool accepts others too."""
        schema = self.declaration.get("parameters", {})
        properties = schema.get("properties")
        if not isinstance(properties, dict) or schema.get("additionalProperties"):
            return None
        return frozenset(properties)

    def run(
        self,
        arguments: dict[str, JSON],
        variables: Mapping[str, JSON],
        call: Callable[[str, dict[str, JSON]], JSON],
    ) -> ToolOutcome:
        """Return the outcome of a call with these arguments.

        ``call(target, arguments)`` runs the tool's Python function; it may raise ArgumentsInvalid,
        which the model receives as an error. Raises whatever else ``call`` raises.
        """
        try:
            match = self._first_match(arguments, variables)
            if match is not None:
                names = {**variables, "arguments": arguments}
                return ToolOutcome(render(match.result, names), match.is_error)
            if self.python:
                return ToolOutcome(call(self.python, arguments))
        except (TemplateError, ArgumentsInvalid) as error:
            return ToolOutcome({"error": f"{self.name}: {error}"}, is_error=True)
        message = f"{self.name} has no result for {show(arguments)}"
        return ToolOutcome({"error": message}, is_error=True)

    def schema(self, variables: Mapping[str, JSON]) -> JSON:
        """Return the declared parameters as they are sent, None without any."""
        schema = self.declaration.get("parameters")
        return render(schema, variables) if self.declaration_has_templates else schema

    def calls_python(self, arguments: JSON, variables: Mapping[str, JSON]) -> bool:
        """Return whether a call with these arguments runs the Python function."""
        try:
            return bool(self.python) and self._first_match(arguments, variables) is None
        except TemplateError:
            return False

    def has_result_for(self, arguments: JSON, variables: Mapping[str, JSON]) -> bool:
        """Return whether the suite declares a result for these arguments."""
        try:
            return bool(self.python) or self._first_match(arguments, variables) is not None
        except TemplateError:
            return True  # ``run`` reports it in the tool's result

    def _first_match(self, arguments: JSON, variables: Mapping[str, JSON]) -> DeclaredResult | None:
        """Return the first result that fits the arguments. Raises TemplateError."""
        names = {**variables, "arguments": arguments}
        for result in self.results:
            if result.when is None or fits(render(result.when, names), arguments):
                return result
        return None


def read_tool(name: str, entry: ToolEntry) -> Tool:
    """Build a Tool from its entry in the suite."""
    keys: Mapping[str, JSON] = {**entry}
    declaration = {
        "type": "function",
        "name": name,
        **{key: keys[key] for key in _DECLARATION_KEYS if key in keys},
    }
    results = [
        DeclaredResult(item["result"], item.get("when"), item.get("is_error", False))
        for item in entry.get("results", ())
    ]
    if "result" in entry:
        results.append(DeclaredResult(entry["result"]))
    return Tool(
        name=name,
        declaration=declaration,
        results=tuple(results),
        python=entry.get("python", ""),
        entry=entry,
        has_templates=contains_template(keys),
        declaration_has_templates=contains_template(declaration),
    )


def entry_problems(tool: Tool, base: ValuePath) -> Iterator[PathProblem]:
    """Yield what is wrong with a tool's entry as a whole; ``base`` is its path."""
    keys = [key for key in _RESULT_KEYS if key in tool.entry]
    if not keys:
        message = "has no result; give it 'result', 'results' or 'python'"
        yield PathProblem(base, message, "key")
    elif len(keys) > 1 and keys != ["results", "python"]:
        message = f"{' and '.join(map(repr, keys))} exclude each other"
        yield PathProblem((*base, keys[1]), message, "key")
    entries = tool.entry.get("results", [])
    for number, entry in enumerate(entries[:-1], start=1):
        if not entry.get("when"):
            yield PathProblem(
                (*base, "results", number),
                "never used: the result above it has no 'when', and fits every call",
            )
            break
    for number, entry in enumerate(entries):
        for key in entry.get("when", ()):
            if tool.parameters is not None and key not in tool.parameters:
                near = did_you_mean(key[:60], tool.parameters)
                yield PathProblem(
                    (*base, "results", number, "when", key),
                    f"the tool has no parameter {quoted(key)}{near}",
                    "key",
                )


def fits(expected: JSON, actual: JSON) -> bool:
    """Return whether a value is as expected.

    Objects may have more keys than expected, except inside lists.
    """
    if isinstance(expected, Mapping):
        return isinstance(actual, Mapping) and all(
            key in actual and fits(value, actual[key]) for key, value in expected.items()
        )
    return equal(expected, actual)
