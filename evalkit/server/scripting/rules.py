"""One rule of a script: its condition and what it says about the answer, a table from key to reader. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evalkit._lib.json import JSON
from evalkit._lib.text import show
from evalkit.protocol.step_types import STATUSES
from evalkit.server.answers.answer import InteractionDraft
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.fault_injection.plans import WHEN, FaultPlan, FaultPlanError, plan_from_yaml
from evalkit.server.requests.error_response import ErrorResponse
from evalkit.server.scripting.conditions import Condition, condition
from evalkit.server.scripting.script_reader import Path, ScriptReader
from evalkit.server.scripting.steps import Steps, read_reply, read_steps
from evalkit.server.scripting.templates import Render

Fill = Callable[[InteractionRequest, dict[str, JSON], InteractionDraft], None]


@dataclass(frozen=True, slots=True)
class ScriptRule:
    """One rule. ``plain`` asks for the plain answer, with this rule's status, delay and so on around it.

    ``judges`` lets it answer a judge's question, which holds a whole conversation and would meet conditions meant for that.
    """

    name: str
    where: str
    when: Condition
    fills: tuple[Fill, ...]
    times: int | None
    plain: bool
    judges: bool = False


def read_rule(notes: ScriptReader, value: JSON, path: Path, file: str) -> ScriptRule:
    """Read one entry of ``rules:``; ``file`` is the script's name, for messages."""
    data = notes.mapping(value, path, _RULE_KEYS, "key of a rule")
    name = data.get("name", "")
    notes.of(name, (*path, "name"), "string")
    if not set(data) & _ANSWERS and isinstance(value, dict):
        notes.add(path, f"a rule needs one of {', '.join(sorted(_ANSWERS))}")
    if "reply" in data and "steps" in data:
        notes.add((*path, "steps"), "'reply' and 'steps' exclude each other", key=True)
    plain = data.get("plain", False)
    notes.of(plain, (*path, "plain"), "boolean")
    return ScriptRule(
        name=str(name),
        where=f"rule {name!r} ({file}:{notes.line(path)})"
        if name
        else f"rule at {file}:{notes.line(path)}",
        when=condition(notes, data.get("when", {}), (*path, "when")),
        fills=tuple(
            _FILLS[key](notes, item, (*path, key)) for key, item in data.items() if key in _FILLS
        ),
        times=int(notes.number(data["times"], (*path, "times"), whole=True))
        if "times" in data
        else None,
        plain=plain is True,
        judges=isinstance(when := data.get("when"), dict) and when.get("judge") is True,
    )


def _steps(
    read: Callable[[ScriptReader, JSON, Path], Steps],
) -> Callable[[ScriptReader, JSON, Path], Fill]:
    def fill_with(notes: ScriptReader, value: JSON, path: Path) -> Fill:
        build = read(notes, value, path)

        def fill(
            ask: InteractionRequest, context: dict[str, JSON], answer: InteractionDraft
        ) -> None:
            answer.steps = build(ask, context)

        return fill

    return fill_with


def _status(notes: ScriptReader, value: JSON, path: Path) -> Fill:
    if notes.of(value, path, "string") and value not in STATUSES:
        notes.add(path, f"unknown status {value!r}; there are {', '.join(STATUSES)}")

    def fill(ask: InteractionRequest, context: dict[str, JSON], answer: InteractionDraft) -> None:
        answer.status = value

    return fill


def _errors(notes: ScriptReader, value: JSON, path: Path) -> Fill:
    if notes.of(value, path, "array"):
        for index, item in enumerate(value):
            notes.mapping(item, (*path, index), ("code", "message"), "field of an error")
    return _rendered("errors", notes.template(value, path))


def _object(name: str) -> Callable[[ScriptReader, JSON, Path], Fill]:
    def read(notes: ScriptReader, value: JSON, path: Path) -> Fill:
        notes.of(value, path, "object")
        return _rendered(name, notes.template(value, path))

    return read


def _files(notes: ScriptReader, value: JSON, path: Path) -> Fill:
    """``files``: texts by path, written into the environment the answer works in."""
    if notes.of(value, path, "object"):
        for key, item in value.items():
            notes.of(item, (*path, key), "string")
    return _rendered("files", notes.template(value, path))


def _rendered(name: str, render: Render) -> Fill:
    return lambda ask, context, answer: setattr(answer, name, render(context))


def _number(name: str, *, whole: bool = False) -> Callable[[ScriptReader, JSON, Path], Fill]:
    def read(notes: ScriptReader, value: JSON, path: Path) -> Fill:
        number = notes.number(value, path, whole=whole)
        return lambda ask, context, answer: setattr(answer, name, int(number) if whole else number)

    return read


def _error(notes: ScriptReader, value: JSON, path: Path) -> Fill:
    """``error: 503``, or a mapping; ``after`` sends it inside the stream, after so many events, ``shape: gateway`` in the gateway's body."""
    data = (
        notes.mapping(
            value,
            path,
            ("status", "code", "message", "retry_after", "after", "shape"),
            "field of an error",
        )
        if isinstance(value, dict)
        else {"status": value}
    )
    status = int(
        notes.number(
            data.get("status", 0),
            (*path, "status") if isinstance(value, dict) else path,
            whole=True,
        )
    )
    if not 400 <= status <= 599:
        notes.add((*path, "status"), f"an error needs a status from 400 to 599, got {status}")
    for key in ("code", "message"):
        notes.of(data.get(key, ""), (*path, key), "string")
    headers = (
        {
            "retry-after": str(
                int(notes.number(data["retry_after"], (*path, "retry_after"), whole=True))
            )
        }
        if "retry_after" in data
        else {}
    )
    after = (
        int(notes.number(data["after"], (*path, "after"), whole=True)) if "after" in data else None
    )
    message = notes.template(data.get("message", ""), (*path, "message"))
    shape = data.get("shape", "api")
    if shape not in ("api", "gateway"):
        notes.add((*path, "shape"), f"unknown shape {show(shape)}; there are api, gateway")

    def fill(ask: InteractionRequest, context: dict[str, JSON], answer: InteractionDraft) -> None:
        answer.fault = ErrorResponse(
            status,
            str(message(context)),
            code=data.get("code", ""),
            headers=headers,
            gateway=shape == "gateway",
        )
        answer.fault_after = after

    return fill


def read_faults(notes: ScriptReader, value: JSON, path: Path) -> tuple[FaultPlan, ...]:
    """Read a list of ``faults:``, or a single one; each is a mapping (``{cut: 3, every: 5}``) or the command line's text."""
    listed = value if isinstance(value, list) else [value]
    plans = []
    for index, item in enumerate(listed):
        place = (*path, index) if isinstance(value, list) else path
        try:
            plans.append(plan_from_yaml(item, ".".join(map(str, (*path, index)))))
        except FaultPlanError as error:
            at = error.path if isinstance(item, dict) else ()
            notes.add((*place, *at), str(error), key=len(at) == 1 and at[0] not in WHEN)
    return tuple(plans)


def _faults(notes: ScriptReader, value: JSON, path: Path) -> Fill:
    plans = read_faults(notes, value, path)
    return lambda ask, context, answer: setattr(answer, "faults", plans)


_FILLS: dict[str, Callable[[ScriptReader, JSON, Path], Fill]] = {
    "reply": _steps(read_reply),
    "steps": _steps(read_steps),
    "status": _status,
    "errors": _errors,
    "error": _error,
    "usage": _object("usage"),
    "fields": _object("fields"),
    "files": _files,
    "polls": _number("polls", whole=True),
    "delay": _number("delay"),
    "event_delay": _number("event_delay"),
    "cut_after": _number("cut_after", whole=True),
    "faults": _faults,
}
_RULE_KEYS = ("name", "when", "times", "plain", *_FILLS)
_ANSWERS = frozenset({"reply", "steps", "error", "plain", "errors", "status"})
