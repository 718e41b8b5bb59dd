"""For tests of checks, reports and clients: Hypothesis strategies for everything on the wire, and a fake service in memory.

Needs Hypothesis, which evalkit itself does not install::

    from hypothesis import given
    from evalkit.testing import transcripts

    @given(transcripts())
    def test_my_check_never_crashes(transcript): ...
"""

from evalkit.testing.conversations import hold, plans, tool_answers, transcripts
from evalkit.testing.service import BEHAVIOURS, Answer, FakeService
from evalkit.testing.strategies import (
    Stream,
    broken_streams,
    contents,
    interactions,
    json_objects,
    json_values,
    steps,
    streams,
    text_annotations,
)

__all__ = [
    "BEHAVIOURS",
    "Answer",
    "FakeService",
    "Stream",
    "broken_streams",
    "contents",
    "hold",
    "interactions",
    "json_objects",
    "json_values",
    "plans",
    "steps",
    "streams",
    "text_annotations",
    "tool_answers",
    "transcripts",
]
