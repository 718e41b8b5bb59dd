"""The sandbox of templates: no access to Python, and a budget of work for each rendering.

Templates meet text of a model (``previous``, ``turns``, ``arguments``) and suites of strangers. One
expression can ask for gigabytes (``"a" * 2000000000``) or for years (nested loops). So whatever
repeats or grows is charged to a budget *before* it is done: iterations, calls, filters, operators,
printed text. A unit is about one character; the limit ``template`` is the budget.

jinja2 has hooks for operators, calls and printed values. Loops and ``~`` have none: the parsed
template is changed, so that they go through filters.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from evalkit._lib.limits import exceeded, limits

_STEP = 16  # what an iteration, a call or a filter costs beside the text it handles
_MAX_BITS = 100_000
_MAX_FOLDED = 10_000
_MAX_PRECISION = 1000
_ITERATE, _CONCATENATE = "evalkit iterate", "evalkit concatenate"
_WRITES_TEXT = ("join", "pprint", "string", "tojson", "urlencode", "xmlattr")
_HUGE_WIDTH = re.compile(r"[0-9]{6}|\*|\{[^{}]*\{")


class TemplateError(ValueError):
    """A template that cannot be parsed or rendered."""


class _Budget:
    def __init__(self, source_size: int) -> None:
        self.source_size = source_size
        self.left = limits().template

    def charge(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise TemplateError(exceeded("template", "renders too much text, or for too long"))


_budget: ContextVar[_Budget | None] = ContextVar("evalkit_template_budget", default=None)


@contextmanager
def budget_for(source: str) -> Iterator[None]:
    """Give the rendering of a template its budget."""
    token = _budget.set(_Budget(len(source)))
    try:
        yield
    finally:
        _budget.reset(token)


def charge(*values: Any, units: int = 0) -> None:
    """Charge a step, and the sizes of values, to the current rendering."""
    budget = _budget.get()
    size = _STEP + units + sum(map(_length, values))
    if budget is not None:
        budget.charge(size)
    elif size > _MAX_FOLDED:
        # jinja2 computes constant expressions while it parses; it leaves this one for later.
        raise TemplateError("too large for a constant")


def charge_text(value: Any) -> None:
    """Charge the text of a value, of which nested parts may be shared a million times."""
    budget = _budget.get()
    left = budget.left if budget is not None else _MAX_FOLDED
    size, values = 0, [value]
    while values and size <= left:
        value = values.pop()
        size += 1 + _length(value)
        if isinstance(value, Mapping):
            values += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | range):
            values += value
    charge(units=size)


def _length(value: Any) -> int:
    is_sized = isinstance(value, Sized) and not isinstance(value, jinja2.Undefined)
    return len(value) if is_sized else 0


def bounded_tree(tree: nodes.Template) -> nodes.Template:
    """Return a parsed template whose loops and concatenations are charged."""
    return _Charging().visit(tree)  # type: ignore[no-any-return]


class _Charging(NodeTransformer):
    # jinja2 finds these methods by the names of its classes.
    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        texts = (text for part in node.body for text in part.find_all(nodes.TemplateData))
        size = nodes.Const(sum(len(text.data) for text in texts), lineno=node.lineno)
        node.iter = _filter(node.iter, _ITERATE, size)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), _CONCATENATE)


def _filter(node: nodes.Node, name: str, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(arguments), [], None, None, lineno=node.lineno)


def _iterate(items: Iterable[Any], size: int) -> Iterable[Any]:
    if isinstance(items, jinja2.Undefined) or not isinstance(items, Iterable):
        return items  # the loop raises its usual error
    return _Charged(items, size)


class _Charged:
    """An iterable that charges each item; ``loop.length`` knows the length if there is one."""

    def __init__(self, items: Iterable[Any], size: int) -> None:
        self._items = items
        self._size = size

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            charge(units=self._size)
            yield item

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]


def _concatenate(items: list[Any]) -> str:
    charge_text(items)
    return "".join(map(str, items))


def _finalize(value: Any) -> Any:
    charge_text(value)
    return value if isinstance(value, str) else str(value)


def _growth(name: str, subject: Any, arguments: list[Any]) -> int:
    """Return about how much a method or filter of this name adds to its subject."""
    numbers = [value for value in arguments if isinstance(value, int)]
    largest = max(numbers, default=0)
    text = subject if isinstance(subject, str) else ""
    if name in ("center", "ljust", "rjust", "zfill", "to_bytes", "batch", "slice"):
        return largest
    if name in ("expandtabs", "indent"):
        return largest * (1 + text.count("\t") + text.count("\n"))
    if name == "tojson":
        return largest * 1000
    if name == "round" and largest > _MAX_PRECISION:
        raise TemplateError(f"a precision of {largest} digits (at most {_MAX_PRECISION})")
    if name == "replace" and len(arguments) > 1:
        old, new = map(str, arguments[:2])
        return text.count(old) * len(new)
    if name in ("format", "format_map") and _HUGE_WIDTH.search(text):
        raise TemplateError("a width in a format must have at most five digits")
    return 0


def _charged_filter(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that charges what it reads and adds."""
    first = 1 if hasattr(filter_, "jinja_pass_arg") else 0

    @wraps(filter_)
    def charged(*arguments: Any, **options: Any) -> Any:
        values = list(arguments)
        subject, others = values[first], [*values[first + 1 :], *options.values()]
        if name == "join" and isinstance(subject, Iterable) and not isinstance(subject, str):
            values[first] = subject = list(subject)
            separator = str(others[0]) if others else ""
            charge(units=len(separator) * len(subject))
        if name in _WRITES_TEXT:
            charge_text(subject)
        charge(subject, units=_growth(name, subject, others))
        return filter_(*values, **options)

    return charged


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """jinja2's sandbox for suites: strict, deterministic, and charged to the current budget."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        # autoescape is for HTML; suites render text and JSON for a model
        super().__init__(
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,
            finalize=_finalize,
        )
        # A template must render to the same text on every machine.
        del self.globals["lipsum"], self.filters["random"]
        self.filters = {name: _charged_filter(name, each) for name, each in self.filters.items()}
        self.names_of_filters = tuple(self.filters)
        self.filters |= {_ITERATE: _iterate, _CONCATENATE: _concatenate}

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Refuse formats with a huge width."""
        format_ = super().wrap_str_format(value)
        if format_ is not None and _HUGE_WIDTH.search(value.__self__):
            raise TemplateError("a width in a format must have at most five digits")
        return format_

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Charge an operator before it is applied."""
        if operator == "*":
            for one, other in ((left, right), (right, left)):
                if isinstance(one, str | list | tuple) and isinstance(other, int):
                    charge(units=len(one) * max(0, other))
        if operator == "%" and isinstance(left, str) and _HUGE_WIDTH.search(left):
            raise TemplateError("a width in a format must have at most five digits")
        if operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length()
            size = bits + right.bit_length() if operator == "*" else bits * abs(right)
            if size > _MAX_BITS:
                raise TemplateError(f"a number of more than {_MAX_BITS:,} bits")
        charge(left, right)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Charge a call before it is made."""
        arguments = [*args, *kwargs.values()]
        subject, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(obj, Macro) and (budget := _budget.get()) is not None:
            budget.charge(budget.source_size)
        if isinstance(subject, str | bytes | int):
            if name == "join" and args:
                items = list(args[0])
                args = (items, *args[1:])
                charge_text(items)
                charge(units=len(items) * _length(subject))
            elif name == "translate":
                raise TemplateError("'translate' is not available; use 'replace'")
            charge(units=_growth(name, subject, arguments))
        sized = [
            value for value in (subject, *arguments) if isinstance(value, str | list | Mapping)
        ]
        charge(*sized)
        return super().call(context, obj, *args, **kwargs)
