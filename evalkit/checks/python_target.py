"""``python``: a function of the user's decides. It gets the transcript and the turn and says what is wrong, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from inspect import iscoroutine
from typing import Any, ClassVar

from evalkit._lib.text import shorten
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.declaring import option
from evalkit.checks.core.options import Target
from evalkit.errors import Misconfigured
from evalkit.verdict import Finding, Severity, Where


class PythonTarget(Check):
    """A Python function finds nothing wrong. It is called as ``function(transcript, turn)``; over the conversation ``turn`` is None.

    It returns findings: Finding objects, strings, or mappings with a ``message`` and perhaps a ``code``, alone or in a list. ``False`` is a
    finding, a failed ``assert`` too; any other exception makes the check *errored*. The empty case: nothing, None or True is no finding.
    """

    name: ClassVar[str] = "python"
    shorthand: ClassVar[str | None] = "target"

    target: Target = option(description="The function: package.module:function.")

    def run(self, view: View) -> Iterator[Finding]:
        """Yield what the function says. Raises TargetError where there is no such function, and whatever the function raises."""
        function = view.resolve(self.target)
        if not callable(function):
            raise Misconfigured(f"{self.target} is no function but {type(function).__name__}")
        yield from findings_of(lambda: function(view.transcript, view.turn), self.target)


def findings_of(call: Any, what: str) -> Iterator[Finding]:
    """Call a user's function and yield its answer as findings. Raises Misconfigured where the answer is no finding."""
    try:
        answer = call()
        if iscoroutine(answer):
            answer.close()
            raise Misconfigured(f"{what} is asynchronous; a check must be a plain function")
        if answer is None or answer is True:
            return
        if answer is False:
            yield Finding("assertion", f"{what} returned False")
        elif isinstance(answer, Finding | str | Mapping):
            yield _finding(answer, what)
        elif isinstance(answer, Iterable):
            for item in answer:
                yield _finding(item, what)
        else:
            yield _finding(answer, what)
    except AssertionError as error:
        first, _, rest = str(error).partition("\n")
        yield Finding(
            "assertion", shorten(first, 300) or f"an assertion in {what} does not hold", detail=rest
        )


def _finding(item: Any, what: str) -> Finding:
    if isinstance(item, Finding):
        return item
    if isinstance(item, str):
        first, _, rest = item.partition("\n")
        return Finding("python", first, detail=rest)
    if isinstance(item, Mapping) and isinstance(item.get("message"), str):
        where = item.get("where")
        severity = Severity.WARN if item.get("severity") == "warn" else Severity.ERROR
        place = Where(**where) if isinstance(where, Mapping) else Where()
        given = {word: item[word] for word in ("expected", "got") if word in item}
        return Finding(
            str(item.get("code", "python")),
            item["message"],
            place,
            severity=severity,
            detail=str(item.get("detail", "")),
            **given,
        )
    raise Misconfigured(
        f"{what} returned {shorten(repr(item))}, which is no finding (a Finding, a string, or a mapping with a message)"
    )
