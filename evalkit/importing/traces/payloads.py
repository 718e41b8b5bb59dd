"""What tracing platforms record as input and output of a call, as attributes of a span. Pure.

An input is messages, or the body of a request; an output is a message, or the body of a response.
Bodies may be those of Gemini's APIs, of OpenAI's and Anthropic's, or what LangChain collected.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from evalkit._lib.json import JSON
from evalkit.importing.traces.messages import mapping, parsed
from evalkit.results import genai_names as genai

_INPUTS = ("messages", "contents", "input", "prompts", "prompt")
_SYSTEMS = ("system_instruction", "systemInstruction", "system", "instructions")
_OUTPUTS = (
    "steps",
    "generations",
    "choices",
    "candidates",
    "messages",
    "message",
    "output",
    "combined_chunk_content",
)
_BODIES_OF_SETTINGS = ("config", "generation_config", "generationConfig")
_TOKENS: dict[str, tuple[str, ...]] = {
    "gen_ai.usage.input_tokens": (
        "input",
        "input_tokens",
        "prompt_tokens",
        "promptTokens",
        "total_input_tokens",
        "promptTokenCount",
        "prompt_token_count",
    ),
    "gen_ai.usage.output_tokens": (
        "output",
        "output_tokens",
        "completion_tokens",
        "completionTokens",
        "total_output_tokens",
        "candidatesTokenCount",
        "candidates_token_count",
    ),
    "gen_ai.usage.cache_read.input_tokens": (
        "input_cached_tokens",
        "input_cache_read",
        "cache_read_input_tokens",
        "total_cached_tokens",
        "cachedContentTokenCount",
        "cached_content_token_count",
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "input_token_details.cache_read",
        "prompt_token_details.cache_read",
    ),
    "gen_ai.usage.reasoning.output_tokens": (
        "output_reasoning_tokens",
        "output_reasoning",
        "total_thought_tokens",
        "thoughtsTokenCount",
        "thoughts_token_count",
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "output_token_details.reasoning",
        "completion_token_details.reasoning",
    ),
}
_APART = (
    "total_thought_tokens",
    "thoughtsTokenCount",
    "thoughts_token_count",
    "output_reasoning_tokens",
    "output_reasoning",
)
"""Thoughts that the count of output tokens does not include, as that of OpenTelemetry does."""
_NANOSECONDS = 10**9
# A number of seconds, milliseconds, microseconds or nanoseconds has 10, 13, 16 or 19 digits.
_UNITS = ((10**17, 1), (10**14, 10**3), (10**11, 10**6), (0, 10**9))


def sent(value: JSON) -> dict[str, JSON]:
    """Return the attributes of an input."""
    value = parsed(value)
    if isinstance(value, list) and any(map(_is_declaration, value)):
        return {
            genai.INPUT: [one for one in value if not _is_declaration(one)],
            genai.TOOLS: [one["content"] for one in value if _is_declaration(one)],
        }
    if not isinstance(value, dict) or "role" in value:
        return {genai.INPUT: value}
    messages = next((value[key] for key in _INPUTS if value.get(key)), None)
    parameters = dict(value)
    for name in _BODIES_OF_SETTINGS:
        parameters |= {k: v for k, v in mapping(value.get(name)).items() if v is not None}
    system = next((parameters[key] for key in _SYSTEMS if parameters.get(key)), None)
    return {
        genai.INPUT: messages,
        genai.SYSTEM: mapping(system).get("parts") or system,
        genai.TOOLS: parameters.get("tools") or parameters.get("functions"),
        genai.MODEL: value.get("model"),
        "llm.invocation_parameters": parameters,
    }


def received(value: JSON) -> dict[str, JSON]:
    """Return the attributes of an output."""
    value = parsed(value)
    attributes: dict[str, JSON] = {}
    while isinstance(value, dict) and "role" not in value:
        key = next((key for key in _OUTPUTS if value.get(key)), None)
        identity = first(value, ("id", "response_id", "responseId"))
        attributes |= {genai.RESPONSE_ID: identity} if key and identity else {}
        attributes |= tokens(first(value, ("usage", "usageMetadata", "usage_metadata")))
        if key in ("steps", "messages") or key is None:
            attributes |= {genai.FINISH: value["status"]} if key == "steps" else {}
            value = value[key] if key else value
            break
        value = parsed(value[key])
        if key in ("generations", "choices", "candidates"):
            # The first of several candidates is what the application used.
            while isinstance(value, list) and value:
                value = value[0]
            if isinstance(value, dict):
                reason = value.get("finish_reason") or value.get("finishReason")
                attributes |= {genai.FINISH: reason} if reason else {}
                inner = value.get("message") or value.get("content") or value.get("text")
                value = parsed(inner) if inner else value
            break
    return {**attributes, genai.OUTPUT: value}


def tokens(usage: JSON) -> dict[str, JSON]:
    """Return the attributes of counted tokens, under any of their names; counts may be texts."""
    counts = dict(mapping(usage))
    for name, details in mapping(usage).items():
        counts |= flat(name, details) if isinstance(details, dict) else {}
    known = {
        key: int(count)
        for key, count in counts.items()
        if str(count).isdecimal() and len(str(count)) < 16
    }
    found = {
        name: known[key] for name, keys in _TOKENS.items() for key in reversed(keys) if key in known
    }
    thoughts = next((known[key] for key in _APART if key in known), 0)
    if genai.OUTPUT_TOKENS in found:
        found[genai.OUTPUT_TOKENS] += thoughts
    return found


def flat(prefix: str, value: JSON) -> dict[str, JSON]:
    """Return the members of an object with a prefix, so that ``--by metadata.team`` finds them."""
    return {f"{prefix}.{key}": item for key, item in mapping(value).items()}


def first(row: Mapping[str, JSON], keys: Iterable[str]) -> Any:
    """Return the first value that is there, None without one."""
    return next((row[key] for key in keys if row.get(key) is not None), None)


def _is_declaration(message: JSON) -> bool:
    """Return whether a message is a tool, as Langfuse's handler for LangChain appends them."""
    if not isinstance(message, dict) or message.get("role") != "tool":
        return False
    content = message.get("content")
    return isinstance(content, dict) and isinstance(content.get("function"), dict)


def items(value: JSON) -> Iterator[dict[str, JSON]]:
    """Yield the objects of a list; nothing of any other value."""
    return (one for one in (value if isinstance(value, list) else ()) if isinstance(one, dict))


def nanoseconds(value: JSON) -> int:
    """Return a time as nanoseconds since 1970: a number, its text, or ISO 8601; 0 for others."""
    try:
        number = int(value) if str(value).isdecimal() else float(value)
    except (TypeError, ValueError):
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return 0
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(zoned.timestamp() * _NANOSECONDS)
    if not 0 < number < 2**63:
        return 0
    return int(number * next(unit for least, unit in _UNITS if number >= least))
