"""How messages name the part of a suite file that a path leads to."""

from evalkit._lib.json import JSON
from evalkit._lib.yaml import ValuePath


def describe_path(document: JSON, path: ValuePath) -> str:
    """Return ``scenario 'london', turn 1``, ``tool 'x'``, ``defaults`` or ``""``."""
    if len(path) < 2:
        return ""
    top, second, *rest = path
    if top == "tools":
        return f"tool {second!r}"
    if top == "scenarios" and isinstance(second, int):
        text = f"scenario {scenario_name(document, second)}"
    elif top == "defaults":
        text, rest = "defaults", [second, *rest]
    else:
        return ""
    if len(rest) > 1 and rest[0] in ("turns", "cases") and isinstance(rest[1], int):
        text += f", {'turn' if rest[0] == 'turns' else 'case'} {rest[1] + 1}"
    return text


def scenario_name(document: JSON, index: int) -> str:
    """Return a scenario's quoted id, or its number from 1 if it has none."""
    try:
        name = document["scenarios"][index]["id"]
    except (LookupError, TypeError):
        name = None
    return repr(name) if isinstance(name, str) and 0 < len(name) <= 80 else str(index + 1)
