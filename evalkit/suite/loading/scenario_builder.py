"""Builds the Scenarios of an entry in the suite file: one for each combination of choices.

It merges the layers of keys, applies the rules, reads cases, verifies templates and builds checks.
The result is used only if the whole file had no problem, so every part is built as far as possible
and nothing stops at the first mistake.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, product
from typing import NamedTuple, cast

from evalkit._lib.json import JSON
from evalkit._lib.yaml import ValuePath
from evalkit.protocol.wire_facts import DEFAULT_API_VERSION
from evalkit.suite.loading.cases import CaseRows
from evalkit.suite.loading.expectation_builder import build_expectations
from evalkit.suite.loading.load_context import LoadContext
from evalkit.suite.loading.template_check import (
    AT_LOAD,
    IN_REQUEST,
    RenderMoment,
    after_turns,
    in_case,
    verify_templates,
)
from evalkit.suite.model.deferred import Expectation
from evalkit.suite.model.entries import DEFAULT_MAX_TURNS, TurnEntry
from evalkit.suite.model.expansion import combinations
from evalkit.suite.model.key_rules import (
    KeyPath,
    Layer,
    key_problems,
    matrix_problems,
    merge_layers,
    tool_name_problems,
)
from evalkit.suite.model.language import SuiteDocument
from evalkit.suite.model.policies import Exemption, read_exemption, read_policy
from evalkit.suite.model.project_files import KINDS, ProjectFileError
from evalkit.suite.model.suite import CaseRow, RecordedTurns, Scenario, ScenarioTurn, SettingAxis
from evalkit.suite.model.templates import TemplateError, contains_template, render
from evalkit.suite.model.tools import Tool
from evalkit.suite.model.variant_names import cassette_file, name_parts, variant_name
from evalkit.suite.model.variants import AXES, condition_names

_REQUEST_FIELDS = (
    "agent_config",
    "environment",
    "system_instruction",
    "tools",
    "generation_config",
    "response_format",
    "response_modalities",
    "response_mime_type",
    "labels",
    "safety_settings",
    "cached_content",
    "webhook_config",
)
_DEFAULT_AXES = {
    "history": SettingAxis("history", ("stateful",), False),
    "stream": SettingAxis("stream", (False,), False),
    "background": SettingAxis("background", (False,), False),
}
_YAML_1_1_BOOLEANS = frozenset(
    spelling
    for word in ("yes", "no", "on", "off", "y", "n")
    for spelling in (word, word.capitalize(), word.upper())
)


def build_scenarios(
    context: LoadContext, index: int, suite_file: SuiteDocument
) -> Iterator[Scenario]:
    """Yield one scenario for each combination of the choices of its matrix.

    Problems are added to the context.
    """
    own = suite_file["scenarios"][index]
    path: ValuePath = ("scenarios", index)
    layers = [*context.declared.defaults, Layer(cast("Mapping[str, JSON]", own), path)]
    matrix = merge_layers(layers).get("matrix", {})
    bases = [layer.path for layer in layers if "matrix" in layer.keys]
    matrix_path: ValuePath = (*(bases[-1] if bases else path), "matrix")
    context.problems.extend(matrix_problems(matrix, matrix_path))
    names: list[VariantNames] = []
    for choices in product(*matrix.values()):
        chosen = dict(zip(matrix, choices, strict=True))
        choice_layers = [
            Layer(matrix[axis][choice], (*matrix_path, axis, choice))
            for axis, choice in chosen.items()
        ]
        scenario = _build_scenario(context, [*layers, *choice_layers], index, chosen)
        names.append(VariantNames(scenario.axes, choices, scenario.rows))
        yield scenario
    _report_collisions(context, own["id"], names, path)


def _build_scenario(
    context: LoadContext, layers: Sequence[Layer], index: int, choices: Mapping[str, str]
) -> Scenario:
    path: ValuePath = ("scenarios", index)
    keys = merge_layers(layers)

    def key_path(key: str) -> ValuePath:
        bases = [layer.path for layer in layers if key in layer.keys]
        return (*bases[-1], key) if bases else (*path, key)

    context.problems.extend(key_problems(keys, key_path, path))
    rows = context.cases.read(keys.get("cases"), key_path("cases"))
    axes = _axes(keys)
    tools, declarations = _tools(context, keys.get("tools", []), key_path("tools"), rows)
    fields = {key: keys[key] for key in _REQUEST_FIELDS if key in keys}
    for key in (*fields, "request", "title"):
        if key in keys and key != "tools":
            moment = AT_LOAD if key == "title" else IN_REQUEST
            verify_templates(context.problems, keys[key], key_path(key), rows, moment)
    has_templates = contains_template([fields, keys.get("request"), keys.get("title")]) or any(
        tool.declaration_has_templates for tool in tools.values()
    )
    if "tools" in fields:
        fields["tools"] = declarations
    turn_entries: list[TurnEntry] = keys.get("turns", [])
    turn_lines = context.lines_of(turn_entries, key_path("turns"))
    turns = []
    turns_before = 0
    for number, entry in enumerate(turn_entries, start=1):
        turn_path = (*key_path("turns"), number - 1)
        moment = after_turns(turns_before)
        turns.append(_turn(context, number, entry, turn_lines[number - 1], turn_path, rows, moment))
        simulate = entry.get("simulate")
        turns_before += simulate.get("max_turns", DEFAULT_MAX_TURNS) if simulate else 1
    settings = [{**combination, **choices} for combination, _ in combinations(axes)]
    policy = read_policy(keys.get("repeat"))
    return Scenario(
        id=keys["id"],
        title=keys.get("title", ""),
        tags=tuple(dict.fromkeys(tag for layer in layers for tag in layer.keys.get("tags", ()))),
        line=context.scenario_lines[index],
        path=path,
        axes=axes,
        choices=choices,
        chooses_model=any("model" in layer.keys for layer in layers if "matrix" in layer.path),
        rows=rows.rows,
        variables=rows.variables,
        fields=fields,
        request=keys.get("request", {}),
        has_templates=has_templates,
        tools=tools,
        given=_given(context, keys.get("given", ()), key_path("given"), rows),
        turns=turns,
        expect=_expect(context, layers, rows, turns_before),
        stop_after={
            number: entry["stop_after"]
            for number, entry in enumerate(turn_entries, start=1)
            if "stop_after" in entry
        },
        api_version=keys.get("api_version", DEFAULT_API_VERSION),
        max_tool_rounds=keys.get("max_tool_rounds", 8),
        max_requests=keys.get("max_requests", 200),
        repeat=policy.trials if policy else keys.get("repeat", 1),
        policy=policy,
        skip=_exemption(context, "skip", keys, key_path, settings, rows),
        xfail=_exemption(context, "xfail", keys, key_path, settings, rows),
        timeout=keys.get("timeout"),
        stop_on_failure=keys.get("stop_on_failure", False),
        target=keys["target"]["python"] if "target" in keys else None,
    )


def _given(
    context: LoadContext, value: JSON, path: ValuePath, rows: CaseRows
) -> Sequence[dict[str, JSON]] | RecordedTurns:
    if not isinstance(value, dict):
        verify_templates(context.problems, value, path, rows)
        return list(value)
    try:
        cassette = context.resources.files.find(value["cassette"])
    except ProjectFileError as error:
        context.problems.add((*path, "cassette"), str(error))
        return ()
    return RecordedTurns(cassette, value.get("turns"), path)


def _exemption(
    context: LoadContext,
    key: str,
    keys: Mapping[str, JSON],
    key_path: KeyPath,
    settings: Sequence[Mapping[str, JSON]],
    rows: CaseRows,
) -> Exemption | None:
    """Return the meaning of ``skip`` or ``xfail``; its condition is verified for every variant."""
    exemption = read_exemption(keys.get(key))
    if exemption is None or isinstance(exemption.condition, bool) or not rows.complete:
        return exemption
    for combination in settings:
        for row, variables in zip(rows.rows, rows.variables, strict=True):
            try:
                exemption.applies(condition_names({**combination, "case": row.label}, variables))
            except TemplateError as error:
                message = f"'if': {error}{in_case(row)}"
                context.problems.add((*key_path(key), "if"), message)
                return None
    return exemption


def _axes(keys: Mapping[str, JSON]) -> tuple[SettingAxis, ...]:
    axes = dict(_DEFAULT_AXES)
    for key in AXES:
        if key in keys:
            is_list = isinstance(keys[key], list)
            axes[key] = SettingAxis(key, tuple(keys[key]) if is_list else (keys[key],), is_list)
    return tuple(axes[key] for key in AXES if key in axes)


def _tools(
    context: LoadContext, entries: list[JSON], path: ValuePath, rows: CaseRows
) -> tuple[dict[str, Tool], list[JSON]]:
    """Return the suite's tools of a scenario, and the declarations it sends.

    Tools that answer predefined functions of the service need not be named, and are not sent.
    """
    context.problems.extend(tool_name_problems(entries, path, context.tools))
    tools = {
        name: tool
        for name, tool in context.tools.items()
        if name not in entries and tool.is_predefined(entries)
    }
    for tool in tools.values():
        if tool.has_templates:
            _verify_tool(context, tool, rows)
    declarations: list[JSON] = []
    for index, entry in enumerate(entries):
        if isinstance(entry, dict):
            verify_templates(context.problems, entry, (*path, index), rows, IN_REQUEST)
            declarations.append(entry)
        elif entry in context.tools:
            tool = tools[entry] = context.tools[entry]
            if not tool.is_predefined(entries):
                declarations.append(tool.declaration)
            if tool.has_templates:
                _verify_tool(context, tool, rows)
    return tools, declarations


def _verify_tool(context: LoadContext, tool: Tool, rows: CaseRows) -> None:
    if not rows.has_cases:
        if tool.name in context.verified_tools:
            return
        context.verified_tools.add(tool.name)
    path = context.declared.paths["tools", tool.name]
    verify_templates(context.problems, tool.declaration, path, rows)
    results = {key: value for key, value in tool.entry.items() if key in ("result", "results")}
    moment = RenderMoment(frozenset(("arguments",)), parameters=tool.parameters)
    verify_templates(context.problems, results, path, rows, moment)


def _turn(
    context: LoadContext,
    number: int,
    entry: TurnEntry,
    line: int,
    path: ValuePath,
    rows: CaseRows,
    moment: RenderMoment,
) -> ScenarioTurn:
    user, simulate = entry.get("user"), entry.get("simulate")
    for key, value in (("user", user), ("simulate", simulate)):
        verify_templates(context.problems, value, (*path, key), rows, moment)
    token = context.problems.source.token
    if isinstance(user, str) and user in _YAML_1_1_BOOLEANS and token((*path, "user")) == user:
        context.problems.add(
            (*path, "user"),
            f"{user} without quotes: YAML 1.1 and many editors read it as a boolean; "
            "did you mean the text?",
            hints=(f'quote it: user: "{user}"',),
        )
    attach: JSON = entry.get("attach", ())
    attachments = [attach] if isinstance(attach, dict) else attach
    for index, attachment in enumerate(attachments):
        attach_path = (*path, "attach") if isinstance(attach, dict) else (*path, "attach", index)
        _verify_attachment(context, attachment, attach_path, rows)
    return ScenarioTurn(
        number=number,
        line=line,
        user=user,
        simulate=simulate,
        attach=attachments,
        has_templates=contains_template(user) or contains_template(simulate),
        path=path,
        expect=build_expectations(
            context, entry.get("expect", []), (*path, "expect"), rows, moment
        ),
    )


def _verify_attachment(
    context: LoadContext, entry: dict[str, JSON], path: ValuePath, rows: CaseRows
) -> None:
    if not verify_templates(context.problems, entry, path, rows):
        return
    for row, variables in zip(rows.rows, rows.variables, strict=True):
        try:
            context.resources.attachments.verify(render(entry, variables))
        except (ProjectFileError, TemplateError) as error:
            kinds = [kind for kind in KINDS if kind in entry]
            case = in_case(row) if contains_template(entry) else ""
            context.problems.add((*path, *kinds[:1]), f"{error}{case}")
            return


def _expect(
    context: LoadContext, layers: Sequence[Layer], rows: CaseRows, turns: int
) -> Sequence[Sequence[Expectation]]:
    """Return the expectations over the conversation, those of the first layer first."""
    moment = after_turns(turns)
    lists = [
        build_expectations(
            context, layer.keys.get("expect", []), (*layer.path, "expect"), rows, moment
        )
        for layer in layers
    ]
    return tuple(tuple(chain.from_iterable(row)) for row in zip(*lists, strict=True))


class VariantNames(NamedTuple):
    """What the names of variants of one combination of choices are made of."""

    axes: Sequence[SettingAxis]
    choices: tuple[str, ...]
    rows: Sequence[CaseRow]


def _report_collisions(
    context: LoadContext, scenario: str, names: Sequence[VariantNames], path: ValuePath
) -> None:
    """Report variants whose cassettes would be one file.

    Some file systems do not distinguish ``A`` from ``a``.
    """
    owners: dict[str, tuple[str, ...]] = {}
    for axes, choices, rows in names:
        if len(names) == len(rows) == 1 and not any(axis.is_list for axis in axes):
            return
        for _, parts in combinations(axes):
            for row in rows:
                words = name_parts(parts, choices, row)
                cassette = cassette_file(scenario, words, 1).casefold()
                for name in (variant_name(scenario, words, 1), cassette):
                    other = owners.setdefault(name, words)
                    if other != words:
                        context.problems.add(
                            (*path, "id"),
                            f"two variants would have the name {name!r}: "
                            f"{', '.join(other)} and {', '.join(words)}",
                            hints=(
                                f"give the {'choices names' if choices else 'cases ids'} that "
                                "differ in more than case and punctuation",
                            ),
                        )
                        return
