"""What tracing platforms record as input and output of a call, as attributes of a span. Pure.

An input is messages, or the body of a request; an output is a message, or the body of a response.
Bodies may be those of Gemini's APIs, of OpenAI's and Anthropic's, or what LangChain collected.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from evalkit._lib.json import JSON
from evalkit.importing.traces.messages import mapping, parsed
from evalkit.results import genai_names as genai

_INPUTS = ("messages", "contents", "input", "prompts", "prompt")
_SYSTEMS = ("system_instruction", "systemInstruction", "system", "instructions")
_OUTPUTS = ("steps", "generations", "choices", "candidates", "messages", "message", "output")
_TOKENS: dict[str, tuple[str, ...]] = {
    "gen_ai.usage.input_tokens": (
        "input",
        "input_tokens",
        "prompt_tokens",
        "promptTokens",
        "total_input_tokens",
        "promptTokenCount",
    ),
    "gen_ai.usage.output_tokens": (
        "output",
        "output_tokens",
        "completion_tokens",
        "completionTokens",
        "total_output_tokens",
        "candidatesTokenCount",
    ),
}
_NANOSECONDS = 10**9
# A number of seconds, milliseconds, microseconds or nanoseconds has 10, 13, 16 or 19 digits.
_UNITS = ((10**17, 1), (10**14, 10**3), (10**11, 10**6), (0, 10**9))


def sent(value: JSON) -> dict[str, JSON]:
    """Return the attributes of an input."""
    value = parsed(value)
    if not isinstance(value, dict) or "role" in value:
        return {genai.INPUT: value}
    messages = next((value[key] for key in _INPUTS if value.get(key)), None)
    system = next((value[key] for key in _SYSTEMS if value.get(key)), None)
    parameters = {
        **value,
        **mapping(value.get("config")),
        **mapping(value.get("generation_config")),
    }
    return {
        genai.INPUT: messages,
        genai.SYSTEM: mapping(system).get("parts") or system,
        genai.TOOLS: parameters.get("tools"),
        genai.MODEL: value.get("model"),
        "llm.invocation_parameters": parameters,
    }


def received(value: JSON) -> dict[str, JSON]:
    """Return the attributes of an output."""
    value = parsed(value)
    attributes: dict[str, JSON] = {}
    while isinstance(value, dict) and "role" not in value:
        key = next((key for key in _OUTPUTS if value.get(key)), None)
        attributes |= {genai.RESPONSE_ID: value["id"]} if key and value.get("id") else {}
        attributes |= tokens(value.get("usage") or value.get("usageMetadata"))
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
    """Return the attributes of counted tokens, under any of their names."""
    counts = mapping(usage)
    return {
        name: next((counts[key] for key in keys if isinstance(counts.get(key), int)), None)
        for name, keys in _TOKENS.items()
    }


def flat(prefix: str, value: JSON) -> dict[str, JSON]:
    """Return the members of an object with a prefix, so that ``--by metadata.team`` finds them."""
    return {f"{prefix}.{key}": item for key, item in mapping(value).items()}


def first(row: Mapping[str, JSON], keys: Iterable[str]) -> Any:
    """Return the first value that is there, None without one."""
    return next((row[key] for key in keys if row.get(key) is not None), None)


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
