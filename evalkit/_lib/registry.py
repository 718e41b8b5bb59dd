"""A registry of named objects that are found through an entry point group.

Built-in objects and those of other packages register in the same way.
"""

from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from evalkit._lib.text import did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Objects by name; an entry point is imported only when its name is looked up."""

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self._group = group
        self._loaded: dict[str, T] = {}

    def add(self, name: str, item: T) -> None:
        """Register an object. Raises ValueError if the name belongs to another definition."""
        existing = self._loaded.get(name)
        if name in _points_of(self._group) or (
            existing is not None and _definition(existing) != _definition(item)
        ):
            raise ValueError(f"a {self.kind} named {name!r} is registered already")
        self._loaded[name] = item

    def get(self, name: str) -> T:
        """Return an object, imported if necessary. Raises KeyError with the nearest valid name."""
        if name not in self._loaded:
            point = _points_of(self._group).get(name)
            if point is None:
                raise KeyError(f"unknown {self.kind} {name!r}{did_you_mean(name, self)}")
            self._loaded[name] = point.load()
        return self._loaded[name]

    @property
    def added(self) -> list[str]:
        """The names that no entry point has."""
        return [name for name in self._loaded if name not in _points_of(self._group)]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._loaded, *_points_of(self._group)}))

    def __contains__(self, name: object) -> bool:
        return name in self._loaded or name in _points_of(self._group)


@cache
def _points_of(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in _installed().select(group=group)}


# Reads the metadata of every installed distribution: once for all registries.
@cache
def _installed() -> Any:
    return entry_points()


def _definition(item: object) -> object:
    # A module that is imported again, as pytest does with conftest.py, defines equal objects.
    module, name = getattr(item, "__module__", None), getattr(item, "__qualname__", None)
    return (module, name) if module and name else item
