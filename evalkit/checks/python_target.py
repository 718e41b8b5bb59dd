"""``python``: a function of the project decides. It receives the transcript and the turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from evalkit.checks.core.base import Check, View
from evalkit.checks.core.functions import findings_of
from evalkit.checks.core.options import Target
from evalkit.errors import Misconfigured
from evalkit.verdict import Finding


class PythonTarget(Check):
    """A Python function reports nothing. It is called as ``function(transcript, turn)``.

    Over the conversation ``turn`` is None. The function returns findings: Finding objects,
    strings, or mappings with a ``message`` and perhaps a ``code``, alone or in a list. ``False``
    and a failed ``assert`` are findings too; any other exception makes the check *errored*. The
    empty case: an empty list, None or True means no finding.
    """

    name: ClassVar[str] = "python"
    shorthand: ClassVar[str | None] = "target"

    target: Target = Field(description="The function: package.module:function.")

    def run(self, view: View) -> Iterator[Finding]:
        """Yield what the function reports. Raises TargetError, and what the function raises."""
        function = view.resolve(self.target)
        if not callable(function):
            raise Misconfigured(f"{self.target} is not a function but {type(function).__name__}")
        yield from findings_of(lambda: function(view.transcript, view.turn), self.target)
