"""Templates in a script's values: the language of suites (``suite.templates``), compiled once, checked against the names there are.

Lists and mappings are rendered part by part, what holds no template is itself. Names that nothing defines are found when the script is
loaded; what can only go wrong with a request's values goes wrong then. Both are TemplateProblem. ``listed`` is the one function more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean
from evalkit.suite.model.templates import Template, TemplateError, is_template

Render = Callable[[Mapping[str, JSON]], JSON]
_SEPARATORS = re.compile(r"\s*(?:,|;|&|\band\b|\bor\b)\s*", re.IGNORECASE)


class ScriptTemplateError(ValueError):
    """A template that cannot be read or rendered, in one line. ``path`` leads to it inside the value it stands in."""

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


def listed(text: object) -> list[str]:
    """Return the items of a list in prose: ``"London, Paris and Rome"`` has three."""
    return [item for item in _SEPARATORS.split(str(text).strip()) if item]


FUNCTIONS: dict[str, Callable[..., JSON]] = {"listed": listed}
"""What templates may call."""


def compile_value(value: JSON, names: Iterable[str], path: tuple[str | int, ...] = ()) -> Render:
    """Return what renders a JSON value whose strings may be templates over ``names``. Raises TemplateProblem with the path inside."""
    if is_template(value):
        return _compile_text(value, frozenset(names), path)
    if isinstance(value, Mapping):
        fields = {key: compile_value(item, names, (*path, key)) for key, item in value.items()}
        return lambda context: {key: render(context) for key, render in fields.items()}
    if isinstance(value, list):
        items = [compile_value(item, names, (*path, index)) for index, item in enumerate(value)]
        return lambda context: [render(context) for render in items]
    return lambda context: value


def _compile_text(text: str, names: frozenset[str], path: tuple[str | int, ...]) -> Render:
    try:
        template = Template(text)
    except TemplateError as error:
        raise ScriptTemplateError(f"not a template: {error.message}", path) from error
    unknown = template.names - names - FUNCTIONS.keys()
    if unknown:
        name = min(unknown)
        raise ScriptTemplateError(
            f"undefined variable {name!r}{did_you_mean(name, names)}; there are {', '.join(sorted(names))}",
            path,
        )

    def render(context: Mapping[str, JSON]) -> JSON:
        try:
            return template.render({**FUNCTIONS, **context})
        except TemplateError as error:
            raise ScriptTemplateError(f"{text!r}: {error.message}", path) from error

    return render
