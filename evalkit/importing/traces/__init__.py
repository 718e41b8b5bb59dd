"""Traces of production traffic as recorded exchanges: spans, Langfuse, LangSmith, Logfire."""
