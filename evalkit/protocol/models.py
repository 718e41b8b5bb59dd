"""Typed views of the resource: the Interaction and its usage. The door to all typed views; what they promise stands in ``model_base``.

For reports, for users' own checks and for tests. evalkit's engine and built-in checks read raw JSON (``reading``), which is also what is
sent again: nothing here is ever serialised.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainValidator

from evalkit._lib.json import JSON
from evalkit.protocol.model_base import (
    Count,
    ErrorInfo,
    Errors,
    Items,
    Object,
    OneError,
    Text,
    Typed,
    an_array,
    an_object,
)
from evalkit.protocol.model_content import (
    ANNOTATION_MODELS,
    CONTENT_MODELS,
    Annotation,
    AudioContent,
    Content,
    DocumentContent,
    FileCitation,
    ImageContent,
    Media,
    PlaceCitation,
    SpeechMetadata,
    TextContent,
    UnknownAnnotation,
    UnknownContent,
    UrlCitation,
    VideoContent,
    WordInfo,
    read_annotation,
    read_content,
)
from evalkit.protocol.model_steps import (
    STEP_MODELS,
    Call,
    FunctionCall,
    FunctionResult,
    ModelOutput,
    Result,
    Step,
    Steps,
    Thought,
    UnknownStep,
    read_step,
)
from evalkit.protocol.reading import output_text, steps_of
from evalkit.protocol.steps import RUNNING

__all__ = [
    "ANNOTATION_MODELS",
    "CONTENT_MODELS",
    "STEP_MODELS",
    "Annotation",
    "AudioContent",
    "Call",
    "Content",
    "DocumentContent",
    "ErrorInfo",
    "FileCitation",
    "FunctionCall",
    "FunctionResult",
    "ImageContent",
    "Interaction",
    "Media",
    "ModalityTokens",
    "ModelOutput",
    "PlaceCitation",
    "Result",
    "SpeechMetadata",
    "Step",
    "TextContent",
    "Thought",
    "ToolCount",
    "Typed",
    "UnknownAnnotation",
    "UnknownContent",
    "UnknownStep",
    "UrlCitation",
    "Usage",
    "VideoContent",
    "WordInfo",
    "read_annotation",
    "read_content",
    "read_step",
]


class ModalityTokens(Typed):
    """Tokens of one modality."""

    modality: Text | None = None
    tokens: Count | None = None


class ToolCount(Typed):
    """How often a grounding tool was used; ``type`` names it."""

    count: Count | None = None


def _modalities(value: JSON) -> tuple[ModalityTokens, ...]:
    return tuple(map(ModalityTokens.from_raw, an_array(value)))


def _tool_counts(value: JSON) -> tuple[ToolCount, ...]:
    return tuple(map(ToolCount.from_raw, an_array(value)))


ByModality = Annotated[tuple[ModalityTokens, ...], PlainValidator(_modalities)]


class Usage(Typed):
    """Tokens used (protocol section 3). The total counts thoughts; any part may be absent."""

    total_tokens: Count | None = None
    total_input_tokens: Count | None = None
    total_output_tokens: Count | None = None
    total_thought_tokens: Count | None = None
    total_cached_tokens: Count | None = None
    total_tool_use_tokens: Count | None = None
    initial_input_tokens: Count | None = None
    input_tokens_by_modality: ByModality = ()
    output_tokens_by_modality: ByModality = ()
    cached_tokens_by_modality: ByModality = ()
    tool_use_tokens_by_modality: ByModality = ()
    grounding_tool_count: Annotated[tuple[ToolCount, ...], PlainValidator(_tool_counts)] = ()


def _usage(value: JSON) -> Usage:
    return Usage.from_raw(an_object(value))


OneUsage = Annotated[Usage, PlainValidator(_usage)]


class Interaction(Typed):
    """The API's resource (protocol section 3), echoes of the request included. ``id`` is None for an answer that is not stored."""

    id: Text | None = None
    object: Text | None = None
    status: Text | None = None
    model: Text | None = None
    agent: Text | None = None
    agent_config: Object | None = None
    created: Text | None = None
    updated: Text | None = None
    steps: Steps = ()
    usage: OneUsage | None = None
    environment_id: Text | None = None
    errors: Errors = ()
    error: OneError | None = None
    continuation_token: Text | None = None
    previous_interaction_id: Text | None = None
    input: JSON = None
    system_instruction: Text | None = None
    tools: Items | None = None
    generation_config: Object | None = None
    response_format: JSON = None
    environment: JSON = None
    labels: Object | None = None
    service_tier: Text | None = None
    webhook_config: Object | None = None
    safety_settings: Items | None = None
    cached_content: Text | None = None

    @property
    def output_text(self) -> str:
        """The answer's text, by the SDKs' rule: see ``reading.output_text``."""
        return output_text(steps_of(self.raw)) if isinstance(self.raw, dict) else ""

    @property
    def running(self) -> bool:
        """Whether polling should go on. An unknown status, or none, ends it."""
        return self.status in RUNNING


def _interaction(value: JSON) -> Interaction:
    return Interaction.from_raw(an_object(value))


OneInteraction = Annotated[Interaction, PlainValidator(_interaction)]
