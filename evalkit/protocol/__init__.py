"""The wire: its words as tables (``steps``), reading raw steps (``reading``), errors, server-sent events, streams to interactions and
back, typed views.

Import from the modules: the hot path (``sse``, ``assemble``, ``reading``, ``errors``, ``steps``) loads no pydantic, ``models`` and
``model_events`` do.
"""
