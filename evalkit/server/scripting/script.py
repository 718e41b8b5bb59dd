"""Scripts: what a local server answers, written in YAML. The first matching rule answers.

    script: weather                     # a name
    vars: {unit: celsius}               # values for templates
    models: [my-tuned-model]            # names to accept besides gemini-…; agents: likewise
    signatures: true                    # false: no thought is added, histories are not verified
    faults: [{error: 503, probability: 0.1}]    # for any request; rules may have their own
    rules:
      - name: result
        when: {text: {contains: temperature}, results: {name: get_current_temperature}}
        reply: "It is {{ result.value.temperature }} degrees."
      - when: {text: {matches: 'temperature in (?P<city>\\w+)'}, tools: [get_current_temperature]}
        steps: [{call: {name: get_current_temperature, arguments: {location: "{{ match.city }}"}}}]
      - when: {text: overload me}
        times: 2                        # matches only two times
        error: {status: 429, retry_after: 1}

This module reads scripts and finds the rule for a request. A Script is a value: the caller counts
how often each rule was used, and delays are only described. Templates have the language of suites,
with one more function, ``listed``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from evalkit._lib import yaml
from evalkit._lib.files import FILE_ERRORS, nearest_entry, reason_of
from evalkit._lib.json import JSON
from evalkit._lib.problems import ProblemList, SourceText
from evalkit._lib.text import did_you_mean
from evalkit._lib.yaml import ValuePath
from evalkit.conversation.side_requests import side_role
from evalkit.errors import Problem, ScriptError
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.answers.side_answers import as_simulator_sees
from evalkit.server.fault_injection.plans import WHEN, FaultPlan, FaultPlanError, plan_from_yaml
from evalkit.server.requests.create import KnownNames
from evalkit.server.scripting.rules import ScriptRule, matches
from evalkit.server.scripting.script_format import format_problems
from evalkit.suite.model.templates import TemplateError, find_templates, template

DEFAULT_SCRIPT = Path(__file__).parents[1] / "scripts" / "guide.yaml"
"""Answers every prompt of the API's getting-started guide as the guide shows."""

CONTEXT_NAMES = (
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
    "question",
)
"""The names templates may use, besides the script's ``vars`` (and ``item`` beside ``each``)."""

_NOT_RENDERED = ("name", "when", "faults")
_SEPARATORS = re.compile(r"\s*(?:,|;|&|\band\b|\bor\b)\s*", re.IGNORECASE)


def split_list(text: object) -> list[str]:
    """Return the items of a list in prose: ``"London, Paris and Rome"`` has three."""
    return [item for item in _SEPARATORS.split(str(text).strip()) if item]


TEMPLATE_FUNCTIONS: dict[str, Callable[..., JSON]] = {"listed": split_list}


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script. ``name`` is the file's name in messages."""

    name: str
    title: str
    rules: tuple[ScriptRule, ...] = ()
    vars: Mapping[str, JSON] = field(default_factory=dict)
    known: KnownNames = KnownNames()  # noqa: RUF009 - frozen
    signatures: bool = True
    faults: tuple[FaultPlan, ...] = ()

    @classmethod
    def load(cls, text: str, name: str) -> Script:
        """Read a script from YAML text.

        Raises ScriptError with all problems of the file ``name``.
        """
        source = SourceText(name, text)
        try:
            data = yaml.load(text)
        except yaml.YamlError as error:
            problem = source.problem(error.line, error.column, error.message)
            raise _script_error([problem]) from error
        problems = ProblemList(source)
        problems.extend(format_problems(data))
        problems.raise_any(_script_error)
        rules = data.get("rules", [])
        for key in data.get("vars", {}):
            if key in CONTEXT_NAMES:
                problems.add(("vars", key), f"{key!r} is a name that evalkit defines", on="key")
        for index, rule in enumerate(rules):
            _check_templates(rule, index, {*CONTEXT_NAMES, *data.get("vars", {})}, problems)
        script = cls(
            name=name,
            title=data["script"],
            rules=tuple(
                ScriptRule(
                    location=_location(rule, source, index),
                    data=rule,
                    faults=_read_faults(rule, ("rules", index), problems),
                )
                for index, rule in enumerate(rules)
            ),
            vars=data.get("vars", {}),
            known=KnownNames(_names(data.get("models", [])), _names(data.get("agents", []))),
            signatures=data.get("signatures", True),
            faults=_read_faults(data, (), problems),
        )
        problems.raise_any(_script_error)
        return script

    def find(
        self, request: InteractionRequest, uses: Mapping[str, int], question: str | None = None
    ) -> tuple[ScriptRule, dict[str, JSON]] | None:
        """Return the first rule that matches, and the names of its templates.

        ``uses`` counts the answers of each rule by its location. ``question`` is the text of the
        question where the request is one for a decision.
        """
        role = side_role(request.body)
        read = as_simulator_sees(request) if role == "simulator" else request
        for rule in self.rules:
            when = rule.data.get("when", {})
            # The request of a judge or a simulated user contains a whole conversation, and would
            # match conditions that are meant for the conversation.
            if role is not None and question is None and when.get(role) is not True:
                continue
            if not rule.answers(question):
                continue
            if uses.get(rule.location, 0) >= rule.data.get("times", math.inf):
                continue
            variables = {**self._variables(read), "question": question or ""}
            if matches(when, read, variables):
                return rule, variables
        return None

    def _variables(self, request: InteractionRequest) -> dict[str, JSON]:
        """Return the values for templates; conditions may add to them."""
        results = [asdict(result) for result in request.results]
        return {
            **TEMPLATE_FUNCTIONS,
            **self.vars,
            "text": request.text,
            "texts": request.texts,
            "turn": len(request.texts),
            "match": {},
            "earlier": {},
            "result": results[0] if results else {},
            "results": results,
            "request": request.body,
            "model": request.model,
            "agent": request.agent,
            "attached": request.attached,
        }


def load_script(path: Path = DEFAULT_SCRIPT) -> Script:
    """Read a script file. Raises ScriptError if it cannot be read or is not valid."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FILE_ERRORS as error:
        reason = f"({reason_of(error)}){nearest_entry(path)}"
        raise ScriptError(f"{path} cannot be read {reason}") from error
    return Script.load(text, path.name if path == DEFAULT_SCRIPT else str(path))


def _script_error(problems: list[Problem]) -> ScriptError:
    return ScriptError("\n".join(map(str, problems)))


def _names(value: JSON) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _location(rule: Mapping[str, JSON], source: SourceText, index: int) -> str:
    position = f"{source.name}:{source.position(('rules', index))[0]}"
    return f"rule {rule['name']!r} ({position})" if rule.get("name") else f"rule at {position}"


def _check_templates(
    rule: Mapping[str, JSON], index: int, names: set[str], problems: ProblemList
) -> None:
    """Add a problem for every invalid template, and every name that is not defined in it."""
    for path, text in find_templates(rule, ("rules", index)):
        if path[2] in _NOT_RENDERED:
            continue
        is_repeated = path[2] == "steps" and "each" in rule["steps"][path[3]]
        valid = names | {"item"} if is_repeated and path[4] != "each" else names
        try:
            undefined = template(text).names - valid - TEMPLATE_FUNCTIONS.keys()
        except TemplateError as error:
            problems.add(path, f"not a template: {error}")
            continue
        for name in sorted(undefined):
            hint = did_you_mean(name, valid)
            problems.add(
                path, f"undefined variable {name!r}{hint}; valid: {', '.join(sorted(valid))}"
            )


def _read_faults(
    data: Mapping[str, JSON], path: ValuePath, problems: ProblemList
) -> tuple[FaultPlan, ...]:
    """Read ``faults:``: one or a list, each a mapping or the command line's text."""
    if "faults" not in data:
        return ()
    value = data["faults"]
    plans = []
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        item_path = (*path, "faults", index)
        try:
            plans.append(plan_from_yaml(item, ".".join(map(str, item_path))))
        except FaultPlanError as error:
            inner = error.path if isinstance(item, dict) else ()
            is_kind = len(inner) == 1 and inner[0] not in WHEN
            value_path = item_path if isinstance(value, list) else item_path[:-1]
            problems.add((*value_path, *inner), str(error), on="key" if is_kind else "value")
    return tuple(plans)
