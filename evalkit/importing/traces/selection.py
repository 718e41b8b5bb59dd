"""Which conversations of many are imported: a filter, and a sample spread over values. Pure.

The sample is that of the smallest hashes of the conversations' ids, so it is the same for every
order of the files, and part of it can be drawn on each of several machines. Memory is bounded by
the size of the sample, however many conversations there are.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic_core import PydanticCustomError

from evalkit._lib.json import JSON, dumps
from evalkit.checks.json_query import compile_query
from evalkit.errors import UsageError

_SPARE = 1000


@dataclass(slots=True)
class StratifiedSample:
    """At most ``size`` keys, evenly spread over strata (the values of a field); 0 means all.

    A stratum with fewer keys than its share leaves the rest to the others.
    """

    size: int
    _ranks: dict[str, dict[str, bytes]] = field(default_factory=dict)
    _worst: dict[str, bytes] = field(default_factory=dict)
    _last_stratum: bytes = b"\xff"
    _count: int = 0

    def offer(self, key: str, stratum: str = "") -> None:
        """Consider a key; one that was offered before changes nothing."""
        rank = _rank(key)
        if rank > self._worst.get(stratum, b"\xff"):
            return
        ranks = self._ranks.get(stratum)
        if ranks is None:
            if _rank(stratum) > self._last_stratum:
                return
            ranks = self._ranks[stratum] = {}
        if key not in ranks:
            ranks[key] = rank
            self._count += 1
            if self.size and self._count > 3 * self.size + _SPARE:
                self._prune(1)

    def merge(self, other: "StratifiedSample") -> None:
        """Consider the keys of a sample of other files."""
        for stratum, ranks in other._ranks.items():
            for key in ranks:
                self.offer(key, stratum)

    def keys(self) -> set[str]:
        """Return the sample."""
        if self.size:
            self._prune(0)
        return {key for ranks in self._ranks.values() for key in ranks}

    def _prune(self, spare: int) -> None:
        """Drop what cannot be in the sample, however many keys follow.

        The share of a stratum only shrinks while keys are offered. ``spare`` keys above it remain:
        which strata get one of the remainder is decided at the end.
        """
        strata = sorted(self._ranks, key=_rank)
        if len(strata) > self.size:
            self._last_stratum = _rank(strata[self.size - 1])
            strata = strata[: self.size]
        kept: dict[str, dict[str, bytes]] = {}
        left = self.size
        # The smallest strata first: what they do not use is for the others.
        by_size = sorted(strata, key=lambda name: (len(self._ranks[name]), _rank(name)))
        for index, name in enumerate(by_size):
            share = -(-left // (len(by_size) - index)) if spare else left // (len(by_size) - index)
            best = sorted(self._ranks[name].items(), key=lambda item: item[1])
            kept[name] = dict(best[: share + spare])
            left -= min(len(best), left // (len(by_size) - index))
            if len(best) > share + spare:
                self._worst[name] = best[share + spare - 1][1]
        self._ranks = kept
        self._count = sum(map(len, kept.values()))


@dataclass(frozen=True)
class Selection:
    """Which conversations are imported: those with a call that fits, and a sample of them.

    ``expression`` is JMESPath over the fields of a call; ``by`` is the field over whose values a
    sample of ``size`` is spread; 0 means all.
    """

    size: int = 0
    by: str = ""
    expression: str = ""

    @cached_property
    def _query(self) -> Any:
        try:
            return compile_query(self.expression)
        except PydanticCustomError as error:
            raise UsageError(f"--filter: {error.message()}") from None

    def __bool__(self) -> bool:
        return bool(self.size or self.expression)

    def check(self) -> None:
        """Raise UsageError where the expression is invalid."""
        if self.expression:
            _ = self._query

    def accepts(self, fields: Mapping[str, JSON]) -> bool:
        """Return whether a call fits the expression."""
        if not self.expression:
            return True
        try:
            value = self._query.search(fields)
        except ValueError:
            # A JMESPath function raises for a value of another type, which foreign fields may have.
            return False
        return value not in (None, False, "", [], {})

    def stratum(self, fields: Mapping[str, JSON]) -> str:
        """Return the value of the field that the sample is spread over, as text."""
        value = fields.get(self.by) if self.by else None
        return value if isinstance(value, str) else "" if value is None else dumps(value)


def _rank(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
