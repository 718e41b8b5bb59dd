"""Write drafted suites as YAML files.

PyYAML writes block style, and texts of several lines as literal blocks. It implements YAML 1.1,
evalkit reads 1.2: a text that either would read as something else is quoted.
"""

from pathlib import Path
from typing import Any

import yaml as pyyaml

from evalkit._lib.exact_json import ExactNumber
from evalkit._lib.files import write_atomic
from evalkit._lib.yaml import resolve_scalar
from evalkit.importing.scenario_drafts import SuiteDraft

_WIDTH = 100


class _Dumper(pyyaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_text(dumper: _Dumper, text: str) -> pyyaml.ScalarNode:
    style = None
    if "\n" in text and not any(line.endswith(" ") for line in text.split("\n")):
        style = "|"
    elif not isinstance(resolve_scalar(text), str):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


def _represent_number(dumper: _Dumper, number: ExactNumber) -> pyyaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", number.text)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(ExactNumber, _represent_number)


def render_suite(suite: SuiteDraft, schema: str) -> str:
    """Return a suite's text; ``schema`` is the address of the JSON Schema for editors."""
    notes = [
        f"# {scenario.entry['id']}: {note}\n"
        for scenario in suite.scenarios
        for note in dict.fromkeys(scenario.tools.notes)
    ]
    body = pyyaml.dump(
        suite.to_yaml_value(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH
    )
    return f"# yaml-language-server: $schema={schema}\n" + "".join(notes) + body


def write_suites(suites: list[SuiteDraft], folder: Path, schema: str) -> list[Path]:
    """Write suites and their media into a folder; return the suites' paths. Raises OSError."""
    paths = []
    for suite in suites:
        for scenario in suite.scenarios:
            for name, data in scenario.media.items():
                write_atomic(folder / "_media" / name, data)
        paths.append(folder / f"{suite.name}.yaml")
        write_atomic(paths[-1], render_suite(suite, schema))
    return paths
