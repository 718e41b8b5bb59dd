"""The survivors of a probe as text: per scenario, with the expectations that would catch them."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

import yaml

from evalkit._lib.exact_json import ExactNumber
from evalkit._lib.json import JSON, dumps
from evalkit._lib.text import plural
from evalkit.probe.operators import OPERATORS
from evalkit.probe.probe import ProbedMutant, ProbedScenario
from evalkit.probe.strength import Strength

_INDENT = " " * 6


class _EntryDumper(yaml.SafeDumper):
    pass


_EntryDumper.add_representer(
    ExactNumber,
    lambda dumper, number: dumper.represent_scalar("tag:yaml.org,2002:float", number.text),
)


def survivor_lines(strength: Strength, most: int | None) -> Iterator[str]:
    """Yield the lines about all survivors; ``most`` limits the groups of each scenario.

    Survivors that one expectation would catch are one group, shown as its first. Those that no
    scenario is about come last, once for each suite.
    """
    general: dict[str, dict[str, list[ProbedMutant]]] = {}
    for (path, line), group in groupby(strength.scenarios, lambda one: (one.path, one.line)):
        variants = list(group)
        special: list[ProbedMutant] = []
        for scenario in variants:
            for one in strength.survivors(scenario):
                if OPERATORS[one.operator].is_general and one.suggestion is not None:
                    by_operator = general.setdefault(path, {})
                    by_operator.setdefault(one.operator, []).append(one)
                else:
                    special.append(one)
        if special:
            yield f"{_title(variants)}  ({path}:{line})  {_count(variants)}"
            yield from _group_lines(_grouped(special), most)
    for path, by_operator in general.items():
        yield f"{path}: no scenario is about these; expect them under 'defaults'"
        for survivors in by_operator.values():
            yield f"  {survivors[0].change} ({plural(len(survivors), 'mutant')})"
            # Every scenario of a suite passes the one with the highest limit.
            widest = max((one.suggestion for one in survivors), key=_limit)
            yield f"{_INDENT}{expectation_text(widest)}"


def expectation_text(entry: JSON) -> str:
    """Return an entry of ``expect`` as YAML on one line."""
    if isinstance(entry, str):
        return f"- {entry}"
    text = yaml.dump(
        entry,
        Dumper=_EntryDumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=10_000,
    )
    return f"- {text.strip()[1:-1]}"


def _title(variants: Sequence[ProbedScenario]) -> str:
    if len(variants) == 1:
        return variants[0].id
    return f"{variants[0].id.partition('[')[0]} ({len(variants)} variants)"


def _count(variants: Sequence[ProbedScenario]) -> str:
    caught = sum(len(one.with_result("caught")) for one in variants)
    return f"{caught} of {sum(len(one.mutants) for one in variants)} caught"


def _group_lines(groups: Sequence[Sequence[ProbedMutant]], most: int | None) -> Iterator[str]:
    for group in groups[:most]:
        more = f" (and {len(group) - 1} more)" if len(group) > 1 else ""
        yield f"  turn {group[0].turn}: {group[0].change}{more}"
        if group[0].suggestion is not None:
            yield f"{_INDENT}{expectation_text(group[0].suggestion)}"
    if most is not None and len(groups) > most:
        yield f"  … and {len(groups) - most} more; --all shows them"


def _grouped(survivors: Sequence[ProbedMutant]) -> list[list[ProbedMutant]]:
    """Return survivors by what would catch them; a group's smallest difference comes first."""
    groups: dict[str, list[ProbedMutant]] = {}
    for one in survivors:
        key = f"{one.turn} {(one.suggestion and dumps(one.suggestion)) or one.change}"
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def _limit(entry: JSON) -> int:
    numbers = [int(text) for text in re.findall(r"\d+", dumps(entry))]
    return max(numbers, default=0)
