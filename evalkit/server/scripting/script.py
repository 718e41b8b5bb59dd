"""Scripts: what a local server answers, written by people in YAML. Rules are tried in order, the first that holds answers.

    script: weather                     # a name
    vars: {unit: celsius}               # values for templates
    models: [my-tuned-model]            # names to accept beside gemini-…; agents: likewise
    signatures: true                    # false: no thought is put in front, histories are not verified
    faults: [{error: 503, probability: 0.1}]    # what befalls any request; a rule may have its own
    rules:
      - name: answered
        when: {text: {contains: temperature}, results: {name: get_current_temperature}}
        reply: "It is {{ result.value.temperature }} degrees."
      - when: {text: {matches: 'temperature in (?P<city>\\w+)'}, tools: [get_current_temperature]}
        steps: [{call: {name: get_current_temperature, arguments: {location: "{{ match.city }}"}}}]
      - when: {text: overload me}
        times: 2                        # only its first two times
        error: {status: 429, retry_after: 1}

This module reads rules and finds the one that answers. It is pure: a Script is a value, the number of times each rule was used is the
caller's to keep, nothing sleeps (delays are told), nothing is looked up outside what is asked. What no rule answers, the caller does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evalkit._lib.json import JSON
from evalkit.conversation.judge_requests import is_judge_body
from evalkit.server.answers.answer import InteractionDraft
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.fault_injection.plans import FaultPlan
from evalkit.server.requests.create import KnownNames
from evalkit.server.requests.error_response import ErrorResponse
from evalkit.server.scripting.rules import ScriptRule, read_faults, read_rule
from evalkit.server.scripting.script_reader import ScriptReader
from evalkit.server.scripting.templates import ScriptTemplateError

CONTEXT = (
    "text",
    "texts",
    "turn",
    "match",
    "earlier",
    "result",
    "results",
    "request",
    "model",
    "agent",
    "attached",
)
"""The names templates may use, beside the script's ``vars`` (and ``item`` beside ``each``)."""

_KEYS = ("script", "description", "vars", "models", "agents", "signatures", "faults", "rules")


@dataclass(frozen=True, slots=True)
class MatchedRule:
    """The rule that answers, and what its conditions found for its templates."""

    index: int
    rule: ScriptRule
    context: dict[str, JSON]

    def answer(
        self, ask: InteractionRequest, plain: Callable[[InteractionRequest], InteractionDraft]
    ) -> InteractionDraft:
        """Return the rule's answer; a template that fails on this request's values is a fault naming the rule."""
        answer = plain(ask) if self.rule.plain else InteractionDraft()
        try:
            for fill in self.rule.fills:
                fill(ask, self.context, answer)
        except (ScriptTemplateError, ValueError, TypeError, KeyError) as error:
            why = str(error).replace("\n", " ")
            raise ErrorResponse(
                400,
                f"The script's {self.rule.where} cannot answer this: {why}",
                code="failed_precondition",
            ) from error
        return answer


@dataclass(frozen=True, slots=True)
class Script:
    """A script that was read. ``name`` is the file's name as messages show it."""

    name: str
    title: str
    rules: tuple[ScriptRule, ...] = ()
    vars: Mapping[str, JSON] = field(default_factory=dict)
    known: KnownNames = KnownNames()  # noqa: RUF009 - frozen
    signatures: bool = True
    faults: tuple[FaultPlan, ...] = ()

    @classmethod
    def load(cls, text: str, name: str) -> Script:
        """Read a script from YAML text. Raises ScriptError with every problem, located in ``name``."""
        return _read(cls, ScriptReader(text, name), name)

    def find(self, ask: InteractionRequest, used: Mapping[int, int]) -> MatchedRule | None:
        """Return the first rule that holds; ``used`` counts how often each rule (by index) has answered before."""
        judging = is_judge_body(ask.body)
        for index, rule in enumerate(self.rules):
            if judging and not rule.judges:
                continue
            if rule.times is not None and used.get(index, 0) >= rule.times:
                continue
            context = self._context(ask)
            if rule.when(ask, context):
                return MatchedRule(index, rule, context)
        return None

    def _context(self, ask: InteractionRequest) -> dict[str, JSON]:
        results = [
            {
                "name": item.name,
                "call_id": item.call_id,
                "arguments": item.arguments,
                "text": item.text,
                "value": item.value,
                "is_error": item.is_error,
            }
            for item in ask.results
        ]
        return {
            **self.vars,
            "text": ask.text,
            "texts": ask.texts,
            "turn": ask.turn,
            "match": {},
            "earlier": {},
            "result": results[0] if results else {},
            "results": results,
            "request": ask.body,
            "model": ask.model,
            "agent": ask.agent,
            "attached": ask.attached,
        }


def _read(cls: type[Script], notes: ScriptReader, name: str) -> Script:
    data = notes.mapping(notes.load(), (), _KEYS, "key")
    title = data.get("script", "")
    if "script" not in data:
        notes.add((), "a script needs 'script:', its name")
    else:
        notes.of(title, ("script",), "string")
    notes.of(data.get("description", ""), ("description",), "string")
    given = data.get("vars", {})
    values = dict(given) if notes.of(given, ("vars",), "object") else {}
    for key in values:
        if key in CONTEXT:
            notes.add(("vars", key), f"{key!r} is a name of evalkit's own", key=True)
    notes.names = frozenset({*CONTEXT, *values})
    signatures = data.get("signatures", True)
    notes.of(signatures, ("signatures",), "boolean")
    listed = data.get("rules", [])
    rules = (
        [read_rule(notes, rule, ("rules", index), name) for index, rule in enumerate(listed)]
        if notes.of(listed, ("rules",), "array")
        else []
    )
    models, agents = (tuple(notes.texts(data.get(key, []), (key,))) for key in ("models", "agents"))
    faults = read_faults(notes, data["faults"], ("faults",)) if "faults" in data else ()
    notes.raise_any()
    return cls(name, title, tuple(rules), values, KnownNames(models, agents), signatures, faults)
