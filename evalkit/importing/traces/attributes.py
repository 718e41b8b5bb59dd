"""Attributes of spans by their current or older names, and lists in names with dots. Pure."""

from collections.abc import Mapping

from evalkit._lib.json import JSON
from evalkit.importing.traces.messages import mapping, parsed
from evalkit.results import genai_names as genai

_MAX_PATH = 12


def attribute(attributes: Mapping[str, JSON], name: str) -> JSON:
    """Return an attribute by its current name or an older one; None where it has no value."""
    for each in (name, *genai.OLDER.get(name, ())):
        value = attributes.get(each)
        if value is not None and value != "":
            return value
    return None


def content_of(attributes: Mapping[str, JSON], name: str) -> JSON:
    """Return messages or tools under the first name that has some."""
    for each in (name, *genai.OLDER.get(name, ())):
        value = attributes.get(each)
        found = value if value not in (None, "") else _nested(attributes, each)
        if found:
            return found
    return []


def _nested(attributes: Mapping[str, JSON], prefix: str) -> JSON:
    """Return attributes with numbers and dots in their names (``prefix.0.role``) as lists."""
    root: dict[str, JSON] = {}
    for key, value in attributes.items():
        path = key[len(prefix) + 1 :].split(".") if key.startswith(prefix + ".") else []
        # Names of attributes are foreign: a very deep one is not of a message.
        if not path or len(path) > _MAX_PATH:
            continue
        target = root
        for part in path[:-1]:
            below = target.setdefault(part, {})
            target = below if isinstance(below, dict) else {}
        target.setdefault(path[-1], value)
    return _lists(root)


def _lists(value: JSON) -> JSON:
    if not isinstance(value, dict):
        items = parsed(value) if str(value).startswith("[{") else None
        # Content of several parts is JSON; what somebody wrote has no types.
        has_parts = isinstance(items, list) and all(mapping(one).get("type") for one in items)
        return items if has_parts else value
    items = {key: _lists(item) for key, item in value.items()}
    if items and all(key.isdecimal() and len(key) < 7 for key in items):
        return [items[key] for key in sorted(items, key=int)]
    return items
