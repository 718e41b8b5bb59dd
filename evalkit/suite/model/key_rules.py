"""Rules that join several keys of a scenario, and the merge of its layers.

The layers are the defaults, the scenario itself, and the choices of its ``matrix``.

* A later layer wins key by key; nothing is merged inside a value. ``tags`` and ``expect`` are
  added to those of the layers before.
* ``model`` and ``agent`` exclude each other: a layer that names one drops the other of the layers
  before, and the keys that only the other accepts.
* Requests that the API always refuses (docs/protocol.md sections 2 and 8) are refused at load.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from evalkit._lib.json import JSON, equal
from evalkit._lib.problems import PathProblem
from evalkit._lib.text import did_you_mean, quoted, show
from evalkit._lib.yaml import ValuePath
from evalkit.protocol.wire_facts import API_TOOLS
from evalkit.suite.model.templates import is_template
from evalkit.suite.model.variants import AXES

KeyPath = Callable[[str], ValuePath]
"""Returns the path of a merged key: the scenario's own, or that of the defaults."""

MANAGED_FIELDS = {
    "input": "it is built from 'turns'",
    "previous_interaction_id": "it follows from 'history'",
    "store": "it follows from 'history'",
    "stream": "write it as a key of the scenario",
    "background": "write it as a key of the scenario",
    "continuation_token": "the conversation manages it",
}
"""Request fields that belong to the conversation; ``request:`` cannot set them."""

Matrix = Mapping[str, Mapping[str, Mapping[str, JSON]]]
"""The keys that each choice of each axis overrides."""

ADDED_KEYS = ("tags", "expect")
"""Keys whose values are added to those of the layers before."""
ONLY_MODELS = ("generation_config", "cached_content")
ONLY_AGENTS = ("agent_config",)


class Layer(NamedTuple):
    """Keys of a scenario that are written in one mapping of the file, and its path."""

    keys: Mapping[str, JSON]
    path: ValuePath


def merge_layers(layers: Sequence[Layer]) -> dict[str, JSON]:
    """Return the keys of a scenario. The caller joins ``tags`` and ``expect``."""
    merged: dict[str, JSON] = {}
    for keys, _ in layers:
        dropped: tuple[str, ...] = ()
        if "agent" in keys and "model" not in keys:
            dropped = ("model", *ONLY_MODELS)
        elif "model" in keys and "agent" not in keys:
            dropped = ("agent", *ONLY_AGENTS)
        for key in dropped:
            merged.pop(key, None)
        merged.update(keys)
    return merged


def matrix_problems(matrix: Matrix, path: ValuePath) -> Iterator[PathProblem]:
    """Yield choices of one name, and axes that override the same key."""
    axes: dict[str, str] = {}
    owners: dict[str, str] = {}
    for axis, choices in matrix.items():
        for choice in choices:
            first = axes.setdefault(choice, axis)
            if first != axis:
                yield PathProblem(
                    (*path, axis, choice),
                    f"the axes {first!r} and {axis!r} both have the choice {choice!r}; rename one: "
                    "choices are parts of the names of variants",
                    "key",
                )
        for choice, keys in choices.items():
            for key in keys:
                subject = "model" if key == "agent" else key
                first = owners.setdefault(subject, axis)
                if first != axis and key not in ADDED_KEYS:
                    yield PathProblem(
                        (*path, axis, choice, key),
                        f"the axes {first!r} and {axis!r} both override {key!r}, so that one of "
                        "them has no effect; join them in one axis",
                        "key",
                    )


def key_problems(
    keys: Mapping[str, JSON], key_path: KeyPath, scenario_path: ValuePath
) -> Iterator[PathProblem]:
    """Yield missing, excluded and contradictory keys of a merged scenario."""
    yield from _missing_keys(keys, key_path, scenario_path)
    yield from _model_or_agent(keys, key_path)
    for key in AXES:
        if key in keys:
            yield from _axis_problems(key, keys[key], key_path(key))
    if True in _values(keys, "background") and "stateless" in _values(keys, "history"):
        hints: tuple[str, ...] = ()
        if isinstance(keys["background"], list) and isinstance(keys["history"], list):
            hints = ("leave one value out of the two lists, or write two scenarios",)
        yield PathProblem(
            key_path("background"),
            "a background run cannot be stateless: "
            "the API refuses 'background' with 'store: false'",
            hints=hints,
        )
    repeat = keys.get("repeat")
    if isinstance(repeat, dict) and repeat["require"] > repeat["trials"]:
        message = f"{repeat['require']} of {repeat['trials']} trials cannot pass"
        hints = ("'require' is at most 'trials'",)
        yield PathProblem((*key_path("repeat"), "require"), message, hints=hints)
    if "given" in keys and "target" in keys:
        message = "'given' needs evalkit to run the turns; the function of a 'target' has its own"
        yield PathProblem(key_path("given"), message, "key")
    for key in keys.get("request", ()):
        if key in MANAGED_FIELDS:
            message = f"'request' cannot set {key!r}: {MANAGED_FIELDS[key]}"
            yield PathProblem((*key_path("request"), key), message, "key")


def _missing_keys(
    keys: Mapping[str, JSON], key_path: KeyPath, scenario_path: ValuePath
) -> Iterator[PathProblem]:
    # The function of a 'target' may choose its model.
    if keys.keys().isdisjoint(("model", "agent", "target")):
        message = "missing key 'model' (or 'agent'), here or in 'defaults'"
        yield PathProblem(scenario_path, message)
    if "turns" not in keys:
        yield PathProblem(scenario_path, "missing key 'turns': a scenario needs at least one turn")
    for number, turn in enumerate(keys.get("turns", ())):
        path = (*key_path("turns"), number)
        if "simulate" in turn:
            yield from _simulated_turn(turn, keys, path)
        elif "user" not in turn and "attach" not in turn:
            message = "missing key 'user': a turn has a message, an attachment or 'simulate'"
            yield PathProblem(path, message)


def _simulated_turn(
    turn: Mapping[str, JSON], keys: Mapping[str, JSON], path: ValuePath
) -> Iterator[PathProblem]:
    for key in ("user", "attach", "stop_after"):
        if key in turn:
            message = f"{key!r} and 'simulate' exclude each other: a model writes the messages"
            yield PathProblem((*path, key), message, "key")
    if "target" in keys:
        message = (
            "'simulate' needs evalkit to run the turns; the function of a 'target' runs its own"
        )
        yield PathProblem((*path, "simulate"), message, "key")
    elif "agent" in keys and "model" not in turn["simulate"]:
        yield PathProblem(
            (*path, "simulate"),
            "missing key 'model': an agent cannot play the user, so name a model that does",
        )


def _model_or_agent(keys: Mapping[str, JSON], key_path: KeyPath) -> Iterator[PathProblem]:
    if "agent" not in keys:
        for key in ONLY_AGENTS:
            if key in keys:
                yield PathProblem(key_path(key), f"{key!r} is allowed with an agent only", "key")
        return
    if "model" in keys:
        yield PathProblem(key_path("agent"), "'model' and 'agent' exclude each other", "key")
    for key in ONLY_MODELS:
        if key in keys:
            message = f"{key!r} is allowed with a model, not with an agent"
            yield PathProblem(key_path(key), message, "key")


def _axis_problems(key: str, value: JSON, path: ValuePath) -> Iterator[PathProblem]:
    values = value if isinstance(value, list) else [value]
    for number, item in enumerate(values):
        item_path = (*path, number) if isinstance(value, list) else path
        if any(equal(item, other) for other in values[:number]):
            yield PathProblem(item_path, f"{show(item)} is twice in {key!r}")
        if is_template(item):
            yield PathProblem(
                item_path,
                f"templates are not rendered in {key!r}: it is part of the variant's name",
            )


def tool_name_problems(
    entries: list[JSON], path: ValuePath, declared: Mapping[str, object]
) -> Iterator[PathProblem]:
    """Yield what is wrong with a scenario's ``tools``: undeclared and repeated names."""
    for number, entry in enumerate(entries):
        if isinstance(entry, str) and entry not in declared:
            hint = f"declared: {', '.join(declared) or 'none'}"
            if entry in API_TOOLS:
                hint = f"a tool of the API is written {{type: {entry}}}"
            message = f"unknown tool {quoted(entry)}{did_you_mean(entry[:60], declared)}"
            yield PathProblem((*path, number), message, hints=(hint,))
        elif isinstance(entry, str) and entry in entries[:number]:
            yield PathProblem((*path, number), f"the tool {entry!r} is listed twice")


def _values(keys: Mapping[str, JSON], key: str) -> list[JSON]:
    value = keys.get(key)
    return value if isinstance(value, list) else [value]
