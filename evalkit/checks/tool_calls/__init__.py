"""The check ``tool_calls``."""
