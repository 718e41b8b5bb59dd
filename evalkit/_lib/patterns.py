"""Regular expressions of users, matched with a time limit.

Patterns from suites, schemas, options and scripts meet text of models and services. The standard
library's ``re`` can need years for ``(a|aa)+$``, and nothing can stop it. So the library ``regex``
matches them: it has a time limit, and it is imported when the first pattern is used. Its dialect
(version 0) is that of ``re`` with additions; docs/limits.md lists the differences.

Patterns of evalkit itself stay with ``re``: they are written to need linear time.
"""

import re
from functools import lru_cache
from typing import Any

from evalkit._lib.limits import exceeded, limits
from evalkit.errors import Misconfigured

_MAX_EXPANDED = 100_000
_TOKEN = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(?P<least>\d+)(?P<most>,\d*)?\}|(?P<other>.)", re.DOTALL
)


class PatternError(ValueError):
    """A text that is not a regular expression, or one that is too large."""


class PatternTimeout(Misconfigured):
    """A pattern needed more time for a text than allowed: a fault of the pattern."""


class Pattern:
    """A compiled pattern; the methods are those of ``re``, and raise PatternTimeout.

    ``pattern`` is its text. Raises PatternError.
    """

    def __init__(self, pattern: str, *, ignore_case: bool = False, dot_all: bool = False) -> None:
        # Slow to import, and most sessions need it late or never.
        import regex

        self.pattern = pattern
        if _expanded_size(pattern) > _MAX_EXPANDED:
            raise PatternError(f"its counted repetitions expand to more than {_MAX_EXPANDED:,}")
        flags = regex.IGNORECASE * ignore_case | regex.DOTALL * dot_all
        try:
            self._compiled = regex.compile(pattern, flags | regex.VERSION0)
        except (regex.error, RecursionError, OverflowError, ValueError, KeyError) as error:
            raise PatternError(str(error)) from None

    def search(self, text: str) -> Any:
        """Return the first match, or None."""
        return self._run(self._compiled.search, text)

    def fullmatch(self, text: str) -> Any:
        """Return the match of the whole text, or None."""
        return self._run(self._compiled.fullmatch, text)

    def finditer(self, text: str) -> list[Any]:
        """Return all matches."""
        matches: list[Any] = self._run(
            lambda *arguments, **options: list(self._compiled.finditer(*arguments, **options)), text
        )
        return matches

    def _run(self, method: Any, text: str) -> Any:
        seconds = limits().pattern
        try:
            return method(text, timeout=seconds)
        except TimeoutError:
            what = (
                f"the pattern {self.pattern[:200]!r} did not finish on a text of {len(text):,}"
                " characters"
            )
            raise PatternTimeout(f"{exceeded('pattern', what)}, or simplify the pattern") from None


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str, *, ignore_case: bool = False, dot_all: bool = False) -> Pattern:
    """Compile a pattern, each one once. Raises PatternError."""
    return Pattern(pattern, ignore_case=ignore_case, dot_all=dot_all)


def _expanded_size(pattern: str) -> int:
    """Return how many items a pattern has when its repetitions are written out.

    ``regex`` writes their minimum out, so ``((a{1000}){1000}){1000}`` would need all memory.
    """
    sizes, last = [0], 0
    for token in _TOKEN.finditer(pattern):
        if token["least"]:
            # Of the largest number, because a later maximum may be expanded too.
            added = last * max(0, int(token["least"][:9]) - 1)
            sizes[-1] += added
            last += added
            continue
        last = 1
        if token["other"] == "(":
            sizes.append(0)
            continue
        if token["other"] == ")" and len(sizes) > 1:
            last = sizes.pop()
        sizes[-1] += last
    return sum(sizes)
