"""What a trace has no place for, and what that means for checks; one table."""

from collections.abc import Collection, Iterator
from enum import Enum
from typing import NamedTuple


class Loss(NamedTuple):
    """Something that was sent or received and is not in a source; the consequence for checks."""

    what: str
    consequence: str


class Lack(Enum):
    """What calls of a source may lack; found while they are read."""

    SIGNATURES = Loss("signatures of thoughts", "the history check cannot judge fidelity")
    ORDER = Loss("order of thoughts, texts and calls", "steps has the order of the source")
    CITATIONS = Loss("citations and their positions", "citations is not expected")
    STREAMS = Loss("streams: events and their times", "scenarios are not streamed")
    LATENCY = Loss("time of each exchange", "latency is that of the span")
    SCHEMAS = Loss("response_format, tool_choice", "add the schema for json_schema")
    CHAIN = Loss("previous_interaction_id", "turns follow by id and time")
    CONVERSATIONS = Loss("conversation ids", "each trace is one conversation")
    REPEATED = Loss("answers only repeated as history", "no usage and latency of these turns")
    TOOLS = Loss("declarations of tools", "functions have no parameters")
    CALL_IDS = Loss("ids of calls", "results are paired by name and order")
    RESULTS = Loss("results of some calls", "the turn ends at the call (stop_after)")
    USAGE = Loss("tokens", "usage and cost have nothing to check")
    MEDIA = Loss("data of media, only names", "replace them to run it live")
    PARTS = Loss("parts of unknown types", "they are not in the suite")
    SETTINGS = Loss("settings of requests", "scenarios have the defaults of the model")
    IDS = Loss("ids of responses", "interactions have invented ids")
    FAILURES = Loss("status of failed calls", "failed calls are left out")
    CONTENT = Loss("messages of some calls", "left out; capture their content")


ALWAYS = (
    Lack.ORDER,
    Lack.STREAMS,
    Lack.LATENCY,
    Lack.SCHEMAS,
)
"""What no convention of traces has a place for."""


def losses(found: Collection[Lack], *, of_all: bool) -> Iterator[Loss]:
    """Yield what is lost, in the order of the table; ``of_all`` adds what all sources lose."""
    return (lack.value for lack in Lack if lack in found or (of_all and lack in ALWAYS))
