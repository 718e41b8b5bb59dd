"""Rules that join several keys of a scenario, and how ``defaults`` are merged under it.

* A scenario's own value wins key by key; nothing is merged inside a value. ``tags`` and ``expect`` add up, the defaults' first.
* ``model`` and ``agent`` are one choice: a scenario that names one drops the defaults' other, and what only the other takes.
* What the API refuses in every case (protocol sections 2 and 8) is refused here, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from evalkit._lib.json import JSON, equal
from evalkit._lib.text import did_you_mean, quoted, show
from evalkit.suite.catalog import Path
from evalkit.suite.names import AXES
from evalkit.suite.problems import Wrong
from evalkit.suite.templates import is_template

if TYPE_CHECKING:
    from evalkit.suite.models import ScenarioKeys

Origin = Callable[[str], Path]
"""Tells the path of a key: the scenario's own, or that of the defaults."""

MANAGED = {
    "input": "it is made of 'turns'", "previous_interaction_id": "it follows from 'history'", "store": "it follows from 'history'",
    "stream": "write it as a key of the scenario", "background": "write it as a key of the scenario",
    "continuation_token": "it is kept by the conversation",
}  # fmt: skip
"""Request fields that belong to the conversation; ``request:`` cannot set them."""

ONLY_MODELS = ("generation_config", "cached_content")
ONLY_AGENTS = ("agent_config",)
API_TOOLS = (
    "google_search",
    "code_execution",
    "url_context",
    "google_maps",
    "file_search",
    "mcp_server",
    "computer_use",
    "retrieval",
    "tool_search",
)


def merge(defaults: ScenarioKeys, own: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return a scenario's keys with the defaults under them; ``tags`` and ``expect`` are the caller's to add up."""
    if not defaults:
        return dict(own)
    dropped: tuple[str, ...] = ()
    if "agent" in own and "model" not in own:
        dropped = ("model", *ONLY_MODELS)
    elif "model" in own and "agent" not in own:
        dropped = ("agent", *ONLY_AGENTS)
    return {
        **{
            key: value
            for key, value in cast("dict[str, JSON]", defaults).items()
            if key not in dropped
        },
        **own,
    }


def conflicts(keys: Mapping[str, JSON], origin: Origin, base: Path) -> Iterator[Wrong]:
    """Yield what is wrong among a merged scenario's keys."""
    if "agent" in keys or "agent_config" in keys:
        yield from _called(keys, origin, base)
    for key in AXES:
        if key in keys and (isinstance(keys[key], list) or is_template(keys[key])):
            yield from _axis(key, keys[key], origin(key))
    if (
        "background" in keys
        and True in _values(keys, "background")
        and "stateless" in _values(keys, "history")
    ):
        listed = isinstance(keys["background"], list) and isinstance(keys["history"], list)
        yield Wrong(
            origin("background"),
            "a background run cannot be stateless: the API refuses 'background' with 'store: false'",
            hints=("leave one value out of the two lists, or write two scenarios",)
            if listed
            else (),
        )
    for key in keys.get("request", ()):
        if key in MANAGED:
            yield Wrong(
                (*origin("request"), key), f"'request' cannot set {key!r}: {MANAGED[key]}", "key"
            )


def missing(keys: Mapping[str, JSON], origin: Origin, base: Path) -> Iterator[Wrong]:
    """Yield what a merged scenario lacks."""
    if (
        "model" not in keys and "agent" not in keys and "target" not in keys
    ):  # a target's function may choose its model itself
        yield Wrong(base, "missing key 'model' (or 'agent'), here or in 'defaults'")
    if "turns" not in keys:
        yield Wrong(base, "missing key 'turns': a scenario needs at least one turn")
    for number, turn in enumerate(keys.get("turns", ())):
        if "user" not in turn and "attach" not in turn:
            yield Wrong(
                (*origin("turns"), number),
                "missing key 'user': a turn says something, or attaches something",
            )


def unknown_tools(entries: list[JSON], path: Path, declared: Mapping[str, Any]) -> Iterator[Wrong]:
    """Yield what is wrong with a scenario's ``tools``: names that are not declared, names that stand twice."""
    for number, entry in enumerate(entries):
        if isinstance(entry, str) and entry not in declared:
            hint = (
                f"a tool of the API is written {{type: {entry}}}"
                if entry in API_TOOLS
                else f"declared: {', '.join(declared) or 'none'}"
            )
            yield Wrong(
                (*path, number),
                f"unknown tool {quoted(entry)}{did_you_mean(entry[:60], declared)}",
                hints=(hint,),
            )
        elif isinstance(entry, str) and entry in entries[:number]:
            yield Wrong((*path, number), f"the tool {entry!r} stands twice")


def _called(keys: Mapping[str, JSON], origin: Origin, base: Path) -> Iterator[Wrong]:
    if "agent" in keys:
        if "model" in keys:
            yield Wrong(origin("agent"), "'model' and 'agent' exclude each other", "key")
        for key in ONLY_MODELS:
            if key in keys:
                yield Wrong(origin(key), f"{key!r} goes with a model, not with an agent", "key")
    else:
        for key in ONLY_AGENTS:
            if key in keys:
                yield Wrong(origin(key), f"{key!r} goes with an agent only", "key")


def _axis(key: str, value: JSON, path: Path) -> Iterator[Wrong]:
    listed = isinstance(value, list)
    values = value if listed else [value]
    for number, one in enumerate(values):
        at = (*path, number) if listed else path
        if any(equal(one, other) for other in values[:number]):
            yield Wrong(at, f"{show(one)} stands twice in {key!r}")
        if is_template(one):
            yield Wrong(
                at, f"templates are not rendered in {key!r}: it is part of the variant's name"
            )


def _values(keys: Mapping[str, JSON], key: str) -> list[JSON]:
    held = keys.get(key)
    return held if isinstance(held, list) else [held]
