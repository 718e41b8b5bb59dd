"""Names of attributes in OpenTelemetry's conventions for generative AI, with their older names.

``spans`` writes the current names; an import of traces also reads the older ones.

Source: the semantic conventions for generative AI of 2026 and their changelog; the attributes of
OpenLLMetry (``gen_ai.prompt.0.content``, ``llm.request.…``), OpenInference (``llm.…``), Vercel's AI
SDK (``ai.…``) and the SDKs of Langfuse (``langfuse.observation.…``).
"""

OPERATION = "gen_ai.operation.name"
CONVERSATION = "gen_ai.conversation.id"
MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH = "gen_ai.response.finish_reasons"
OUTPUT_TYPE = "gen_ai.output.type"
SYSTEM = "gen_ai.system_instructions"
INPUT = "gen_ai.input.messages"
OUTPUT = "gen_ai.output.messages"
TOOLS = "gen_ai.tool.definitions"
HTTP_STATUS = "http.response.status_code"
ERROR_TYPE = "error.type"

SETTINGS = {
    "gen_ai.request.temperature": "temperature",
    "gen_ai.request.top_p": "top_p",
    "gen_ai.request.top_k": "top_k",
    "gen_ai.request.seed": "seed",
    "gen_ai.request.max_tokens": "max_output_tokens",
    "gen_ai.request.stop_sequences": "stop_sequences",
}
"""Attributes of a request, and the fields of ``generation_config``."""

OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
USAGE = {
    "gen_ai.usage.input_tokens": "total_input_tokens",
    OUTPUT_TOKENS: "total_output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "total_cached_tokens",
    "gen_ai.usage.reasoning.output_tokens": "total_thought_tokens",
}
"""Attributes of a response, and the fields of ``usage``; output includes thoughts."""

FIELDS = {
    MODEL: "model",
    SYSTEM: "system_instruction",
    INPUT: "input",
    OUTPUT: "steps",
    TOOLS: "tools",
    RESPONSE_ID: "id",
    **dict.fromkeys(SETTINGS, "generation_config"),
    **dict.fromkeys(USAGE, "usage"),
}
"""Attributes, and the fields of requests and responses that have their content."""

OLDER = {
    CONVERSATION: (
        "gen_ai.thread.id",
        "session.id",
        "langfuse.session.id",
        "langsmith.metadata.thread_id",
    ),
    MODEL: (
        "llm.model_name",
        "llm.request.model",
        "llm.request.model_name",
        RESPONSE_MODEL,
        "langfuse.observation.model.name",
    ),
    RESPONSE_ID: ("llm.response.id",),
    FINISH: (
        "gen_ai.completion.0.finish_reason",
        "llm.response.finish_reason",
        "llm.finish_reason",
        "gen_ai.response.finish_reason",
    ),
    INPUT: (
        "gen_ai.prompt",
        "llm.input_messages",
        "gen_ai.content.prompt",
        "ai.prompt.messages",
        "langfuse.observation.input",
    ),
    OUTPUT: (
        "gen_ai.completion",
        "llm.output_messages",
        "gen_ai.content.completion",
        "ai.response.text",
        "langfuse.observation.output",
    ),
    TOOLS: ("gen_ai.request.tools", "llm.request.functions", "llm.tools", "ai.prompt.tools"),
    "gen_ai.request.max_tokens": (
        "llm.request.max_tokens",
        "gen_ai.request.max_output_tokens",
        "gen_ai.request.max_completion_tokens",
    ),
    "gen_ai.request.seed": ("gen_ai.openai.request.seed", "gen_ai.request.openai.seed"),
    "gen_ai.request.temperature": ("llm.request.temperature", "llm.temperature"),
    "gen_ai.request.top_p": ("llm.request.top_p", "llm.top_p"),
    "gen_ai.usage.input_tokens": ("gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
    "gen_ai.usage.output_tokens": (
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
    ),
    "gen_ai.usage.cache_read.input_tokens": (
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
    ),
    "gen_ai.usage.reasoning.output_tokens": (
        "gen_ai.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
}
"""Earlier names of attributes, and those of other conventions, the most usual one first."""
