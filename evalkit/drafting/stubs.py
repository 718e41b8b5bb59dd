"""Tools of a conversation that was held: what was declared, and what each call was answered, keyed by its arguments. Pure.

Server-side tools are declared as they were; functions become tools of the suite whose ``results`` are what the application answered then. A
call with the same arguments that was answered differently later can be stubbed once only: the first answer stays, and a note says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evalkit._lib.json import JSON, equal, loads
from evalkit._lib.text import show
from evalkit.protocol.step_reader import pair_calls
from evalkit.suite.model.language import FUNCTION
from evalkit.transcript import Transcript

_DECLARED = ("description", "short_description", "parameters", "defer_loading")


@dataclass(slots=True)
class Tools:
    """The tools of a conversation. ``functions`` are entries of the suite's ``tools``, ``used`` what the scenario lists."""

    functions: dict[str, dict[str, JSON]] = field(default_factory=dict)
    used: list[JSON] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def agrees(self, other: Mapping[str, Mapping[str, JSON]]) -> bool:
        """Say whether these functions can stand in one suite with others: the same declarations, no call answered in two ways."""
        return all(
            _agree(entry, other[name]) for name, entry in self.functions.items() if name in other
        )


def tools_of(transcript: Transcript, declared: JSON) -> Tools:
    """Return the tools of a conversation; ``declared`` is ``tools`` as it was sent."""
    tools = Tools()
    for tool in declared if isinstance(declared, list) else ():
        if not isinstance(tool, Mapping):
            continue
        name = tool.get("name")
        if tool.get("type") == "function" and isinstance(name, str) and re.match(FUNCTION, name):
            tools.functions[name] = {
                key: tool[key] for key in _DECLARED if tool.get(key) is not None
            }
            tools.used.append(name)
        else:
            tools.used.append(dict(tool))
    for entry in tools.functions.values():
        entry["results"] = []
    _answers(transcript, tools)
    for name, entry in tools.functions.items():
        if not entry["results"]:
            del entry["results"]
            entry["result"] = {"error": f"{name} was not called in what was imported"}
            tools.notes.append(
                f"{name} was declared and never called: its result is made up; write a real one"
            )
    return tools


def merge(entries: dict[str, dict[str, JSON]], more: Mapping[str, dict[str, JSON]]) -> None:
    """Put the functions of a conversation beside those of others that agree with them."""
    for name, entry in more.items():
        held = entries.get(name)
        if held is None or ("results" in entry and "results" not in held):
            entries[name] = (
                {**entry, "results": list(entry["results"])} if "results" in entry else entry
            )
        elif "results" in entry:
            known = held["results"]
            known += [
                one
                for one in entry["results"]
                if not any(equal(one["when"], other["when"]) for other in known)
            ]


def _answers(transcript: Transcript, tools: Tools) -> None:
    steps = [step.raw for turn in transcript.turns for step in turn.steps]
    for call, result in _calls(steps):
        name = call.get("name")
        entry = tools.functions.get(name) if isinstance(name, str) else None
        if entry is None:
            if isinstance(name, str):
                tools.notes.append(f"{name} was called and never declared")
            continue
        arguments = call.get("arguments")
        one: dict[str, JSON] = {
            "when": arguments if isinstance(arguments, dict) else {},
            "result": _value(result.get("result")),
        }
        if result.get("is_error"):
            one["is_error"] = True
        same = next(
            (other for other in entry["results"] if equal(other["when"], one["when"])), None
        )
        if same is None:
            entry["results"].append(one)
        elif not equal(same, one):
            tools.notes.append(
                f"{name} was called with {show(one['when'], 60)} more than once and answered differently; the first answer is given"
            )
    for entry in tools.functions.values():
        # The first that fits is given, so the answer for more arguments stands before the one for fewer.
        entry["results"].sort(key=lambda one: -len(one["when"]))


def _calls(
    steps: Sequence[Mapping[str, JSON]],
) -> list[tuple[Mapping[str, JSON], Mapping[str, JSON]]]:
    raw = [dict(step) for step in steps]
    return [
        (raw[pair.call_index], raw[pair.result_index])
        for pair in pair_calls(raw).pairs
        if pair.result_index is not None and raw[pair.call_index].get("type") == "function_call"
    ]


def _value(result: JSON) -> JSON:
    """Return what a function said, as its suite would: the text of its blocks, parsed where it is JSON."""
    if (
        isinstance(result, list)
        and result
        and all(isinstance(one, Mapping) and one.get("type") == "text" for one in result)
    ):
        result = "\n".join(str(one.get("text", "")) for one in result)
    if isinstance(result, str):
        try:
            parsed = loads(result)
        except (ValueError, RecursionError):
            return result
        return parsed if isinstance(parsed, dict | list) else result
    return result if result is not None else ""


def _agree(one: Mapping[str, JSON], other: Mapping[str, JSON]) -> bool:
    if any(not equal(one.get(key), other.get(key)) for key in _DECLARED):
        return False
    answers = [*one.get("results", ()), *other.get("results", ())]
    return all(
        equal(first, second)
        for first in answers
        for second in answers
        if equal(first["when"], second["when"])
    )
