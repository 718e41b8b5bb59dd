"""The strength of a run's expectations: the totals of its mutants, without accepted survivors."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from evalkit._lib.files import FILE_ERRORS, display_path, reason_of, write_atomic
from evalkit._lib.json import JSON
from evalkit.errors import UsageError
from evalkit.probe.probe import ProbedMutant, ProbedScenario
from evalkit.results.strength import StrengthRecord

ACCEPTED = "evalkit-accepted.yaml"
_HEADER = """\
# Mutants that 'evalkit probe' found and that nobody needs to catch; it does not count them.
# Written by 'evalkit probe --accept'. Delete a line to see its mutant again.
"""


class Strength:
    """Collects probed scenarios. ``accepted`` are names of survivors that do not count."""

    def __init__(self, accepted: Iterable[str]) -> None:
        self.scenarios: list[ProbedScenario] = []
        self._accepted = frozenset(accepted)

    def add(self, scenario: ProbedScenario) -> None:
        """Add the mutants of a variant."""
        self.scenarios.append(scenario)

    def survivors(self, scenario: ProbedScenario) -> list[ProbedMutant]:
        """Return the mutants of a variant that no check noticed and nobody accepted."""
        return [
            one
            for one in scenario.with_result("survived")
            if _name(scenario, one) not in self._accepted
        ]

    def accepted(self) -> list[str]:
        """Return the names of the accepted survivors and of all others, sorted."""
        left = (
            _name(scenario, one) for scenario in self.scenarios for one in self.survivors(scenario)
        )
        return sorted(self._accepted.union(left))

    def record(self) -> StrengthRecord:
        """Return the totals."""
        results: Counter[str] = Counter()
        operators: dict[str, Counter[str]] = {}
        checks: Counter[str] = Counter()
        not_asked: set[str] = set()
        survivors: list[Mapping[str, JSON]] = []
        for scenario in self.scenarios:
            if scenario.mutants:
                checks.update(dict.fromkeys(scenario.checks, 0))
                not_asked.update(scenario.not_asked)
            left = self.survivors(scenario)
            for one in scenario.mutants:
                is_accepted = one.result == "survived" and one not in left
                result = "accepted" if is_accepted else one.result
                results[result] += 1
                operators.setdefault(one.operator, Counter())[result] += 1
                checks.update(one.caught_by)
            survivors += [_survivor(scenario, one) for one in left]
        counted = results["caught"] + results["survived"]
        return {
            "strength": results["caught"] / counted if counted else None,
            "caught": results["caught"],
            "survived": results["survived"],
            "accepted": results["accepted"],
            "equivalent": results["equivalent"],
            "undecided": results["undecided"],
            "scenarios": sum(not one.left_out for one in self.scenarios),
            "left_out": {one.id: one.left_out for one in self.scenarios if one.left_out},
            "operators": {name: dict(counts) for name, counts in sorted(operators.items())},
            "checks": dict(sorted(checks.items())),
            "not_asked": sorted(not_asked.difference(checks)),
            "survivors": survivors,
        }


def _name(scenario: ProbedScenario, one: ProbedMutant) -> str:
    """Return the name under which a survivor is accepted."""
    return f"{scenario.id} turn {one.turn} {one.operator}: {one.change}"


def read_accepted(path: Path) -> list[str]:
    """Return the survivors that a file accepts, none where it does not exist. Raises UsageError."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (*FILE_ERRORS, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{display_path(path)} cannot be read: {reason_of(error)}") from error
    names = value.get("accepted") or [] if isinstance(value, dict) else value or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(
            f"{display_path(path)}: expected 'accepted:' with a list of texts, as "
            "'evalkit probe --accept' writes it; correct it or delete it"
        )
    return names


def write_accepted(path: Path, strength: Strength) -> None:
    """Write the file of accepted survivors: those that were accepted before, and all others."""
    text = yaml.safe_dump({"accepted": strength.accepted()}, allow_unicode=True, width=10_000)
    write_atomic(path, _HEADER + text)


def _survivor(scenario: ProbedScenario, one: ProbedMutant) -> Mapping[str, JSON]:
    return {
        "scenario": scenario.id,
        "path": scenario.path,
        "line": scenario.line,
        "turn": one.turn,
        "operator": one.operator,
        "change": one.change,
        "suggestion": one.suggestion,
    }
