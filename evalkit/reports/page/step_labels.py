"""The label and the card style of each step type (docs/protocol.md, "Steps")."""

from __future__ import annotations

LABELS: dict[str, tuple[str, str]] = {
    "user_input": ("user", "User"),
    "model_output": ("model", "Model"),
    "thought": ("thought", "Thought"),
    "function_call": ("call", "Function call"),
    "function_result": ("call", "Function result"),
    "code_execution_call": ("call", "Code"),
    "code_execution_result": ("call", "Code output"),
    "google_search_call": ("call", "Google Search"),
    "google_search_result": ("call", "Search result"),
    "url_context_call": ("call", "URL context"),
    "url_context_result": ("call", "URL result"),
    "google_maps_call": ("call", "Google Maps"),
    "google_maps_result": ("call", "Maps result"),
    "file_search_call": ("call", "File search"),
    "file_search_result": ("call", "File result"),
    "retrieval_call": ("call", "Retrieval"),
    "retrieval_result": ("call", "Retrieved"),
    "tool_search_call": ("call", "Tool search"),
    "tool_search_result": ("call", "Tools found"),
    "processing_call": ("call", "Processing"),
    "processing_result": ("call", "Processed"),
    "mcp_server_tool_call": ("call", "MCP call"),
    "mcp_server_tool_result": ("call", "MCP result"),
}
