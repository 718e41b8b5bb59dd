"""The suite language: every key, its type and its meaning, defined only here.

A loaded file is validated against these types, and the JSON Schema for editors is built from them.
They describe mistakes in one place of a file; rules that join several keys are in
``evalkit.suite.model.key_rules``, and the checks validate the entries of ``expect``.

The types are TypedDicts: a key that is not written is not there, so ``defaults`` are merged with
``{**defaults, **scenario}``, and validation adds nothing and converts nothing. No key takes null:
an empty value is a mistake. Files, templates and positions are not handled here.
"""

# No 'from __future__ import annotations': pydantic would evaluate each annotation again, and once
# more where it is inherited.
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
from evalkit.protocol.wire_facts import API_VERSION_PATTERN
from evalkit.suite.model.templates import RUNTIME_NAMES

T = TypeVar("T")

ID = r"^[a-z0-9_-]+$"
SUITE = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,119}$"
VERSION = rf"^{API_VERSION_PATTERN}$"
TAG = r"^[A-Za-z][A-Za-z0-9_.-]*$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
FUNCTION = r"^[A-Za-z_][A-Za-z0-9_.:-]{0,63}$"
TARGET = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"

NOT_TAGS = ("and", "or", "not", "parametrize", "usefixtures", "filterwarnings", "skipif")
"""Words that pytest's ``-m`` reads as operators, and marks of pytest that need arguments."""

_FORBID = ConfigDict(extra="forbid", strict=True)


def _require_type(value: dict[str, JSON]) -> dict[str, JSON]:
    kind = value.get("type")
    if not isinstance(kind, str) or not kind:
        raise PydanticCustomError("needs_type", "missing key 'type'")
    return value


def _require_value(value: JSON) -> JSON:
    if value is None:
        raise PydanticCustomError("empty", "empty value")
    return value


def _allowed_tag(value: str) -> str:
    if value in NOT_TAGS:
        message = f"{value!r} cannot be a tag: it has another meaning in pytest"
        raise PydanticCustomError("tag", message)
    return value


def _allowed_variable(value: str) -> str:
    if value in RUNTIME_NAMES:
        message = f"the name {value!r} is given to templates by evalkit; choose another"
        raise PydanticCustomError("variable", message)
    return value


@cache
def _target_validator() -> SchemaValidator:
    return SchemaValidator({"type": "str", "pattern": TARGET})


def _valid_target(value: str) -> str:
    if not _target_validator().isinstance_python(value):
        raise PydanticKnownError("string_pattern_mismatch", {"pattern": TARGET})
    return value


def _one_or_list(value: object) -> str:
    return "(list)" if isinstance(value, list) else "(one)"


def _one_or_object(value: object) -> str:
    return "(object)" if isinstance(value, dict) else "(one)"


def _list_or_object(value: object) -> str:
    return "(list)" if isinstance(value, list) else "(object)"


Text = Annotated[str, Field(min_length=1)]
Object = dict[str, JSON]

OneOrMany = Annotated[
    Annotated[T, Tag("(one)")] | Annotated[list[T], Field(min_length=1), Tag("(list)")],
    Discriminator(_one_or_list),
]
"""One value, or a list of them: a list makes one variant per value."""

Target = Annotated[
    str, AfterValidator(_valid_target), WithJsonSchema({"type": "string", "pattern": TARGET})
]
"""A Python function. Its pattern is compiled at the first target: that takes 2 ms."""

_TYPED_SCHEMA = {
    "type": "object",
    "properties": {"type": {"type": "string", "minLength": 1}},
    "required": ["type"],
}
TypedObject = Annotated[Object, AfterValidator(_require_type), WithJsonSchema(_TYPED_SCHEMA)]
"""An object of the API with its ``type``, sent unchanged."""

Value = Annotated[JSON, AfterValidator(_require_value), WithJsonSchema({"not": {"type": "null"}})]
TagName = Annotated[
    str,
    StringConstraints(pattern=TAG),
    AfterValidator(_allowed_tag),
    WithJsonSchema({"type": "string", "pattern": TAG, "not": {"enum": list(NOT_TAGS)}}),
]
Variable = Annotated[
    str,
    StringConstraints(pattern=VARIABLE),
    AfterValidator(_allowed_variable),
    WithJsonSchema({"type": "string", "pattern": VARIABLE, "not": {"enum": list(RUNTIME_NAMES)}}),
]
Variables = dict[Variable, JSON]
Expectations = list[JSON]
"""Parsed by ``expectation_parser``; ``json_schema`` says what each entry may be."""

_RESULT_TEMPLATE = "any JSON value, templates are rendered ({{ arguments.x }})."
AttachmentLocation = Annotated[
    Text,
    Field(
        description="A path inside the project (read and base64-encoded) or a URL (sent as uri)."
    ),
]


@with_config(_FORBID)
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


@with_config(_FORBID)
class ToolEntry(TypedDict, total=False):
    """A function the model may call, and its result, results or Python function."""

    description: Annotated[Text, Field(description="The function's description for the model.")]
    parameters: Annotated[Object, Field(description="JSON Schema of the arguments.")]
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


@with_config(_FORBID)
class TargetEntry(TypedDict):
    """A function of the user's application that runs the turns, instead of evalkit."""

    python: Annotated[
        Target,
        Field(
            description="package.module:function, called with each turn's message and a context."
        ),
    ]


@with_config(_FORBID)
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


@with_config(_FORBID)
class TurnEntry(TypedDict, total=False):
    """A user message, and the checks over everything up to the final answer."""

    user: Annotated[
        Annotated[Text, Tag("(one)")]
        | Annotated[list[TypedObject], Field(min_length=1), Tag("(list)")],
        Discriminator(_one_or_list),
        Field(description="The user's message: text, or a list of content blocks of the API."),
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


@with_config(_FORBID)
class CaseFile(TypedDict):
    """Cases in a data file."""

    file: Annotated[
        Text,
        Field(
            description="A .csv file with a header, or a .jsonl file with one object a line; "
            "inside the project."
        ),
    ]


@with_config(_FORBID)
class ScenarioKeys(TypedDict, total=False):
    """Every key that a scenario and ``defaults`` may have."""

    title: Annotated[Text, Field(description="One line for reports; templates are rendered.")]
    description: Annotated[
        Text, Field(description="The purpose of the scenario, for readers of the suite.")
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
            description="The agent that is called, instead of a model; "
            "a list makes one variant per agent."
        ),
    ]
    agent_config: Annotated[
        Object, Field(description="Sent as the API names it; only with an agent.")
    ]
    environment: Annotated[
        Annotated[Text, Tag("(one)")] | Annotated[Object, Tag("(object)")],
        Discriminator(_one_or_object),
        Field(
            description="The agent's sandbox: 'remote', the id of an existing one, or an object."
        ),
    ]
    history: Annotated[
        OneOrMany[Literal["stateful", "stateless"]],
        Field(
            description="What stores the conversation: the service (stateful, default) or the "
            "client (stateless). A list makes variants."
        ),
    ]
    stream: Annotated[
        OneOrMany[bool],
        Field(description="Request server-sent events (default false). A list makes variants."),
    ]
    background: Annotated[
        OneOrMany[bool],
        Field(
            description="Run in the background and poll (default false). "
            "Not with history: stateless. A list makes variants."
        ),
    ]
    system_instruction: Annotated[Text, Field(description="Sent with every request.")]
    generation_config: Annotated[
        Object, Field(description="Sent with every request; not with an agent.")
    ]
    response_format: Annotated[
        Annotated[Object, Tag("(one)")]
        | Annotated[list[Object], Field(min_length=1), Tag("(list)")],
        Discriminator(_one_or_list),
        Field(description="The output's format as the API names it: an object or a list of them."),
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
        Object, Field(description="Any other request field, unchanged; overrides the keys above.")
    ]
    tools: Annotated[
        list[
            Annotated[
                Annotated[Text, Tag("(one)")] | Annotated[TypedObject, Tag("(object)")],
                Discriminator(_one_or_object),
            ]
        ],
        Field(
            description="Names of tools that the suite declares, and tools of the API, unchanged "
            "({type: google_search})."
        ),
    ]
    cases: Annotated[
        Annotated[list[Variables], Field(min_length=1), Tag("(list)")]
        | Annotated[CaseFile, Tag("(object)")],
        Discriminator(_list_or_object),
        Field(
            description="One variant per row; its fields are variables, its id names it: a list of "
            "mappings, or {file: data.csv}."
        ),
    ]
    target: Annotated[
        TargetEntry,
        Field(
            description="The application under test: {python: package.module:function} runs each "
            "turn, its HTTP traffic is recorded."
        ),
    ]
    turns: Annotated[
        list[TurnEntry],
        Field(min_length=1, description="The conversation, one entry per user message."),
    ]
    expect: Annotated[
        Expectations,
        Field(
            description="Checks over the whole conversation. "
            "A scenario's are added to those of defaults."
        ),
    ]
    api_version: Annotated[
        str,
        StringConstraints(pattern=VERSION),
        Field(
            description="The version in the path of requests (default v1beta); "
            "recordings of another version match, too."
        ),
    ]
    max_tool_rounds: Annotated[
        int,
        Field(
            ge=1,
            description="How many rounds of function calls a turn may have (default 8); "
            "reaching the limit is an error.",
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
    """One conversation: turns, tools, settings, expectations."""

    id: Required[
        Annotated[
            str,
            StringConstraints(pattern=ID),
            Field(description="Unique in the suite: lower-case letters, digits, '-' and '_'."),
        ]
    ]


@with_config(_FORBID)
class SuiteDocument(TypedDict, total=False):
    """A suite of scenarios for evalkit."""

    suite: Required[
        Annotated[
            str,
            StringConstraints(pattern=SUITE),
            Field(
                description="The suite's name; names its results and its directory of cassettes."
            ),
        ]
    ]
    description: Annotated[Text, Field(description="The subject of the suite.")]
    defaults: Annotated[
        ScenarioKeys,
        Field(
            description="Any scenario key except id; a scenario's own value wins, "
            "tags and expect are added."
        ),
    ]
    vars: Annotated[
        Variables,
        Field(
            description="Variables for templates ({{ name }}); "
            "a case's field of the same name wins."
        ),
    ]
    tools: Annotated[
        dict[Annotated[str, StringConstraints(pattern=FUNCTION)], ToolEntry],
        Field(description="Functions that the scenarios may declare to the model, by name."),
    ]
    scenarios: Required[
        Annotated[
            list[ScenarioEntry], Field(min_length=1, description="The conversations of this suite.")
        ]
    ]


SUITE_FILE: TypeAdapter[SuiteDocument] = TypeAdapter(SuiteDocument)
"""Validates a whole loaded file. Raises pydantic.ValidationError."""
