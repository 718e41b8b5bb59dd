"""The variants of one scenario that compare themselves (``same_as``), each run once.

Their conversations are cached: in replay until the next scenario starts, else until the session
ends, so that none is recorded twice in whatever order they run. Where several processes share a
session (pytest-xdist), the one that needs a sibling waits for the one that records it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit._lib.files import exclusive
from evalkit._lib.text import show
from evalkit.session.evaluation import Evaluator
from evalkit.session.settings import Settings
from evalkit.transcript import Transcript

if TYPE_CHECKING:
    from evalkit.suite import Variant


class VariantRun(NamedTuple):
    """A conversation with its evaluator and descriptions of the unplayed recordings."""

    transcript: Transcript
    unplayed: Sequence[str]
    evaluator: Evaluator


class Siblings:
    """The comparing scenarios of a session. ``converse`` runs a variant's conversation."""

    def __init__(
        self, settings: Settings, converse: Callable[[Variant, Settings], VariantRun]
    ) -> None:
        self.settings = settings
        self._converse = converse
        self._families: dict[tuple[Path, str], list[Variant]] = {}
        self._cached_family: tuple[Path, str] | None = None
        self._cache: dict[str, VariantRun] = {}
        self._started = time.time()
        self._locked_suite: Path | None = None

    def introduce(self, variants: Sequence[Variant]) -> None:
        """Register those variants whose scenario compares them."""
        for variant in variants:
            if compares_siblings(variant):
                self._families.setdefault(_family(variant), []).append(variant)

    def __contains__(self, variant: Variant) -> bool:
        """Return whether other variants compare themselves with this one."""
        return _family(variant) in self._families

    def run(self, variant: Variant) -> VariantRun:
        """Return the conversation of a variant: the cached one, or a new one."""
        family = _family(variant)
        if family != self._cached_family and not self.settings.may_record:
            self._cached_family, self._cache = family, {}
        if variant.id not in self._cache:
            with self._shared_settings(variant) as settings:
                self._cache[variant.id] = self._converse(variant, settings)
        return self._cache[variant.id]

    def find(self, variant: Variant, selector: Mapping[str, Any]) -> Transcript | None:
        """Return the transcript of the variant that differs in ``selector``; None for itself.

        Raises LookupError where there is none, and where it says nothing about the model.
        """
        settings = {**variant.settings, **selector}
        family = self._families.get(_family(variant), [])
        for other in family:
            if other.settings == settings and other.trial == variant.trial:
                break
        else:
            valid = ", ".join(other.name for other in family)
            raise LookupError(
                f"no variant of this scenario has {show(dict(selector))}; valid: {valid}"
            )
        if other.id == variant.id:
            return None
        transcript, _, evaluator = self.run(other)
        fault = evaluator.find_fault(transcript)
        if fault is not None:
            raise LookupError(f"{other.name} cannot be compared: {fault.message}\n{fault.detail}")
        return transcript

    @contextmanager
    def _shared_settings(self, variant: Variant) -> Iterator[Settings]:
        """Yield settings with which a variant that others compare with is recorded once.

        While the block runs, no other process records a variant of this suite. A cassette that
        one of them wrote in this session is replayed.
        """
        settings = self.settings
        if settings.live or not settings.may_record:
            yield settings
            return
        with self._locked(variant.suite.path):
            path = settings.cassettes / variant.cassette
            is_new = path.exists() and path.stat().st_mtime >= self._started
            yield replace(settings, mode="once") if is_new else settings

    @contextmanager
    def _locked(self, suite: Path) -> Iterator[None]:
        # Within a conversation a check may need another variant of the suite that is locked.
        if suite == self._locked_suite:
            yield
            return
        with exclusive(suite):
            self._locked_suite = suite
            try:
                yield
            finally:
                self._locked_suite = None


def _family(variant: Variant) -> tuple[Path, str]:
    """Return what the variants of one scenario have in common."""
    return variant.suite.path, variant.scenario.id


def compares_siblings(variant: Variant) -> bool:
    """Return whether a check of a variant reads another variant of its scenario."""
    return any(item.name == "same_as" for item in (*variant.expect, *variant.turn_expectations))
