"""Templates in suite values: Jinja2, sandboxed, strict, deterministic.

* A text is a template when it holds ``{{`` or ``{%``; any other is left alone. Rendered text is never rendered again, so a model's words
  that look like a template stay words.
* A text that is exactly one ``{{ expression }}`` gives the expression's value (a number stays a number); any other gives text.
* A template is read when the suite is loaded: wrong syntax, unknown filters and names nobody defines are found there, not in the middle
  of a conversation. ``x | default(…)`` and ``x is defined`` speak of names that may be missing, and are left alone.
* The same variables give the same text on every machine: what draws lots (``random``, ``lipsum``) is taken out, values cannot be changed
  by a template, nothing can be included from a file.

Jinja2 is imported when the first template is seen. No positions and no files here: TemplateFault tells what and which word, the caller
where.
"""

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from evalkit._lib.json import JSON, MISSING
from evalkit._lib.text import did_you_mean
from evalkit.errors import EvalkitError

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

RUNTIME_NAMES = ("previous", "turns", "arguments")
"""Names that evalkit gives to templates; no variable may take them."""

_PLAIN = frozenset((str, int, float, bool, type(None)))
_GUARDS = {"default", "d"}
_ATTRIBUTES = frozenset(dir(dict))


class TemplateFault(ValueError):
    """A template that cannot be read or rendered. ``word`` is the name it is about, ``line`` counts from 1 inside the template."""

    def __init__(self, message: str, *, word: str = "", line: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.word = word
        self.line = line


def is_template(value: object) -> bool:
    """Say whether a value is a text that would be rendered."""
    return type(value) is str and ("{{" in value or "{%" in value)


def holds_template(value: JSON) -> bool:
    """Say whether a value is a template or holds one at any depth."""
    kind = type(value)
    if kind is str:
        return "{{" in value or "{%" in value
    if kind is not dict and kind is not list:
        return False
    for item in value.values() if kind is dict else value:
        kind = type(item)
        if kind is str:
            if "{" in item and ("{{" in item or "{%" in item):
                return True
        elif (kind is dict or kind is list) and holds_template(item):
            return True
    return False


def find_templates(
    value: JSON, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield every template in a value, with its path."""
    if is_template(value):
        yield path, value
    elif type(value) is dict:
        for key, item in value.items():
            yield from find_templates(item, (*path, key))
    elif type(value) is list:
        for index, item in enumerate(value):
            yield from find_templates(item, (*path, index))


def render(value: JSON, variables: Mapping[str, Any]) -> JSON:
    """Return a value with every template in it rendered; parts without one are the very objects given. Raises TemplateFault."""
    kind = type(value)
    if kind is str:
        return template(value).render(variables) if "{{" in value or "{%" in value else value
    if kind is dict:
        return {key: render(item, variables) for key, item in value.items()}
    if kind is list:
        return [render(item, variables) for item in value]
    return value


@lru_cache(maxsize=8192)
def template(source: str) -> Template:
    """Read a template once; compiling it waits for the first rendering. Raises TemplateFault."""
    return Template(source)


class Template:
    """One template. ``names`` must be defined to render it; ``fields`` are the constant names it reads as ``name.field``."""

    def __init__(self, source: str) -> None:
        from jinja2 import TemplateSyntaxError, meta, nodes

        self.source = source
        environment = _environment()
        try:
            tree = environment.parse(source)
            undeclared = meta.find_undeclared_variables(tree)
        except TemplateSyntaxError as error:
            raise TemplateFault(
                _reworded(error.message or "", environment), line=error.lineno
            ) from error
        except RecursionError as error:
            raise TemplateFault("nested too deeply") from error
        if any(map(tree.find, (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends))):
            raise TemplateFault("a suite's template cannot include or import another")
        guarded = _guarded(tree)
        self.names = frozenset(undeclared - environment.globals.keys() - guarded)
        self.reads = frozenset(undeclared - environment.globals.keys())
        self.conditional = bool(guarded) or any(map(tree.find, (nodes.If, nodes.CondExpr)))
        self.fields = frozenset(_fields(tree))
        self._path = _path(tree)
        self._tree = tree
        self._compiled: Any = None

    def render(self, variables: Mapping[str, Any]) -> JSON:
        """Render; a template that is one expression gives its value. Raises TemplateFault."""
        try:
            if self._path and (found := _follow(self._path, variables)) is not MISSING:
                return plain(found)
            if self._compiled is None:
                self._compiled = self._compile()
            return plain(self._compiled(variables))
        except (EvalkitError, TemplateFault):
            raise
        except Exception as error:  # an expression can raise anything: 1 / 0, "a" + 1, a bad int
            raise _fault(error) from error

    def _compile(self) -> Any:
        from jinja2 import nodes
        from jinja2.environment import TemplateExpression

        environment = _environment()
        body = self._tree.body
        if (
            len(body) == 1
            and isinstance(body[0], nodes.Output)
            and len(body[0].nodes) == 1
            and not isinstance(body[0].nodes[0], nodes.TemplateData)
        ):
            assign = nodes.Assign(nodes.Name("result", "store"), body[0].nodes[0], lineno=1)
            return TemplateExpression(
                environment.from_string(nodes.Template([assign], lineno=1)), undefined_to_none=False
            )
        return environment.from_string(self._tree).render


def _path(tree: nodes.Template) -> tuple[str, ...]:
    """Return the names of a template that is nothing but ``{{ name.field.field }}``, ``()`` for any other."""
    from jinja2 import nodes

    body = tree.body
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return ()
    node, names = body[0].nodes[0], []
    while isinstance(node, nodes.Getattr):
        names.append(node.attr)
        node = node.node
    # ``self`` is Jinja's own word, whatever a variable of that name holds.
    return (
        (node.name, *reversed(names))
        if isinstance(node, nodes.Name) and node.name != "self"
        else ()
    )


def _follow(path: Sequence[str], variables: Mapping[str, Any]) -> Any:
    """Return what a path leads to where every step is a plain object's own key, as most are; ``MISSING`` where the sandbox must decide."""
    value: Any = variables
    for name in path:
        # Jinja asks for an attribute before it asks for a key: {{ a.items }} is the method.
        if type(value) is not dict or name not in value or name in _ATTRIBUTES:
            return MISSING
        value = value[name]
    return value


def plain(value: Any) -> JSON:
    """Return what an expression gave as a JSON value: sequences and iterators become lists. Raises TemplateFault for anything else."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | Iterator | KeysView | ValuesView | ItemsView):
        return [plain(item) for item in value]
    if type(value).__name__ == "StrictUndefined":
        str(value)  # raises, naming what is undefined
    raise TemplateFault(f"gives a {type(value).__name__}, which is no JSON value")


@lru_cache(maxsize=1)
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # autoescape is for HTML; what is made here is text and JSON for a model
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    del environment.globals["lipsum"], environment.filters["random"]
    return environment


def _guarded(tree: nodes.Template) -> set[str]:
    from jinja2 import nodes

    found = [node.node for node in tree.find_all(nodes.Filter) if node.name in _GUARDS]
    found += [
        node.node for node in tree.find_all(nodes.Test) if node.name in ("defined", "undefined")
    ]
    return {node.name for node in found if isinstance(node, nodes.Name)}


def _fields(tree: nodes.Template) -> Iterator[tuple[str, str | int]]:
    from jinja2 import nodes

    for node in tree.find_all(nodes.Getattr):
        if isinstance(node.node, nodes.Name):
            yield node.node.name, node.attr
    for item in tree.find_all(nodes.Getitem):
        if (
            isinstance(item.node, nodes.Name)
            and isinstance(item.arg, nodes.Const)
            and isinstance(item.arg.value, str | int)
        ):
            yield item.node.name, item.arg.value


def _fault(error: Exception) -> TemplateFault:
    from jinja2 import TemplateError

    if isinstance(error, TemplateError):
        return TemplateFault(_undefined(error.message or type(error).__name__))
    return TemplateFault(f"{type(error).__name__}: {error}")


_OBJECT = re.compile(r"'(\w+) object'|'(None)'")
_KINDS = {
    "dict": "the object",
    "list": "the list",
    "str": "the text",
    "int": "the number",
    "float": "the number",
    "None": "null",
}


def _undefined(message: str) -> str:
    return _OBJECT.sub(lambda found: _KINDS.get(found[1] or found[2], found[0]), message)


_REWORDED = (
    (
        "unexpected end of template, expected 'end of print statement'",
        "'{{' that is never closed by '}}'",
    ),
    ("expected token 'end of print statement'", "'}}' expected"),
    ("Unexpected end of template", "a block that is never closed"),
)


def _reworded(message: str, environment: SandboxedEnvironment) -> str:
    for kind, valid in (("filter", environment.filters), ("test", environment.tests)):
        if message.startswith(f"No {kind} named"):
            name = message.split("'")[1]
            return f"unknown {kind} {name!r}{did_you_mean(name, valid)}"
    return next(
        (words for start, words in _REWORDED if message.startswith(start)), message.rstrip(".")
    )
