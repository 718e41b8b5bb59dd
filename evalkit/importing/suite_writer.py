"""Write drafted suites as YAML files. No existing file is overwritten.

PyYAML writes block style, and texts of several lines as literal blocks. It implements YAML 1.1,
evalkit reads 1.2: a text that either would read as something else is quoted.
"""

from pathlib import Path
from typing import Any

import yaml as pyyaml

from evalkit._lib.files import display_path, write_atomic
from evalkit._lib.yaml import resolve_scalar
from evalkit.errors import UsageError
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


_Dumper.add_representer(str, _represent_text)


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
    """Write suites and their media into a folder; return the suites' paths.

    Raises UsageError where a suite file already exists or cannot be written.
    """
    paths = [folder / f"{suite.name}.yaml" for suite in suites]
    for path in paths:
        if path.exists():
            raise UsageError(
                f"{display_path(path)}: the file already exists; "
                "choose another name with --suite, or another folder with --out"
            )
    try:
        for suite, path in zip(suites, paths, strict=True):
            folder.mkdir(parents=True, exist_ok=True)
            for scenario in suite.scenarios:
                for name, data in scenario.media.items():
                    (folder / "_media").mkdir(exist_ok=True)
                    # The name is the content's digest, so an existing file is equal.
                    (folder / "_media" / name).write_bytes(data)
            write_atomic(path, render_suite(suite, schema))
    except OSError as error:
        raise UsageError(
            f"cannot write into {display_path(folder)}: {error.strerror or error}"
        ) from error
    return paths
