"""The ``evalkit`` command: one module per command, loaded only when it is called."""

from evalkit.cli.main import main

__all__ = ["main"]
