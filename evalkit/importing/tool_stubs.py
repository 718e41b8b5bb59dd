"""The tools of a recorded conversation as entries of a suite.

Tools that the service executes are declared as they were. Functions become tools of the suite,
whose ``results`` are what the application returned, selected by the arguments. A call that was
answered differently for the same arguments can be stubbed only once: the first result is used, and
a note says so.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from evalkit._lib.json import JSON, equal, loads
from evalkit._lib.text import show
from evalkit.protocol.step_reader import pair_calls
from evalkit.suite.model.value_types import FUNCTION
from evalkit.transcript import Transcript

_DECLARATION_KEYS = ("description", "short_description", "parameters", "defer_loading")


@dataclass(slots=True)
class ToolStubs:
    """The tools of a conversation.

    ``functions`` are entries of the suite's ``tools``, ``listed`` is the scenario's ``tools``, and
    ``notes`` say what could not be imported unchanged.
    """

    functions: dict[str, dict[str, JSON]] = field(default_factory=dict)
    listed: list[JSON] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def is_compatible(self, other: Mapping[str, Mapping[str, JSON]]) -> bool:
        """Return whether these functions can share a suite with others."""
        return all(
            _are_compatible(entry, other[name])
            for name, entry in self.functions.items()
            if name in other
        )


def stub_tools(transcript: Transcript, declared: Sequence[JSON]) -> ToolStubs:
    """Return the tools of a conversation; ``declared`` are the ``tools`` of its requests."""
    stubs = ToolStubs()
    tools = [tool for sent in declared if isinstance(sent, list) for tool in sent]
    for index, tool in enumerate(tools):
        if not isinstance(tool, Mapping) or any(equal(tool, other) for other in tools[:index]):
            continue
        name = tool.get("name")
        if isinstance(name, str) and name in stubs.functions:
            stubs.notes.append(f"{name} was declared in more than one way; the first one is used")
        elif tool.get("type") == "function" and isinstance(name, str) and re.match(FUNCTION, name):
            entry = {key: tool[key] for key in _DECLARATION_KEYS if tool.get(key) is not None}
            stubs.functions[name] = {**entry, "results": []}
            stubs.listed.append(name)
        else:
            stubs.listed.append(dict(tool))
    _add_results(transcript, stubs)
    for name, entry in stubs.functions.items():
        # The first entry that fits is used, so one with more arguments comes first.
        entry["results"].sort(key=lambda result: -len(result["when"]))
        if not entry["results"]:
            del entry["results"]
            entry["result"] = {"error": f"{name} has no result in what was imported"}
            stubs.notes.append(
                f"{name} has no recorded result: replace the invented one by a real one"
            )
    return stubs


def merge_functions(
    entries: dict[str, dict[str, JSON]], more: Mapping[str, dict[str, JSON]]
) -> None:
    """Add the functions of a conversation to compatible ones of others."""
    for name, entry in more.items():
        existing = entries.get(name)
        if existing is None or ("results" in entry and "results" not in existing):
            copy = {**entry, "results": list(entry["results"])} if "results" in entry else entry
            entries[name] = copy
            continue
        for result in entry.get("results", ()):
            if not any(equal(result["when"], other["when"]) for other in existing["results"]):
                existing["results"].append(result)


def _add_results(transcript: Transcript, stubs: ToolStubs) -> None:
    steps = [dict(step.raw) for turn in transcript.turns for step in turn.steps]
    for pair in pair_calls(steps).pairs:
        call = steps[pair.call_index]
        name = call.get("name")
        if call.get("type") != "function_call" or not isinstance(name, str):
            continue
        if name not in stubs.functions and re.match(FUNCTION, name):
            stubs.notes.append(f"{name} was called and never declared; here it is declared")
            stubs.functions[name] = {"results": []}
            stubs.listed.append(name)
        if pair.result_index is None or name not in stubs.functions:
            continue
        results = stubs.functions[name]["results"]
        arguments = call.get("arguments")
        result = steps[pair.result_index]
        stub: dict[str, JSON] = {
            "when": arguments if isinstance(arguments, dict) else {},
            "result": _parse_result(result.get("result")),
            **({"is_error": True} if result.get("is_error") else {}),
        }
        same = [other for other in results if equal(other["when"], stub["when"])]
        if not same:
            results.append(stub)
        elif not equal(same[0], stub):
            stubs.notes.append(
                f"{name} was called with {show(stub['when'], 60)} more than once with different "
                "results; the first one is used"
            )


def _parse_result(result: JSON) -> JSON:
    """Return a result as a suite declares it: the text of its blocks, parsed where it is JSON."""
    if (
        isinstance(result, list)
        and result
        and all(isinstance(block, Mapping) and block.get("type") == "text" for block in result)
    ):
        result = "\n".join(str(block.get("text", "")) for block in result)
    if isinstance(result, str):
        with suppress(ValueError, RecursionError):
            parsed = loads(result)
            return parsed if isinstance(parsed, dict | list) else result
    return result if result is not None else ""


def _are_compatible(one: Mapping[str, JSON], other: Mapping[str, JSON]) -> bool:
    if any(not equal(one.get(key), other.get(key)) for key in _DECLARATION_KEYS):
        return False
    results = [*one.get("results", ()), *other.get("results", ())]
    return all(
        equal(first, second)
        for first in results
        for second in results
        if equal(first["when"], second["when"])
    )
