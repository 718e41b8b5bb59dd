"""The check ``snapshot`` and the layout of its approved files."""
