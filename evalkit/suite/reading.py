"""Reading one scenario: defaults merged, rules applied, rows read, every template, attachment, tool and expectation verified.

What it returns is used only when the whole file had no problem, so it makes the best of what there is and never stops at the first
mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from evalkit._lib.json import JSON
from evalkit.suite.attachments import KINDS
from evalkit.suite.cases import Row, Rows
from evalkit.suite.catalog import Path
from evalkit.suite.context import Reading, Settings
from evalkit.suite.expectations import read_expectations
from evalkit.suite.files import FileFault
from evalkit.suite.names import AXES, cassette_file, variant_name
from evalkit.suite.plan import Axis, Scenario, Turn
from evalkit.suite.prepared import Expectation
from evalkit.suite.rows import read_rows
from evalkit.suite.rules import Origin, conflicts, merge, missing, unknown_tools
from evalkit.suite.templates import TemplateFault, holds_template, render
from evalkit.suite.tools import Tool
from evalkit.suite.variants import combinations
from evalkit.suite.verify import Moment, in_case, verify

if TYPE_CHECKING:
    from evalkit.suite.models import ScenarioEntry, ScenarioKeys, TurnEntry

_FIELDS = (
    "agent_config", "environment", "system_instruction", "tools", "generation_config", "response_format", "response_modalities",
    "response_mime_type", "labels", "safety_settings", "cached_content", "webhook_config",
)  # fmt: skip
_DEFAULTS: dict[str, JSON] = {"history": "stateful", "stream": False, "background": False}
_BESIDE_SETTINGS = frozenset(
    ("id", "title", "description", "tags", "tools", "cases", "turns", "expect")
)
_NO_REQUEST: Mapping[str, JSON] = {}
_ONCE: tuple[tuple[Row, Mapping[str, JSON]], ...] = ((Row(0, "", {}), {}),)
_LATER = frozenset(("previous", "turns"))
_OLD_BOOLEANS = frozenset(
    word
    for one in ("yes", "no", "on", "off", "y", "n")
    for word in (one, one.capitalize(), one.upper())
)


def read_scenario(
    reading: Reading, index: int, own: ScenarioEntry, defaults: ScenarioKeys
) -> Scenario:
    """Return one scenario with the defaults merged in; problems are noted in ``reading``."""
    base: Path = ("scenarios", index)
    written = reading.raw["scenarios"][index]
    keys = merge(defaults, cast("dict[str, JSON]", own))

    def origin(key: str) -> Path:
        return (*base, key) if key in own or key not in defaults else ("defaults", key)

    rows = read_rows(reading, keys, origin)
    settings = _settings(reading, own, keys, origin, base, rows)
    for wrong in _missing(reading, keys, origin, base):
        reading.problems.add(wrong.path, wrong.message, on=wrong.on, hints=wrong.hints)
    title = keys.get("title", "")
    titled = holds_template(title)
    if titled:
        verify(reading, title, origin("title"), rows)
    turns = _turns(reading, keys, written, origin, rows)
    if settings.listed or rows.cases:
        _collisions(reading, own["id"], settings.axes, rows, base)
    tags = tuple(dict.fromkeys([*defaults.get("tags", ()), *own.get("tags", ())]))
    return Scenario(
        id=own["id"],
        title=title,
        description=keys.get("description", ""),
        tags=reading.tags.setdefault(tags, tags),
        line=reading.line(reading.raw["scenarios"], index),
        path=base,
        axes=settings.axes,
        rows=rows.rows,
        variables=rows.variables,
        fields=settings.fields,
        request=keys.get("request", _NO_REQUEST),
        templated=settings.templated or titled,
        tools=settings.tools,
        turns=turns,
        expect=_expect(reading, own, defaults, written, base, rows, len(turns)),
        max_tool_rounds=keys.get("max_tool_rounds", 8),
        repeat=keys.get("repeat", 1),
        timeout=keys.get("timeout"),
        stop_on_failure=keys.get("stop_on_failure", False),
        target=keys["target"]["python"] if "target" in keys else None,
    )


def _missing(reading: Reading, keys: Mapping[str, JSON], origin: Origin, base: Path) -> list[Any]:
    """Leave out what is there and broken, and said to be so already."""
    if not reading.broken:
        return list(missing(keys, origin, base))
    within = reading.broken.within
    held = dict(keys)
    for key in ("model", "agent", "turns"):
        if within(*base, key) or within("defaults", key):
            held.setdefault(key, [])
    return [
        wrong
        for wrong in missing(held, origin, base)
        if not (len(wrong.path) > len(base) and within(*wrong.path))
    ]


def _settings(
    reading: Reading,
    own: Mapping[str, JSON],
    keys: Mapping[str, JSON],
    origin: Origin,
    base: Path,
    rows: Rows,
) -> Settings:
    """Return what a scenario says beside its turns; scenarios that leave it to the defaults, and take the same tools, share it."""
    entries = keys.get("tools", [])
    names = tuple([entry for entry in entries if type(entry) is str])
    shared = own.keys() <= _BESIDE_SETTINGS and len(names) == len(entries) and not reading.broken
    held = reading.settings.get(("tools" in keys, names)) if shared else None
    if held is not None and not (held.holds_template and rows.cases):
        return held
    for wrong in conflicts(keys, origin, base):
        reading.problems.add(wrong.path, wrong.message, on=wrong.on, hints=wrong.hints)
    values = [
        (key, keys.get(key, _DEFAULTS.get(key))) for key in AXES if key in keys or key in _DEFAULTS
    ]
    axes = tuple(
        Axis(key, tuple(value), True) if isinstance(value, list) else Axis(key, (value,), False)
        for key, value in values
    )
    fields = {key: keys[key] for key in _FIELDS if key in keys}
    tools, declared, templated = _tools(reading, entries, origin("tools"), rows)
    for key, value in (*fields.items(), ("request", keys.get("request"))):
        if key != "tools" and holds_template(value):
            verify(reading, value, origin(key), rows)
            templated = True
    if "tools" in fields:
        fields["tools"] = declared
    holds = templated or any(tool.templated for tool in tools.values())
    settings = Settings(axes, any(axis.listed for axis in axes), fields, tools, templated, holds)
    # Not where a tool is unknown or named twice, nor where a template may be right for this scenario's cases only.
    if shared and len(tools) == len(entries) and not (holds and rows.cases):
        reading.settings["tools" in keys, names] = settings
    return settings


def _tools(
    reading: Reading, entries: list[JSON], path: Path, rows: Rows
) -> tuple[dict[str, Tool], list[JSON], bool]:
    """Return the tools a scenario takes, their declarations in order, and whether a template is in one of those."""
    if not (reading.broken and reading.broken.within("tools")):
        for wrong in unknown_tools(entries, path, reading.tools):
            reading.problems.add(wrong.path, wrong.message, on=wrong.on, hints=wrong.hints)
    taken: dict[str, Tool] = {}
    declared: list[JSON] = []
    templated = False
    for index, entry in enumerate(entries):
        if isinstance(entry, dict):
            declared.append(entry)
            if holds_template(entry):
                verify(reading, entry, (*path, index), rows)
                templated = True
        elif entry in reading.tools:
            tool = taken[entry] = reading.tools[entry]
            declared.append(tool.declaration)
            if tool.templated:
                _verify_tool(reading, tool, rows)
                templated = templated or tool.declares_templates
    return taken, declared, templated


def _verify_tool(reading: Reading, tool: Tool, rows: Rows) -> None:
    if not rows.cases:
        if tool.name in reading.verified:
            return
        reading.verified.add(tool.name)
    path: Path = ("tools", tool.name)
    verify(reading, tool.declaration, path, rows)
    answers = {key: value for key, value in tool.entry.items() if key in ("result", "results")}
    verify(
        reading, answers, path, rows, Moment(frozenset(("arguments",)), parameters=tool.parameters)
    )


def _turns(
    reading: Reading,
    keys: Mapping[str, JSON],
    written: Mapping[str, JSON],
    origin: Origin,
    rows: Rows,
) -> list[Turn]:
    above = origin("turns")
    raw = (written if above[0] == "scenarios" else reading.raw["defaults"]).get("turns", ())
    return [
        _turn(
            reading,
            number,
            turn,
            raw[number - 1],
            reading.line(raw, number - 1),
            (*above, number - 1),
            rows,
        )
        for number, turn in enumerate(keys.get("turns", ()), start=1)
    ]


def _turn(
    reading: Reading,
    number: int,
    turn: TurnEntry,
    written: Mapping[str, JSON],
    line: int,
    path: Path,
    rows: Rows,
) -> Turn:
    user = turn.get("user")
    templated = holds_template(user)
    if templated:
        verify(reading, user, (*path, "user"), rows, _moment(number, number - 1))
    elif type(user) is str and user in _OLD_BOOLEANS:
        _old_boolean(reading, user, (*path, "user"))
    given: JSON = turn.get("attach", ())
    attach: Sequence[dict[str, JSON]] = [given] if isinstance(given, dict) else given
    for index, entry in enumerate(attach):
        _attachment(
            reading,
            entry,
            (*path, "attach", index) if isinstance(given, list) else (*path, "attach"),
            rows,
        )
    expect: Sequence[Sequence[Expectation]] = ((),) * len(rows.rows)
    if "expect" in turn:
        expect = read_expectations(
            reading,
            turn["expect"],
            written.get("expect"),
            (*path, "expect"),
            rows,
            _moment(number, number - 1),
        )
    return Turn(number, line, user, attach, templated, path, expect)


@lru_cache(maxsize=64)
def _moment(number: int, held: int) -> Moment:
    return Moment(_LATER, held, first=number == 1)


def _old_boolean(reading: Reading, word: str, path: Path) -> None:
    if reading.workshop.source.token(path) == word:
        message = f"{word} without quotes: YAML 1.1 and many editors read it as a boolean; did you mean the text?"
        reading.problems.add(path, message, hints=(f'quote it: user: "{word}"',))


def _attachment(reading: Reading, entry: dict[str, JSON], path: Path, rows: Rows) -> None:
    if reading.broken and reading.broken.within(*path):
        return
    templated = holds_template(entry)
    if templated and not verify(reading, entry, path, rows):
        return
    for row, variables in zip(rows.rows, rows.variables, strict=True) if templated else _ONCE:
        try:
            reading.workshop.attachments.verify(render(entry, variables) if templated else entry)
        except (FileFault, TemplateFault) as fault:
            key = next((kind for kind in KINDS if kind in entry), "")
            reading.problems.add((*path, key) if key else path, f"{fault}{in_case(row)}")
            return


def _expect(
    reading: Reading,
    own: ScenarioEntry,
    defaults: ScenarioKeys,
    written: Mapping[str, JSON],
    base: Path,
    rows: Rows,
    turns: int,
) -> Sequence[Sequence[Expectation]]:
    moment = _moment(0, turns)
    made: Sequence[Sequence[Expectation]] = [[]] * len(rows.rows)
    if "expect" in own:
        made = read_expectations(
            reading, own["expect"], written.get("expect"), (*base, "expect"), rows, moment
        )
    if "expect" not in defaults:
        return made
    if reading.default_expect is not None:
        shared: Sequence[Sequence[Expectation]] = [reading.default_expect] * len(rows.rows)
    else:
        items = defaults["expect"]
        shared = read_expectations(
            reading,
            items,
            reading.raw["defaults"].get("expect"),
            ("defaults", "expect"),
            rows,
            moment,
        )
        if not holds_template(items):
            reading.default_expect = shared[0] if shared else None
    return [[*above, *below] for above, below in zip(shared, made, strict=True)]


def _collisions(
    reading: Reading, scenario: str, axes: Sequence[Axis], rows: Rows, base: Path
) -> None:
    """Refuse two variants whose cassettes would be one file, on file systems that do not tell ``A`` from ``a`` too."""
    taken: dict[str, tuple[str, ...]] = {}
    for _, parts in combinations(axes):
        for row in rows.rows:
            words = (*parts, row.label) if row.number else parts
            for name in (
                variant_name(scenario, words, 1),
                cassette_file(scenario, words, 1).casefold(),
            ):
                other = taken.setdefault(name, words)
                if other != words:
                    message = f"two variants would share the name {name!r}: {', '.join(other)} and {', '.join(words)}"
                    reading.problems.add(
                        (*base, "id"),
                        message,
                        hints=("give the cases ids that differ in more than case and punctuation",),
                    )
                    return
