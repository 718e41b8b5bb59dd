"""Drafted suites as YAML files. Nothing that is there is written over.

PyYAML writes, in block style, texts of several lines as literal blocks. It knows YAML 1.1, evalkit reads 1.2: a text that either would
take for something else is quoted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml as pyyaml

from evalkit._lib.files import display_path, write_atomic
from evalkit._lib.yaml import resolve_scalar
from evalkit.drafting.scenarios import DraftedSuite
from evalkit.errors import UsageError

_WIDTH = 120


class _Dumper(pyyaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> pyyaml.ScalarNode:
    style = (
        "|" if "\n" in text and not any(line.endswith(" ") for line in text.split("\n")) else None
    )
    if style is None and not isinstance(resolve_scalar(text), str):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def render(suite: DraftedSuite, schema: str) -> str:
    """Return a suite's text; ``schema`` is the address of the JSON Schema for editors."""
    head = [f"# yaml-language-server: $schema={schema}"]
    head += [
        f"# {draft.entry['id']}: {note}"
        for draft in suite.drafts
        for note in dict.fromkeys(draft.notes)
    ]
    body = pyyaml.dump(
        suite.to_yaml_value(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH
    )
    return "\n".join(head) + "\n" + body


def write(suites: list[DraftedSuite], folder: Path, schema: str) -> list[Path]:
    """Write suites and their media into a folder and return the suites' paths. Raises UsageError where a file is there already."""
    paths = [folder / f"{suite.name}.yaml" for suite in suites]
    for path in paths:
        if path.exists():
            raise UsageError(
                f"{display_path(path)} is there already; choose another name with --suite, or another folder with --out"
            )
    try:
        for suite, path in zip(suites, paths, strict=True):
            folder.mkdir(parents=True, exist_ok=True)
            for draft in suite.drafts:
                for name, data in draft.media.items():
                    (folder / "_media").mkdir(exist_ok=True)
                    (folder / "_media" / name).write_bytes(
                        data
                    )  # named by its content: what is there is the same
            write_atomic(path, render(suite, schema))
    except OSError as error:
        raise UsageError(
            f"cannot write into {display_path(folder)}: {error.strerror or error}"
        ) from error
    return paths
