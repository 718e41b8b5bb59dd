"""Variants: the combinations of a scenario's settings, cases and trials.

Templates are rendered and files are read only when a variant is asked for its fields or turns, so a
session that selects one test in eight pays for one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit._lib.json import JSON
from evalkit.suite.model.deferred import Expectation, ReadVariable, TurnPlan, as_text
from evalkit.suite.model.policies import Exemption, TrialPolicy
from evalkit.suite.model.suite import RecordedTurns, Scenario, Suite
from evalkit.suite.model.templates import (
    ENVIRONMENT,
    EnvironmentVariables,
    TemplateError,
    render,
)
from evalkit.suite.model.tools import Tool
from evalkit.suite.model.variant_names import (
    cassette_file,
    variant_name,
)

AXES = ("model", "agent", "history", "stream", "background", "service_tier")
"""Settings that may be given as a list, in the order of their parts."""

_TEXT_FIELDS = ("system_instruction", "response_mime_type", "cached_content")


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Variant:
    """One combination of settings, a case and a trial: what one test runs.

    ``settings`` are what ``same_as`` selects by: ``model`` or ``agent``, ``history``, ``stream``,
    ``background``, ``service_tier`` if given, the choice of each axis, ``case`` if there are cases.
    ``parts`` label those that are part of the name. ``cassette_parts`` are the parts in the name of
    its cassette, before ``other_model``, a model that is not the suite's own. Everything else is
    computed on demand, since all variants stay in memory until the session ends. All trials of a
    variant with a ``policy`` are one test. If it ``is_locked``, its turns continue a baseline's.
    """

    suite: Suite = field(repr=False)
    scenario: Scenario = field(repr=False)
    parts: tuple[str, ...]
    cassette_parts: tuple[str, ...] = field(repr=False)
    other_model: str = field(repr=False)
    settings: Mapping[str, JSON]
    trial: int
    row: int = field(repr=False)
    policy: TrialPolicy | None = field(default=None, repr=False)
    is_locked: bool = field(default=False, repr=False)

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
        """The cassette's path in the directory of cassettes, with forward slashes."""
        file = cassette_file(
            self.scenario.id,
            self.cassette_parts,
            self.trial,
            self.other_model,
            is_locked=self.is_locked,
        )
        return f"{self.suite.name}/{file}"

    @property
    def line(self) -> int:
        """The line on which the scenario starts."""
        return self.scenario.line

    @property
    def title(self) -> str:
        """The scenario's title, rendered, or ``""``. Raises SuiteErrors."""
        title = self.scenario.title
        return as_text(self._render("title", title)) if title else ""

    @property
    def tags(self) -> tuple[str, ...]:
        """The scenario's tags, those of the defaults first."""
        return self.scenario.tags

    @property
    def variables(self) -> Mapping[str, JSON]:
        """The suite's ``vars``, overridden by the case's fields."""
        return self.scenario.variables[self.row]

    @property
    def fields(self) -> dict[str, JSON]:
        """The request fields of every turn, in wire form.

        The model or agent is first; ``request`` overrides the others. Raises SuiteErrors: a
        template cannot be rendered.
        """
        return self.fields_with(self.suite.resources.environment)

    def fields_with(self, environment: ReadVariable) -> dict[str, JSON]:
        """Return the fields with other values of environment variables. Raises SuiteErrors."""
        settings = ("model", "agent", "service_tier")
        varying = {key: self.settings[key] for key in settings if key in self.settings}
        scenario = self.scenario
        if not scenario.has_templates:
            return {**varying, **scenario.fields, **scenario.request}
        names = {
            **self.variables,
            ENVIRONMENT: EnvironmentVariables(environment),
        }
        rendered = self._render("", scenario.fields, names)
        for key in _TEXT_FIELDS:
            if key in rendered:
                rendered[key] = as_text(rendered[key])
        if "labels" in rendered:
            rendered["labels"] = {key: as_text(text) for key, text in rendered["labels"].items()}
        return {**varying, **rendered, **self._render("request", scenario.request, names)}

    @property
    def given(self) -> Sequence[dict[str, JSON]] | RecordedTurns:
        """What was said before the first turn: steps, or recorded turns. Raises SuiteErrors."""
        given = self.scenario.given
        if isinstance(given, RecordedTurns) or not given:
            return given
        steps: list[dict[str, JSON]] = self._render("given", given)
        return steps

    @property
    def turns(self) -> list[TurnPlan]:
        """The turns to run, in order."""
        return [
            TurnPlan(
                number=turn.number,
                line=turn.line,
                user=turn.user,
                simulate=turn.simulate,
                expect=turn.expect[self.row],
                attach=turn.attach,
                has_templates=turn.has_templates,
                variables=self.variables,
                path=turn.path,
                resources=self.suite.resources,
            )
            for turn in self.scenario.turns
        ]

    @property
    def expect(self) -> Sequence[Expectation]:
        """The expectations over the whole conversation."""
        return self.scenario.expect[self.row]

    def turn_expect(self, number: int) -> Sequence[Expectation]:
        """Return the expectations of an entry of the turns, none beyond the last, from 1."""
        turns = self.scenario.turns
        return turns[number - 1].expect[self.row] if number <= len(turns) else ()

    @property
    def turn_expectations(self) -> Iterator[Expectation]:
        """The expectations of all turns."""
        return (item for turn in self.scenario.turns for item in turn.expect[self.row])

    @property
    def max_tool_rounds(self) -> int:
        """How many rounds of function calls a turn may have."""
        return self.scenario.max_tool_rounds

    @property
    def timeout(self) -> float | None:
        """Seconds for the whole scenario, live only; None without a limit."""
        return self.scenario.timeout

    @property
    def stop_on_failure(self) -> bool:
        """Whether a turn whose checks failed ends the conversation."""
        return self.scenario.stop_on_failure

    @property
    def target(self) -> str | None:
        """The application's ``package.module:function`` that runs the turns, if any."""
        return self.scenario.target

    @property
    def skip(self) -> Exemption | None:
        """Why the variant is not run, if so. Raises SuiteErrors."""
        return self._exemption("skip", self.scenario.skip)

    @property
    def xfail(self) -> Exemption | None:
        """Why the variant is known to fail, if so. Raises SuiteErrors."""
        return self._exemption("xfail", self.scenario.xfail)

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The suite's tools that the scenario uses, by function name."""
        return self.scenario.tools

    def _exemption(self, key: str, exemption: Exemption | None) -> Exemption | None:
        if exemption is None:
            return None
        try:
            names = condition_names(self.settings, self.variables)
            return exemption if exemption.applies(names) else None
        except TemplateError as error:
            path = (*self.scenario.path, key)
            raise self.suite.resources.located(path, error) from error

    def _render(self, key: str, value: JSON, names: Mapping[str, Any] | None = None) -> JSON:
        try:
            return render(value, self.variables if names is None else names)
        except TemplateError as error:
            path = (*self.scenario.path, key) if key else self.scenario.path
            raise self.suite.resources.located(path, error) from error


def condition_names(settings: Mapping[str, JSON], variables: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return what the condition of a ``skip`` or ``xfail`` may read; settings come first."""
    return {**dict.fromkeys((*AXES, "case")), **variables, **settings}
