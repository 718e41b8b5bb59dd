"""Variants: a scenario's listed settings, cases and trials, multiplied out; each is one test.

Nothing is rendered and no file is read here until a variant is asked for its fields or turns: a session that runs one test in eight pays
for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product

from evalkit._lib.json import JSON
from evalkit.errors import UsageError
from evalkit.suite.names import cassette_path, file_word, part, variant_name
from evalkit.suite.plan import Axis, Scenario, Suite
from evalkit.suite.prepared import Expectation, TurnPlan, as_text
from evalkit.suite.templates import TemplateFault, render
from evalkit.suite.tools import Tool

Combinations = Iterable[tuple[Mapping[str, JSON], tuple[str, ...]]]
_TEXT_FIELDS = ("system_instruction", "response_mime_type", "cached_content")


@dataclass(frozen=True, eq=False, slots=True)
class Variant:
    """One concrete combination of a scenario's settings, a case and a trial: what one test runs.

    ``settings`` are what ``same_as`` may select by: ``model`` or ``agent``, ``history``, ``stream``, ``background``, ``service_tier``
    where given, ``case`` where there are cases. ``parts`` label those that the suite gives as a list. Everything else is made when it is asked
    for, and not kept: variants live to the end of a session.
    """

    suite: Suite = field(repr=False)
    scenario: Scenario = field(repr=False)
    parts: tuple[str, ...]
    settings: Mapping[str, JSON]
    trial: int
    row: int = field(default=0, repr=False)

    @property
    def name(self) -> str:
        """``scenario[part-part]#trial``."""
        return variant_name(self.scenario.id, self.parts, self.trial)

    @property
    def id(self) -> str:
        """``suite::scenario[part-part]#trial``: the identity of its result."""
        return f"{self.suite.name}::{self.name}"

    @property
    def cassette(self) -> str:
        """The cassette's path below the folder of cassettes, with forward slashes."""
        return cassette_path(self.suite.name, self.scenario.id, self.parts, self.trial)

    @property
    def line(self) -> int:
        """The line on which the scenario starts."""
        return self.scenario.line

    @property
    def title(self) -> str:
        """The scenario's title, its templates rendered; ``""`` without one. Raises SuiteErrors."""
        title = self.scenario.title
        return as_text(self._rendered("title", title)) if title else ""

    @property
    def tags(self) -> tuple[str, ...]:
        """The scenario's tags, those of the defaults first."""
        return self.scenario.tags

    @property
    def variables(self) -> Mapping[str, JSON]:
        """The suite's ``vars``, the case's fields over them."""
        return self.scenario.variables[self.row]

    @property
    def fields(self) -> dict[str, JSON]:
        """The request fields sent with every turn, in wire form: ``model`` or ``agent`` first, ``request:`` last and winning.

        Raises SuiteErrors: a template cannot be rendered.
        """
        held, settings = self.scenario, self.settings
        given = {
            key: settings[key] for key in ("model", "agent", "service_tier") if key in settings
        }
        if not held.templated:
            return {**given, **held.fields, **held.request}
        return {
            **given,
            **_as_sent(self._rendered("", held.fields)),
            **self._rendered("request", held.request),
        }

    @property
    def turns(self) -> list[TurnPlan]:
        """The turns to hold, in order."""
        row, variables, workshop = self.row, self.variables, self.suite.workshop
        return [
            TurnPlan(
                turn.number,
                turn.line,
                turn.expect[row],
                turn.user,
                turn.attach,
                turn.templated,
                variables,
                turn.path,
                workshop,
            )
            for turn in self.scenario.turns
        ]

    @property
    def expect(self) -> Sequence[Expectation]:
        """What the whole conversation must pass."""
        return self.scenario.expect[self.row]

    def turn_expect(self, number: int) -> Sequence[Expectation]:
        """What a turn must pass; ``number`` counts from 1."""
        return self.scenario.turns[number - 1].expect[self.row]

    @property
    def max_tool_rounds(self) -> int:
        """How often a turn may answer function calls."""
        return self.scenario.max_tool_rounds

    @property
    def timeout(self) -> float | None:
        """Seconds for the whole scenario, live only; None where nothing is said."""
        return self.scenario.timeout

    @property
    def stop_on_failure(self) -> bool:
        """Whether a turn whose checks failed ends the conversation."""
        return self.scenario.stop_on_failure

    @property
    def target(self) -> str | None:
        """The function of an application that holds the turns, as ``package.module:function``; None where evalkit holds them."""
        return self.scenario.target

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The tools the scenario takes from the suite, by function name."""
        return self.scenario.tools

    def _rendered(self, key: str, value: JSON) -> JSON:
        try:
            return render(value, self.variables)
        except TemplateFault as fault:
            path = (*self.scenario.path, key) if key else self.scenario.path
            raise self.suite.workshop.errors(path, fault) from fault


def expand(suite: Suite, *, models: Sequence[str] = (), repeat: int | None = None) -> list[Variant]:
    """Return every variant of a suite, scenarios in file order, a scenario's settings varying in the order of the parts, trials last.

    ``models`` replaces the model of every scenario that calls one (not an agent); several make a part of the name, one makes none, so that
    two runs with different models hold the same identities. ``repeat`` replaces the scenarios' own number of trials.
    Raises UsageError: two of ``models`` would share cassettes.
    """
    given = tuple(dict.fromkeys(models))
    if len({file_word(model).casefold() for model in given}) < len(given):
        raise UsageError(
            f"the models {', '.join(given)} would share cassettes: name models that differ in more than case and punctuation"
        )
    combined = cache(
        lambda axes: tuple(combinations(axes))
    )  # scenarios that vary alike share their settings
    return [
        variant
        for scenario in suite.scenarios
        for variant in _variants(suite, scenario, given, repeat, combined)
    ]


def combinations(axes: Sequence[Axis]) -> Iterator[tuple[dict[str, JSON], tuple[str, ...]]]:
    """Yield the settings of each combination, and the parts of its name."""
    for values in product(*(axis.values for axis in axes)):
        settings = {axis.name: value for axis, value in zip(axes, values, strict=True)}
        yield (
            settings,
            tuple(
                part(axis.name, value)
                for axis, value in zip(axes, values, strict=True)
                if axis.listed
            ),
        )


def _variants(
    suite: Suite,
    scenario: Scenario,
    models: tuple[str, ...],
    repeat: int | None,
    combined: Callable[[tuple[Axis, ...]], Combinations],
) -> Iterator[Variant]:
    axes = scenario.axes
    if models:
        axes = tuple(
            Axis("model", models, len(models) > 1) if axis.name == "model" else axis
            for axis in axes
        )
    trials = range(1, (repeat or scenario.repeat) + 1)
    for settings, parts in combined(axes):
        for index, row in enumerate(scenario.rows):
            case = {**settings, "case": row.label} if row.number else settings
            words = (*parts, row.label) if row.number else parts
            for trial in trials:
                yield Variant(suite, scenario, words, case, trial, index)


def _as_sent(fields: dict[str, JSON]) -> dict[str, JSON]:
    for key in _TEXT_FIELDS:
        if key in fields:
            fields[key] = as_text(fields[key])
    if "labels" in fields:
        fields["labels"] = {name: as_text(value) for name, value in fields["labels"].items()}
    return fields
