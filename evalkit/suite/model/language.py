"""The suite language: every key, its type and its meaning.

A loaded file is validated against these types, and the JSON Schema for editors is built from them.
They describe mistakes in one place of a file; rules that join several keys are in
``evalkit.suite.model.key_rules``, and the checks validate the entries of ``expect``.

``entries`` has the mappings inside a scenario, ``value_types`` their values.

The types are TypedDicts: a key that is not written is not there, so ``defaults`` are merged with
``{**defaults, **scenario}``, and validation adds nothing and converts nothing. No key takes null:
an empty value is a mistake. Files, templates and positions are not handled here.
"""

# No 'from __future__ import annotations': pydantic would evaluate each annotation again, and once
# more where it is inherited.
from functools import cache
from typing import Annotated, Literal, Required

from pydantic import (
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    with_config,
)
from typing_extensions import TypedDict

from evalkit.suite.model.entries import (
    CaseFile,
    GivenCassette,
    TargetEntry,
    TextOrFile,
    ToolEntry,
    TurnEntry,
)
from evalkit.suite.model.policies import Repeat, Skip, Xfail
from evalkit.suite.model.value_types import (
    FORBID,
    FUNCTION,
    ID,
    NAMED_LIST,
    SUITE,
    VERSION,
    AxisName,
    ChoiceName,
    Expectations,
    Object,
    OneOrMany,
    TagName,
    Text,
    TypedObject,
    Variables,
    list_or_object,
    one_or_list,
    one_or_object,
)


@with_config(FORBID)
class ChoiceKeys(TypedDict, total=False):
    """Every key that a choice of ``matrix`` may override."""

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
        Discriminator(one_or_object),
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
    system_instruction: Annotated[
        TextOrFile, Field(description="Sent with every request: text, or {file: path}.")
    ]
    generation_config: Annotated[
        Object, Field(description="Sent with every request; not with an agent.")
    ]
    response_format: Annotated[
        Annotated[Object, Tag("(one)")]
        | Annotated[list[Object], Field(min_length=1), Tag("(list)")],
        Discriminator(one_or_list),
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
                Discriminator(one_or_object),
            ]
        ],
        Field(
            description="Names of tools that the suite declares, and tools of the API, unchanged "
            "({type: google_search})."
        ),
    ]
    target: Annotated[
        TargetEntry,
        Field(
            description="The application under test: {python: package.module:function} runs each "
            "turn, its HTTP traffic is recorded."
        ),
    ]
    given: Annotated[
        Annotated[list[TypedObject], Field(min_length=1), Tag("(list)")]
        | Annotated[GivenCassette, Tag("(object)")],
        Discriminator(list_or_object),
        Field(
            description="What was said before the first turn: {cassette: path, turns: 2}, or a "
            "list of steps of the API."
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
    max_requests: Annotated[
        int,
        Field(
            ge=1,
            description="How many requests a 'target' may send in a turn (default 200); "
            "reaching the limit is an error.",
        ),
    ]
    repeat: Repeat
    skip: Skip
    xfail: Xfail
    timeout: Annotated[float, Field(gt=0, description="Seconds for the whole scenario; live only.")]
    stop_on_failure: Annotated[
        bool,
        Field(description="End the conversation after a turn whose checks failed (default false)."),
    ]


@with_config(FORBID)
class ScenarioKeys(ChoiceKeys, total=False):
    """Every key that a scenario and ``defaults`` may have."""

    cases: Annotated[
        Annotated[list[Variables], Field(min_length=1), Tag("(list)")]
        | Annotated[CaseFile, Tag("(object)")],
        Discriminator(list_or_object),
        Field(
            description="One variant per row; its fields are variables, its id names it: a list of "
            "mappings, or {file: data.csv}."
        ),
    ]
    matrix: Annotated[
        dict[AxisName, Annotated[dict[ChoiceName, ChoiceKeys], Field(min_length=1)]],
        Field(
            description="Named axes of named choices; each choice overrides keys of the scenario. "
            "Every combination of choices is a variant."
        ),
    ]


@with_config(FORBID)
class ScenarioEntry(ScenarioKeys, total=False):
    """One conversation: turns, tools, settings, expectations."""

    id: Required[
        Annotated[
            str,
            StringConstraints(pattern=ID),
            Field(description="Unique in the suite: lower-case letters, digits, '-' and '_'."),
        ]
    ]


class SharedKeys(TypedDict, total=False):
    """What a suite and a fragment may declare."""

    description: Annotated[Text, Field(description="The subject of the file.")]
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
    expectations: Annotated[
        dict[Annotated[str, StringConstraints(pattern=NAMED_LIST)], Expectations],
        Field(description="Named lists of checks; {use: name} in an 'expect' is the list."),
    ]


@with_config(FORBID)
class SuiteDocument(SharedKeys, total=False):
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
    use: Annotated[
        list[Text],
        Field(
            min_length=1,
            description="Fragments to include: files with 'fragment:' that declare tools, vars, "
            "defaults and expectations.",
        ),
    ]
    scenarios: Required[
        Annotated[
            list[ScenarioEntry], Field(min_length=1, description="The conversations of this suite.")
        ]
    ]


@with_config(FORBID)
class FragmentDocument(SharedKeys, total=False):
    """A part that several suites include with ``use``."""

    fragment: Required[
        Annotated[str, StringConstraints(pattern=SUITE), Field(description="The fragment's name.")]
    ]


SUITE_FILE: TypeAdapter[SuiteDocument] = TypeAdapter(SuiteDocument)
"""Validates a whole loaded file. Raises pydantic.ValidationError."""


@cache
def fragment_file() -> TypeAdapter[FragmentDocument]:
    """Return what validates a fragment. Building it takes 10 ms, which most suites do not need."""
    return TypeAdapter(FragmentDocument)
