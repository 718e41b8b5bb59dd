"""Tools the suite declares: what the model is told about them, and what they answer.

A tool's answer is a value, the first of several whose ``when`` fits the arguments, or what a Python function returns. What the model
passes is never trusted: arguments that no answer fits, or that a template cannot work with, make an answer with ``is_error`` that says so
to the model, as a real tool would; they break nothing. Importing and calling the function is the caller's (``call``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from evalkit._lib.json import JSON, equal
from evalkit._lib.text import did_you_mean, quoted, show
from evalkit.suite.catalog import Path
from evalkit.suite.problems import Wrong
from evalkit.suite.templates import TemplateFault, holds_template, render

if TYPE_CHECKING:
    from evalkit.suite.models import ToolEntry

_ANSWERS = ("result", "results", "python")
_DECLARED = ("description", "short_description", "parameters", "defer_loading")


class ToolOutcome(NamedTuple):
    """What a tool answered: any JSON value, and whether it failed."""

    result: JSON
    is_error: bool = False


class Answer(NamedTuple):
    """One prepared answer, for arguments that hold everything ``when`` holds; None fits all."""

    result: JSON
    when: dict[str, JSON] | None = None
    is_error: bool = False


class Tool(NamedTuple):
    """One declared function. ``declaration`` is its wire form; ``answers`` are tried in order, ``python`` is asked where none fits.

    ``templated`` and ``declares_templates``: a template is anywhere in its entry, in what the model is told.
    """

    name: str
    declaration: dict[str, JSON]
    answers: Sequence[Answer]
    python: str
    entry: ToolEntry
    templated: bool
    declares_templates: bool

    @property
    def parameters(self) -> frozenset[str] | None:
        """The names of the arguments it declares, or None where it may have others."""
        schema = self.declaration.get("parameters", {})
        properties = schema.get("properties")
        return (
            frozenset(properties)
            if isinstance(properties, dict) and not schema.get("additionalProperties")
            else None
        )

    def answer(
        self,
        arguments: dict[str, JSON],
        variables: Mapping[str, JSON],
        call: Callable[[str, dict[str, JSON]], JSON],
    ) -> ToolOutcome:
        """Return what the tool says to these arguments; ``call(target, arguments)`` runs a Python function.

        Raises only what ``call`` raises.
        """
        if self.python and not self.answers:
            return ToolOutcome(call(self.python, arguments))
        names = {**variables, "arguments": arguments}
        try:
            for one in self.answers:
                if one.when is None or fits(render(one.when, names), arguments):
                    return ToolOutcome(render(one.result, names), one.is_error)
        except TemplateFault as fault:
            return ToolOutcome({"error": f"{self.name}: {fault.message}"}, is_error=True)
        if self.python:
            return ToolOutcome(call(self.python, arguments))
        return ToolOutcome(
            {"error": f"{self.name} has no answer for {show(arguments)}"}, is_error=True
        )

    def knows(self, arguments: JSON, variables: Mapping[str, JSON]) -> bool:
        """Say whether some answer of the suite fits these arguments, so that none had to be made up."""
        if self.python or any(one.when is None for one in self.answers):
            return True
        names = {**variables, "arguments": arguments}
        try:
            return any(fits(render(one.when, names), arguments) for one in self.answers)
        except TemplateFault:
            return True  # told by the answer itself


def read_tool(name: str, entry: ToolEntry) -> Tool:
    """Make a Tool of its entry in the suite."""
    declaration = {
        "type": "function",
        "name": name,
        **{key: entry[key] for key in _DECLARED if key in entry},  # type: ignore[literal-required]
    }
    answers = [
        Answer(one["result"], one.get("when"), one.get("is_error", False))
        for one in entry.get("results", ())
    ]
    if "result" in entry:
        answers.append(Answer(entry["result"]))
    templated, in_declaration = holds_template(entry), holds_template(declaration)
    return Tool(
        name, declaration, tuple(answers), entry.get("python", ""), entry, templated, in_declaration
    )


def refusals(tool: Tool) -> Iterator[Wrong]:
    """Yield what is wrong with a tool's entry as a whole."""
    base: Path = ("tools", tool.name)
    given = [key for key in _ANSWERS if key in tool.entry]
    if len(given) != 1 and set(given) != {"results", "python"}:
        what = (
            f"{' and '.join(map(repr, given))} exclude each other"
            if given
            else "has no answer; give it 'result', 'results' or 'python'"
        )
        yield Wrong((*base, given[1]) if given else base, what, "key")
    for number, one in enumerate(tool.answers[:-1] if "results" in tool.entry else ()):
        if not one.when:
            yield Wrong(
                (*base, "results", number + 1),
                "never given: the answer above it has no 'when', and fits every call",
            )
            break
    for number, entry in enumerate(tool.entry.get("results", ())):
        for key in entry.get("when", ()):
            if tool.parameters is not None and key not in tool.parameters:
                yield Wrong(
                    (*base, "results", number, "when", key),
                    f"the tool has no parameter {quoted(key)}{did_you_mean(key[:60], tool.parameters)}",
                    "key",
                )


def fits(wanted: JSON, given: JSON) -> bool:
    """Say whether ``given`` is ``wanted``; an object may hold more than is wanted, at any depth outside lists."""
    if isinstance(wanted, Mapping):
        return isinstance(given, Mapping) and all(
            key in given and fits(value, given[key]) for key, value in wanted.items()
        )
    return equal(wanted, given)
