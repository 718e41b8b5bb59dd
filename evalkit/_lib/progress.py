"""How far a long loop is, for a command that shows it.

Loops say what they iterate over. Nothing observes them by default, and then they cost nothing; a
command that shows its progress sets ``observer``.
"""

from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Observer(Protocol):
    """Yields the items of a loop and counts them."""

    def __call__(
        self, items: Iterable[T], label: str, total: int, size: Callable[[T], int] | None
    ) -> Iterator[T]:
        """``size`` returns how much of ``total`` an item is; without it each is one."""
        ...


observer: ContextVar[Observer | None] = ContextVar("observer", default=None)


def tracked(
    items: Iterable[T], label: str, total: int, size: Callable[[Any], int] | None = None
) -> Iterable[T]:
    """Return the items of a loop, observed if a command shows its progress."""
    observe = observer.get()
    return items if observe is None else observe(items, label, total, size)
