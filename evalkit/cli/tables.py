"""Plain tables for the terminal: no lines, first column to the left, numbers to the right."""

from rich.table import Column, Table


def grid(*columns: str) -> Table:
    """Return an empty table with these headings."""
    headings = (
        Column(name, justify="right" if number else "left", no_wrap=True)
        for number, name in enumerate(columns)
    )
    return Table(*headings, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
