"""One rule of a script: build the answer from its keys. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evalkit._lib.json import JSON
from evalkit.server.answers.default_answers import default_answer
from evalkit.server.answers.interaction import InteractionDraft, ScriptedError
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.answers.step_builders import text_output
from evalkit.server.fault_injection.plans import FaultPlan
from evalkit.server.requests.error_response import ErrorResponse, bad_request
from evalkit.server.scripting.conditions import Context, matches
from evalkit.server.scripting.steps import build_steps
from evalkit.suite.model.templates import render

_RENDERED_KEYS = ("status", "errors", "usage", "fields", "files", "delay", "event_delay")
_COUNT_KEYS = ("polls", "cut_after")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptRule:
    """One rule; ``data`` is its mapping in the script, ``location`` names it in messages."""

    location: str
    data: Mapping[str, JSON]
    faults: tuple[FaultPlan, ...] = ()

    @property
    def times(self) -> int | None:
        """How many times the rule may answer; None without a limit."""
        return self.data.get("times")

    @property
    def answers_judges(self) -> bool:
        """Whether the rule answers requests of a judge.

        These contain a whole conversation, and would match conditions meant for the conversation.
        """
        return self.data.get("when", {}).get("judge") is True

    def matches(self, request: InteractionRequest, context: Context) -> bool:
        """Return whether the rule matches a request; named groups are added to ``context``."""
        return matches(self.data.get("when", {}), request, context)

    def answer(
        self, request: InteractionRequest, variables: Mapping[str, JSON]
    ) -> InteractionDraft:
        """Return the rule's answer; ``variables`` are the names of its templates.

        Raises ErrorResponse naming the rule if a template fails on the values of this request.
        """
        try:
            return self._build(request, variables)
        except (ValueError, TypeError, KeyError) as error:
            reason = str(error).replace("\n", " ")
            raise bad_request(
                f"The script's {self.location} cannot answer this request: {reason}",
                code="failed_precondition",
            ) from error

    def _build(
        self, request: InteractionRequest, variables: Mapping[str, JSON]
    ) -> InteractionDraft:
        data = self.data
        draft = default_answer(request) if data.get("plain") else InteractionDraft()
        if "reply" in data:
            draft.steps = [text_output(str(render(data["reply"], variables)))]
        if "steps" in data:
            draft.steps = build_steps(data["steps"], request, variables)
        for key in _RENDERED_KEYS:
            if key in data:
                setattr(draft, key, render(data[key], variables))
        for key in _COUNT_KEYS:
            if key in data:
                setattr(draft, key, int(data[key]))
        if "error" in data:
            draft.error = _build_error(data["error"], variables)
        draft.faults = self.faults
        return draft


def _build_error(value: JSON, variables: Mapping[str, JSON]) -> ScriptedError:
    """Return the error of a rule: a status, or a mapping with its fields."""
    fields = value if isinstance(value, dict) else {"status": value}
    headers = {}
    if "retry_after" in fields:
        headers["retry-after"] = str(int(fields["retry_after"]))
    response = ErrorResponse(
        int(fields["status"]),
        str(render(fields.get("message", ""), variables)),
        code=fields.get("code", ""),
        headers=headers,
        gateway=fields.get("shape") == "gateway",
    )
    return ScriptedError(response, int(fields["after"]) if "after" in fields else None)
