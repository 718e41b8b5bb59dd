"""The check ``steps`` and its pattern language."""
