"""Tools for tests of checks, reports and clients: Hypothesis strategies and a fake service.

They need Hypothesis, which evalkit itself does not install::

    from hypothesis import given
    from evalkit.testing import transcripts

    @given(transcripts())
    def test_my_check_never_crashes(transcript): ...
"""

from evalkit.testing.conversation_strategies import (
    plans,
    run_conversation,
    tool_results,
    transcripts,
)
from evalkit.testing.fake_service import BEHAVIORS, FakeService, ServiceLogEntry
from evalkit.testing.strategies import (
    GeneratedStream,
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
    "BEHAVIORS",
    "FakeService",
    "GeneratedStream",
    "ServiceLogEntry",
    "broken_streams",
    "contents",
    "interactions",
    "json_objects",
    "json_values",
    "plans",
    "run_conversation",
    "steps",
    "streams",
    "text_annotations",
    "tool_results",
    "transcripts",
]
