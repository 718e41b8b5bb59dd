"""The suite language itself: every key, its type, and what it means. Nothing else defines it.

These types are what a loaded file is validated against, and what the JSON Schema for editors is made from, so the two cannot part. They
say what one file can get wrong in one place; rules that join several keys (``model`` or ``agent``, background runs need a stored
conversation) stand in ``evalkit.suite.rules``, and what ``expect`` entries may hold is the checks' own business.

Typed dicts rather than model classes: a key that is not written is not there, so ``defaults`` are merged by ``{**defaults, **scenario}``,
and a thousand scenarios validate without filling in thirty defaults each. No key takes null: an empty value is a mistake. No files, no
templates, no positions here. Annotations are no strings in this module: pydantic would evaluate each one again, and once more where
it is inherited.
"""

from functools import cache
from typing import Annotated, Literal, Required, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    WithJsonSchema,
    with_config,
)
from pydantic_core import PydanticCustomError, PydanticKnownError, SchemaValidator
from typing_extensions import TypedDict

from evalkit._lib.json import JSON
from evalkit.suite.templates import RUNTIME_NAMES

T = TypeVar("T")

ID = r"^[a-z0-9_-]+$"
SUITE = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
TAG = r"^[A-Za-z][A-Za-z0-9_.-]*$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
FUNCTION = r"^[A-Za-z_][A-Za-z0-9_.:-]{0,63}$"
TARGET = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"

NOT_TAGS = ("and", "or", "not", "parametrize", "usefixtures", "filterwarnings", "skipif")
"""Words that pytest's ``-m`` reads as operators, and marks of pytest that need arguments."""

_FORBID = ConfigDict(extra="forbid", strict=True)

Text = Annotated[str, Field(min_length=1)]
Object = dict[str, JSON]


def _shape(value: object) -> str:
    return "(list)" if isinstance(value, list) else "(one)"


OneOrMany = Annotated[
    Annotated[T, Tag("(one)")] | Annotated[list[T], Field(min_length=1), Tag("(list)")],
    Discriminator(_shape),
]
"""One value, or a list of them: a list makes one variant per value."""


def _typed(value: Object) -> Object:
    kind = value.get("type")
    if not isinstance(kind, str) or not kind:
        raise PydanticCustomError("needs_type", "missing key 'type'")
    return value


def _not_null(value: JSON) -> JSON:
    if value is None:
        raise PydanticCustomError("empty", "empty value")
    return value


def _tag(value: str) -> str:
    if value in NOT_TAGS:
        raise PydanticCustomError(
            "tag", f"{value!r} cannot be a tag: pytest gives the word a meaning of its own"
        )
    return value


def _variable(value: str) -> str:
    if value in RUNTIME_NAMES:
        raise PydanticCustomError(
            "variable", f"the name {value!r} is given to templates by evalkit; take another"
        )
    return value


@cache
def _targets() -> SchemaValidator:
    return SchemaValidator({"type": "str", "pattern": TARGET})


def _target(value: str) -> str:
    if not _targets().isinstance_python(value):
        raise PydanticKnownError("string_pattern_mismatch", {"pattern": TARGET})
    return value


Target = Annotated[
    str, AfterValidator(_target), WithJsonSchema({"type": "string", "pattern": TARGET})
]
"""A Python function. The pattern takes 2 ms to compile (letters and digits of all scripts), so it waits for the first target."""

_TYPED_SCHEMA = {
    "type": "object",
    "properties": {"type": {"type": "string", "minLength": 1}},
    "required": ["type"],
}
Typed = Annotated[Object, AfterValidator(_typed), WithJsonSchema(_TYPED_SCHEMA)]
"""An object of the API, kept verbatim, known by its ``type``."""

Value = Annotated[JSON, AfterValidator(_not_null), WithJsonSchema({"not": {"type": "null"}})]
TagName = Annotated[
    str,
    StringConstraints(pattern=TAG),
    AfterValidator(_tag),
    WithJsonSchema({"type": "string", "pattern": TAG, "not": {"enum": list(NOT_TAGS)}}),
]
Variable = Annotated[
    str,
    StringConstraints(pattern=VARIABLE),
    AfterValidator(_variable),
    WithJsonSchema({"type": "string", "pattern": VARIABLE, "not": {"enum": list(RUNTIME_NAMES)}}),
]
Variables = dict[Variable, JSON]
Expectations = list[JSON]
"""Entries are read by ``evalkit.suite.entries``; ``evalkit.suite.schema`` says what each may be."""


@with_config(_FORBID)
class ResultEntry(TypedDict, total=False):
    """One of a tool's answers; the first whose ``when`` fits is given."""

    when: Annotated[
        Object,
        Field(
            description="Arguments this answer is for: each must be equal, objects may hold more. Without it, always."
        ),
    ]
    result: Required[
        Annotated[
            Value,
            Field(
                description="The answer: any JSON value, templates are rendered ({{ arguments.x }})."
            ),
        ]
    ]
    is_error: Annotated[bool, Field(description="Tell the model that the tool failed.")]


@with_config(_FORBID)
class ToolEntry(TypedDict, total=False):
    """A function the model may call, and what it answers: ``result``, ``results``, ``python``, or ``results`` and else ``python``."""

    description: Annotated[Text, Field(description="What the model reads about the function.")]
    parameters: Annotated[Object, Field(description="JSON Schema of the arguments.")]
    short_description: Annotated[Text, Field(description="Sent as the API names it.")]
    defer_loading: Annotated[bool, Field(description="Sent as the API names it.")]
    result: Annotated[
        Value,
        Field(
            description="The answer to every call: any JSON value, templates are rendered ({{ arguments.x }})."
        ),
    ]
    results: Annotated[
        list[ResultEntry],
        Field(min_length=1, description="Answers by arguments; the first that fits is given."),
    ]
    python: Annotated[
        Target,
        Field(
            description="package.module:function, called with the arguments as keywords; beside 'results' where none fits."
        ),
    ]


@with_config(_FORBID)
class TargetEntry(TypedDict):
    """A function of the user's own application that holds the turns, instead of evalkit."""

    python: Annotated[
        Target,
        Field(
            description="package.module:function, called with each turn's message and a context."
        ),
    ]


@with_config(_FORBID)
class AttachEntry(TypedDict, total=False):
    """A file or URL sent with the user's message, under exactly one of ``image``, ``audio``, ``video``, ``document``."""

    image: Annotated[
        Text,
        Field(
            description="A path inside the project (read and base64-encoded) or a URL (sent as uri)."
        ),
    ]
    audio: Annotated[
        Text,
        Field(
            description="A path inside the project (read and base64-encoded) or a URL (sent as uri)."
        ),
    ]
    video: Annotated[
        Text,
        Field(
            description="A path inside the project (read and base64-encoded) or a URL (sent as uri)."
        ),
    ]
    document: Annotated[
        Text,
        Field(
            description="A path inside the project (read and base64-encoded) or a URL (sent as uri)."
        ),
    ]
    mime_type: Annotated[
        Text, Field(description="The media type; told from the file name's ending when left out.")
    ]
    resolution: Annotated[
        Text, Field(description="Sent as the API names it (low, medium, high, ultra_high).")
    ]
    sample_rate: Annotated[int, Field(description="Sent as the API names it (audio).")]
    channels: Annotated[int, Field(description="Sent as the API names it (audio).")]
    processing: Annotated[
        Value, Field(description="Sent as the API names it (audio, video, document).")
    ]


@with_config(_FORBID)
class TurnEntry(TypedDict, total=False):
    """A user message and what is expected of everything until the model stops needing tools."""

    user: Annotated[
        Annotated[Text, Tag("(one)")] | Annotated[list[Typed], Field(min_length=1), Tag("(list)")],
        Discriminator(_shape),
        Field(
            description="The user's message: text, or a list of content blocks as the API takes them."
        ),
    ]
    attach: Annotated[
        OneOrMany[AttachEntry], Field(description="Files or URLs sent after the text.")
    ]
    expect: Annotated[Expectations, Field(description="Checks over this turn.")]


@with_config(_FORBID)
class CaseFile(TypedDict):
    """Cases kept in a file of their own."""

    file: Annotated[
        Text,
        Field(
            description="A .csv file with a header, or a .jsonl file with one object a line; its path stays inside the project."
        ),
    ]


@with_config(_FORBID)
class ScenarioKeys(TypedDict, total=False):
    """Every key a scenario and ``defaults`` may have."""

    title: Annotated[Text, Field(description="One line for reports; templates are rendered.")]
    description: Annotated[
        Text, Field(description="Why this scenario is here, for readers of the suite.")
    ]
    tags: Annotated[
        list[TagName],
        Field(description="pytest marks (-m). A scenario's tags are added to those of defaults."),
    ]
    model: Annotated[
        OneOrMany[Text],
        Field(description="The model that is called; a list makes one variant per model."),
    ]
    agent: Annotated[
        OneOrMany[Text],
        Field(
            description="The agent that is called, instead of a model; a list makes one variant per agent."
        ),
    ]
    agent_config: Annotated[
        Object, Field(description="Sent as the API names it; only with an agent.")
    ]
    environment: Annotated[
        Annotated[Text, Tag("(one)")] | Annotated[Object, Tag("(object)")],
        Discriminator(lambda value: "(object)" if isinstance(value, dict) else "(one)"),
        Field(
            description="The agent's sandbox: 'remote', the id of an existing one, or an object."
        ),
    ]
    history: Annotated[
        OneOrMany[Literal["stateful", "stateless"]],
        Field(
            description="Who keeps the conversation: the service (stateful, default) or the client (stateless). A list makes variants."
        ),
    ]
    stream: Annotated[
        OneOrMany[bool],
        Field(description="Ask for server-sent events (default false). A list makes variants."),
    ]
    background: Annotated[
        OneOrMany[bool],
        Field(
            description="Run in the background and poll (default false). Not with history: stateless. A list makes variants."
        ),
    ]
    system_instruction: Annotated[Text, Field(description="Sent with every request.")]
    generation_config: Annotated[
        Object, Field(description="Sent with every request; not with an agent.")
    ]
    response_format: Annotated[
        Annotated[Object, Tag("(one)")]
        | Annotated[list[Object], Field(min_length=1), Tag("(list)")],
        Discriminator(_shape),
        Field(description="The output's form as the API names it: an object or a list of them."),
    ]
    response_modalities: Annotated[
        list[Text], Field(description="Sent as the API names it (deprecated there).")
    ]
    response_mime_type: Annotated[
        Text, Field(description="Sent as the API names it (deprecated there).")
    ]
    service_tier: Annotated[
        OneOrMany[Text],
        Field(description="flex, standard, priority or deferred. A list makes variants."),
    ]
    labels: Annotated[dict[str, str], Field(description="Sent as the API names it: text to text.")]
    safety_settings: Annotated[list[Object], Field(description="Sent as the API names it.")]
    cached_content: Annotated[
        Text, Field(description="Sent as the API names it; not with an agent (deprecated there).")
    ]
    webhook_config: Annotated[Object, Field(description="Sent as the API names it.")]
    request: Annotated[
        Object, Field(description="Any further request field, verbatim; wins over the keys above.")
    ]
    tools: Annotated[
        list[
            Annotated[
                Annotated[Text, Tag("(one)")] | Annotated[Typed, Tag("(object)")],
                Discriminator(lambda value: "(object)" if isinstance(value, dict) else "(one)"),
            ]
        ],
        Field(
            description="Names of tools the suite declares, and tools of the API verbatim ({type: google_search})."
        ),
    ]
    cases: Annotated[
        Annotated[list[Variables], Field(min_length=1), Tag("(list)")]
        | Annotated[CaseFile, Tag("(object)")],
        Discriminator(lambda value: "(list)" if isinstance(value, list) else "(object)"),
        Field(
            description="One variant per row, its fields are variables, its id names it: a list of mappings, or {file: data.csv}."
        ),
    ]
    target: Annotated[
        TargetEntry,
        Field(
            description="The application under test: {python: package.module:function} holds each turn, its HTTP traffic is taped."
        ),
    ]
    turns: Annotated[
        list[TurnEntry],
        Field(min_length=1, description="The conversation, one entry per user message."),
    ]
    expect: Annotated[
        Expectations,
        Field(
            description="Checks over the whole conversation. A scenario's are added to those of defaults."
        ),
    ]
    max_tool_rounds: Annotated[
        int,
        Field(
            ge=1,
            description="How often a turn may answer function calls (default 8); reaching it is an error.",
        ),
    ]
    repeat: Annotated[
        int, Field(ge=1, le=10_000, description="Independent trials of each variant (default 1).")
    ]
    timeout: Annotated[float, Field(gt=0, description="Seconds for the whole scenario; live only.")]
    stop_on_failure: Annotated[
        bool,
        Field(description="End the conversation after a turn whose checks failed (default false)."),
    ]


@with_config(_FORBID)
class ScenarioEntry(ScenarioKeys, total=False):
    """One conversation to hold: turns, tools, settings, expectations."""

    id: Required[
        Annotated[
            str,
            StringConstraints(pattern=ID),
            Field(description="Unique in the suite: lower-case letters, digits, '-' and '_'."),
        ]
    ]


@with_config(_FORBID)
class SuiteFile(TypedDict, total=False):
    """A suite of scenarios for evalkit."""

    suite: Required[
        Annotated[
            str,
            StringConstraints(pattern=SUITE),
            Field(description="The suite's name; names its results and its folder of cassettes."),
        ]
    ]
    description: Annotated[Text, Field(description="What the suite is about.")]
    defaults: Annotated[
        ScenarioKeys,
        Field(
            description="Any scenario key but id; a scenario's own value wins, tags and expect add up."
        ),
    ]
    vars: Annotated[
        Variables,
        Field(
            description="Variables for templates ({{ name }}); a case's field of the same name wins."
        ),
    ]
    tools: Annotated[
        dict[Annotated[str, StringConstraints(pattern=FUNCTION)], ToolEntry],
        Field(description="Functions the scenarios may hand to the model, by name."),
    ]
    scenarios: Required[
        Annotated[
            list[ScenarioEntry], Field(min_length=1, description="The conversations of this suite.")
        ]
    ]


SUITE_FILE: TypeAdapter[SuiteFile] = TypeAdapter(SuiteFile)
"""Validates a whole loaded file. Raises pydantic.ValidationError."""
