"""``tool_calls``: the calls that the model made are the expected ones."""

from evalkit.checks.tool_calls.check import ToolCalls as ToolCalls
