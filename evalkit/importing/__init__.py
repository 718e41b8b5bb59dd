"""Turn recorded conversations into suites: user messages, tool results, settings, draft checks."""
