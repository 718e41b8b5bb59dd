"""Recognize a damaged manifest before anything is read from it. Pure.

The JSON Schema of manifests (``evalkit schema manifest``) is stricter, and what is signed or merged
must fit it. Here a member may be missing; one that exists has the shape that readers rely on.
"""

from collections.abc import Mapping
from typing import Any

from evalkit._lib.json import JSON


def _is_count(value: JSON) -> bool:
    # A float is exact below 2^53, and what is counted is never more.
    return type(value) is int and 0 <= value < 1 << 53


_FILE = {"path": str}
_MEMBERS: Mapping[str, Any] = {
    "totals": (_is_count,),
    "options": dict,
    "environment": dict,
    "complete": bool,
    "started": str | None,
    "ended": str | None,
    "suites": [{**_FILE, "suite": str, "files": [_FILE]}],
    "modules": [_FILE],
    "cassettes": [_FILE],
    "merged": [dict],
    "not_collected": [str],
    "sequential": {
        "gate": str,
        "scenarios": _is_count,
        "largest": _is_count,
        "decision": str | None,
        "not_run": (_is_count,),
    },
}
"""The shapes of what is read from a manifest: ``[of each item]``, ``(of each value,)``."""


def manifest_damage(manifest: JSON) -> str:
    """Return what in a manifest cannot be read, empty if there is nothing."""
    if not isinstance(manifest, dict):
        return "expected an object"
    for name in _MEMBERS.keys() & manifest.keys():
        value, shape = manifest[name], _MEMBERS[name]
        # Of a sequential run every key is read.
        is_partial = (
            name == "sequential" and isinstance(value, dict) and shape.keys() - value.keys()
        )
        if is_partial or not _has_shape(value, shape):
            return f"{name!r} is not as evalkit writes it"
    return ""


def _has_shape(value: JSON, shape: Any) -> bool:
    if isinstance(shape, list):
        return isinstance(value, list) and all(_has_shape(one, shape[0]) for one in value)
    if isinstance(shape, tuple):
        return isinstance(value, dict) and all(map(shape[0], value.values()))
    if isinstance(shape, Mapping):
        return isinstance(value, dict) and all(
            _has_shape(value[key], shape[key]) for key in shape.keys() & value.keys()
        )
    return shape(value) if shape is _is_count else isinstance(value, shape)
