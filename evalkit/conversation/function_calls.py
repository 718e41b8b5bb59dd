"""Function calls: which of them the client answers, and their results in wire form.

No tool runs here.

Whether calls are answered depends on the status of their response (``MUST_ANSWER``):

| status | calls to answer |
|---|---|
| ``requires_action`` | those not answered before; if there are none, all: the service waits |
| ``completed``, or none at all | those not answered before |
| any other | none: the run failed, was cancelled or ended early |

``requires_action`` is the API's way to wait for results. A new call in a ``completed`` response is
answered because the loop of the API's guide ignores the status. A call there that was answered
before is an echo (a sample in section "Function calling" of the guide has one) and not run again.

A call was answered before if its id, name and arguments equal those of an answered call of the
conversation: ids are unique with the real service, but a service that counts them anew in each
response works too. A call without an id counts as new under ``requires_action``. A call whose
result is in the same response (a run read by GET) needs no answer.
"""

from collections.abc import Sequence
from typing import NamedTuple

from evalkit._lib.exact_json import write_exact
from evalkit._lib.json import JSON, equal
from evalkit.errors import ToolCrashed
from evalkit.protocol.step_reader import pair_calls, type_of
from evalkit.protocol.step_types import CONTENT_TYPES

MUST_ANSWER: dict[str | None, bool] = {"requires_action": True, "completed": False, None: False}
"""The statuses under which calls are answered, and whether the service surely waits for one."""

_RESULT_CONTENT_TYPES = frozenset({*CONTENT_TYPES, "function"})


class ToolResult(NamedTuple):
    """The result of a function. ``declared`` is False if no such function is declared."""

    result: JSON
    is_error: bool = False
    declared: bool = True


class AnsweredCalls:
    """The function calls of one conversation that were answered."""

    def __init__(self) -> None:
        self._answered: dict[str | None, list[dict[str, JSON]]] = {}

    def waiting(self, steps: Sequence[dict[str, JSON]], status: str | None) -> list[int]:
        """Return the indexes of the calls to answer now, in order."""
        calls = [at for at, step in enumerate(steps) if step.get("type") == "function_call"]
        if not calls or status not in MUST_ANSWER:
            return []
        answered_here = {
            pair.call_index for pair in pair_calls(steps).pairs if pair.result_index is not None
        }
        calls = [index for index in calls if index not in answered_here]
        new = [index for index in calls if not self._was_answered(steps[index], status)]
        return calls if MUST_ANSWER[status] and not new else new

    def add(self, call: dict[str, JSON]) -> None:
        """Add an answered call."""
        self._answered.setdefault(call_id(call), []).append(call)

    def _was_answered(self, call: dict[str, JSON], status: str | None) -> bool:
        key = call_id(call)
        if key is None and MUST_ANSWER[status]:
            return False
        return any(
            equal(call.get("name"), earlier.get("name"))
            and equal(call.get("arguments"), earlier.get("arguments"))
            for earlier in self._answered.get(key, ())
        )


def call_id(call: dict[str, JSON]) -> str | None:
    """Return a call's id, None if it is missing, empty or not a string."""
    identity = call.get("id")
    return identity if isinstance(identity, str) and identity else None


def result_step(call: dict[str, JSON], result: ToolResult) -> dict[str, JSON]:
    """Return the ``function_result`` for a call, with the keys in the order of the API's guide.

    A string becomes one text block, a list of content blocks stays as it is, anything else becomes
    one text block with its JSON. A call without an id gets no ``call_id``: such calls are paired by
    order (docs/protocol.md section 10, row 3). Raises ToolCrashed for a result that is not JSON.
    """
    name = call.get("name")
    step: dict[str, JSON] = {"type": "function_result"}
    if name is not None:
        step["name"] = name
    if call.get("id") is not None:
        step["call_id"] = call["id"]
    if result.declared:
        step["result"] = _content(name, result.result)
    else:
        step["result"] = [{"type": "text", "text": f"unknown function {name!r}"}]
    if result.is_error or not result.declared:
        step["is_error"] = True
    return step


def _content(name: JSON, result: JSON) -> list[dict[str, JSON]]:
    if isinstance(result, list) and result and all(map(_is_content, result)):
        return result
    if isinstance(result, str):
        return [{"type": "text", "text": result}]
    try:
        # Readable in a cassette; NaN is refused because JSON readers do.
        text = write_exact(result, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolCrashed(f"tool {name!r} returned a result that is not JSON: {error}") from None
    return [{"type": "text", "text": text}]


def _is_content(item: JSON) -> bool:
    return isinstance(item, dict) and type_of(item) in _RESULT_CONTENT_TYPES
