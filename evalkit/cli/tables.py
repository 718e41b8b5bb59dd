"""Plain tables for the terminal: no lines, first column to the left, numbers to the right."""

from rich.table import Table


def grid(*columns: str) -> Table:
    """Return an empty table with these headings."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=True)
    return table
