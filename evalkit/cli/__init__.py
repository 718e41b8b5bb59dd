"""The ``evalkit`` command, one module per command, imported when it is called."""

from evalkit.cli.main import main

__all__ = ["main"]
