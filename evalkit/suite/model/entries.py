"""The mappings inside a scenario and a suite: tools, turns, attachments, data files."""

# No 'from __future__ import annotations': see ``language``.
from typing import Annotated, Required

from pydantic import Discriminator, Field, Tag, with_config
from typing_extensions import TypedDict

from evalkit.suite.model.value_types import (
    FORBID,
    Expectations,
    Object,
    OneOrMany,
    Target,
    Text,
    TypedObject,
    Value,
    one_or_object,
    text_list_or_object,
)

DEFAULT_MAX_TURNS = 8
MOST_TURNS = 50
"""The highest ``max_turns`` of a simulated user: each turn is at least two requests."""
_RESULT_TEMPLATE = "any JSON value or {file: path}, templates are rendered ({{ arguments.x }})."
AttachmentLocation = Annotated[
    Text,
    Field(
        description="A path inside the project (read and base64-encoded) or a URL (sent as uri)."
    ),
]


@with_config(FORBID)
class TextFile(TypedDict):
    """A text that is written in a file of its own."""

    file: Annotated[
        Text,
        Field(description="A file inside the project; templates in its text are rendered."),
    ]


TextOrFile = Annotated[
    Annotated[Text, Tag("(one)")] | Annotated[TextFile, Tag("(object)")],
    Discriminator(one_or_object),
]


@with_config(FORBID)
class ToolResultEntry(TypedDict, total=False):
    """One result of a tool; the first whose ``when`` fits the arguments is used."""

    when: Annotated[
        Object,
        Field(
            description="Arguments this result is for: each must be equal, objects may have more "
            "keys. Without it, all."
        ),
    ]
    result: Required[Annotated[Value, Field(description=f"The result: {_RESULT_TEMPLATE}")]]
    is_error: Annotated[bool, Field(description="Report to the model that the tool failed.")]


@with_config(FORBID)
class ToolEntry(TypedDict, total=False):
    """A function the model may call, and its result, results or Python function."""

    description: Annotated[Text, Field(description="The function's description for the model.")]
    parameters: Annotated[
        Object, Field(description="JSON Schema of the arguments, or {file: path}.")
    ]
    short_description: Annotated[Text, Field(description="Sent as the API names it.")]
    defer_loading: Annotated[bool, Field(description="Sent as the API names it.")]
    predefined: Annotated[
        bool,
        Field(description="The service declares this function itself: it is answered, never sent."),
    ]
    result: Annotated[Value, Field(description=f"The result of every call: {_RESULT_TEMPLATE}")]
    results: Annotated[
        list[ToolResultEntry],
        Field(min_length=1, description="Results by arguments; the first that fits is used."),
    ]
    python: Annotated[
        Target,
        Field(
            description="package.module:function, called with the arguments as keywords; "
            "beside 'results' if none fits."
        ),
    ]


@with_config(FORBID)
class TargetEntry(TypedDict):
    """A function of the user's application that runs the turns, instead of evalkit."""

    python: Annotated[
        Target,
        Field(
            description="package.module:function, called with each turn's message and a context."
        ),
    ]


@with_config(FORBID)
class AttachEntry(TypedDict, total=False):
    """An image, audio, video or document that is sent with the user's message."""

    image: AttachmentLocation
    audio: AttachmentLocation
    video: AttachmentLocation
    document: AttachmentLocation
    mime_type: Annotated[
        Text, Field(description="The media type; by default that of the file name's ending.")
    ]
    resolution: Annotated[
        Text, Field(description="Sent as the API names it (low, medium, high, ultra_high).")
    ]
    sample_rate: Annotated[int, Field(description="Sent as the API names it (audio).")]
    channels: Annotated[int, Field(description="Sent as the API names it (audio).")]
    processing: Annotated[
        Value, Field(description="Sent as the API names it (audio, video, document).")
    ]


@with_config(FORBID)
class SimulateEntry(TypedDict, total=False):
    """A user played by a model: it writes message after message until its condition is met."""

    persona: Annotated[
        TextOrFile, Field(description="Who the user is, in plain words: text, or {file: path}.")
    ]
    goal: Required[
        Annotated[
            TextOrFile,
            Field(description="What the user wants of the model: text, or {file: path}."),
        ]
    ]
    until: Annotated[
        TextOrFile,
        Field(
            description="When the conversation is over: text, or {file: path}; by default when "
            "the user has what they want, or it is clear that they cannot get it."
        ),
    ]
    max_turns: Annotated[
        int,
        Field(
            ge=1,
            le=MOST_TURNS,
            description=f"How many messages the user may send (default {DEFAULT_MAX_TURNS}).",
        ),
    ]
    model: Annotated[
        Text, Field(description="The model that plays the user; else the variant's own.")
    ]
    generation_config: Annotated[
        Object, Field(description="Sent to the model that plays the user, as the API names it.")
    ]


@with_config(FORBID)
class TurnEntry(TypedDict, total=False):
    """A user message, or a simulated user, and the checks over all up to the last answer."""

    user: Annotated[
        Annotated[Text, Tag("(one)")]
        | Annotated[TextFile, Tag("(object)")]
        | Annotated[list[TypedObject], Field(min_length=1), Tag("(list)")],
        Discriminator(text_list_or_object),
        Field(
            description="The user's message: text, {file: path}, or a list of content blocks of "
            "the API."
        ),
    ]
    simulate: Annotated[
        SimulateEntry,
        Field(
            description="A model plays the user, instead of 'user': {persona: …, goal: …, "
            "max_turns: 6, until: …}. Each of its messages is a turn."
        ),
    ]
    attach: Annotated[
        OneOrMany[AttachEntry], Field(description="Files or URLs sent after the text.")
    ]
    expect: Annotated[Expectations, Field(description="Checks over this turn.")]
    stop_after: Annotated[
        int,
        Field(
            ge=1,
            description="End the turn after this many responses, even if the model waits for "
            "results or a background run goes on.",
        ),
    ]


@with_config(FORBID)
class GivenCassette(TypedDict, total=False):
    """The conversation of a cassette, or its first turns."""

    cassette: Required[
        Annotated[Text, Field(description="A cassette of one conversation, inside the project.")]
    ]
    turns: Annotated[
        int, Field(ge=1, description="How many of its turns are used; all of them by default.")
    ]


@with_config(FORBID)
class CaseFile(TypedDict):
    """Cases in a data file."""

    file: Annotated[
        Text,
        Field(
            description="A .csv file with a header, or a .jsonl file with one object a line; "
            "inside the project."
        ),
    ]
