"""A registry of named things: built-in and foreign ones come in by the same road, an entry point group."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from evalkit._lib.text import did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to things; an entry point is imported only when its name is asked for.

    Raises KeyError with the nearest valid word, ValueError when a name is taken.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self._group = group
        self._loaded: dict[str, T] = {}
        self._points: dict[str, EntryPoint] | None = None

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._points is None:
            self._points = {point.name: point for point in _installed().select(group=self._group)}
        return self._points

    def add(self, name: str, thing: T) -> None:
        """Register ``thing``; another one under the same name is an error, unless the same definition was read again."""
        held = self._loaded.get(name)
        if name in self._entry_points() or (held is not None and _place(held) != _place(thing)):
            raise ValueError(f"a {self.kind} named {name!r} is registered already")
        self._loaded[name] = thing

    def get(self, name: str) -> T:
        """Return the thing, importing it if need be."""
        if name not in self._loaded:
            point = self._entry_points().get(name)
            if point is None:
                raise KeyError(f"unknown {self.kind} {name!r}{did_you_mean(name, self)}")
            self._loaded[name] = point.load()
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._loaded, *self._entry_points()}))

    def __contains__(self, name: object) -> bool:
        return name in self._loaded or name in self._entry_points()


@cache
def _installed() -> Any:
    return entry_points()  # reads the metadata of everything installed: once for all registries


def _place(thing: object) -> object:
    """Return where a thing was defined, or the thing itself where it does not tell."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    return (module, name) if module and name else thing
