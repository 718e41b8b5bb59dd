"""Function calls: which ones wait for the client, and what a result looks like on the wire.

Which calls wait, by the status of the answer they came in (``WAITING``):

| status | calls that are answered |
|---|---|
| ``requires_action`` | every one not answered before; where all were, all of them: the service says that it waits |
| ``completed``, or none at all | every one not answered before |
| any other | none: nothing waits in a run that failed, was cancelled or ran out |

The service asks with ``requires_action``; a new call in a ``completed`` answer is answered because the guide's own loop looks at the
calls and not at the status. A call that was answered is an echo there (the last sample of guide section 9 repeats one) and is never run
again.

*Answered before* is told by the id together with the name and the arguments, over the whole conversation: ids are unique with the real
service, and a service that counts them anew in each answer is still understood. A call without an id cannot be told from a new one while
the status is ``requires_action``, so it is answered then. A call whose result came along with it (a run read by GET) waits for nobody.

No tool is run here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from evalkit._lib.json import JSON, equal, json_type
from evalkit.conversation.effects import ToolResult
from evalkit.errors import ToolCrashed
from evalkit.protocol.step_reader import pair_calls
from evalkit.protocol.step_types import CONTENT_TYPES

WAITING: dict[str | None, bool] = {"requires_action": True, "completed": False, None: False}
"""Statuses under which calls are answered; True: the service surely waits for one."""

_CONTENT_TYPES = frozenset({*CONTENT_TYPES, "function"})
# Compact enough for a model and legible in a cassette; NaN is refused because no JSON reader would take it.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


class Calls:
    """The function calls of one conversation that were answered."""

    __slots__ = ("_answered",)

    def __init__(self) -> None:
        self._answered: dict[str | None, list[dict[str, JSON]]] = {}

    def waiting(self, steps: Sequence[dict[str, JSON]], status: str | None) -> list[int]:
        """Return the indexes of the calls to answer now, in order."""
        if status not in WAITING:
            return []
        kinds = [step.get("type") for step in steps]
        if "function_call" not in kinds:
            return []
        calls = [index for index, kind in enumerate(kinds) if kind == "function_call"]
        if "function_result" in kinds:
            paired = {
                pair.call_index for pair in pair_calls(steps).pairs if pair.result_index is not None
            }
            calls = [index for index in calls if index not in paired]
        certain = WAITING[status]
        fresh = [index for index in calls if not self._known(steps[index], certain)]
        return calls if certain and not fresh else fresh

    def answered(self, call: dict[str, JSON]) -> None:
        """Remember a call as answered."""
        self._answered.setdefault(call_id(call), []).append(call)

    def _known(self, call: dict[str, JSON], certain: bool) -> bool:
        key = call_id(call)
        if key is None and certain:
            return False
        earlier = self._answered.get(key, ())
        return any(
            equal(call.get("name"), old.get("name"))
            and equal(call.get("arguments"), old.get("arguments"))
            for old in earlier
        )


def call_id(call: dict[str, JSON]) -> str | None:
    """Return a call's id, None where it has none to go by."""
    found = call.get("id")
    return found if isinstance(found, str) and found else None


def arguments_of(call: dict[str, JSON]) -> dict[str, Any] | None:
    """Return a call's arguments, absent ones as ``{}``; None where they are not an object and the function cannot be called."""
    found = call.get("arguments")
    if found is None:
        return {}
    return found if isinstance(found, dict) else None


def refusal(call: dict[str, JSON]) -> ToolResult:
    """Return the error a model gets for arguments that are not an object."""
    return ToolResult(
        f"the arguments are not an object but {json_type(call.get('arguments'))}", is_error=True
    )


def result_step(call: dict[str, JSON], answer: ToolResult) -> dict[str, JSON]:
    """Return the ``function_result`` for a call, in the guide's form and key order (section 9).

    A string goes out as one text block, a list of content blocks as it stands, anything else as one text block of its JSON. ``call_id`` is
    left out where the call has no id: such calls are paired by order (protocol section 10, row 3), and a null names no call. Raises
    ToolCrashed where the result is no JSON value.
    """
    name = call.get("name")
    step: dict[str, JSON] = {"type": "function_result"}
    if name is not None:
        step["name"] = name
    if call.get("id") is not None:
        step["call_id"] = call["id"]
    if answer.declared:
        step["result"] = _content(name, answer.result)
    else:
        step["result"] = [{"type": "text", "text": f"unknown function {name!r}"}]
    if answer.is_error or not answer.declared:
        step["is_error"] = True
    return step


def _content(name: JSON, result: JSON) -> list[dict[str, JSON]]:
    if isinstance(result, str):
        return [{"type": "text", "text": result}]
    if isinstance(result, list) and result and all(map(_is_content, result)):
        return result
    try:
        return [{"type": "text", "text": _encode(result)}]
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolCrashed(f"tool {name!r} gave a result that is not JSON: {error}") from None


def _is_content(item: JSON) -> bool:
    kind = item.get("type") if isinstance(item, dict) else None
    return isinstance(kind, str) and kind in _CONTENT_TYPES
