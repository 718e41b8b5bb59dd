"""The file ``evalkit.yaml``: the project's gates, prices and sign-off policy.

It is optional; nothing else of evalkit is configured here.

    currency: EUR
    prices:
      gemini-3.5-flash: {input_per_million: 0.30, output_per_million: 2.50}
    gates:
      release:
        max_regressions: 0
        non_inferiority: {margin: 0.05}
    signoff:
      allowed_signers: .evalkit/allowed_signers
      required: {qa: 1}

The file is searched for in the directory a command is called in and in those above it, so that a
command works anywhere in a project.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalkit._lib import yaml
from evalkit._lib.files import display_path, read_file, reason_of
from evalkit._lib.json import JSON
from evalkit._lib.problems import PathProblem, ProblemList, SourceText
from evalkit._lib.text import did_you_mean, quoted, show
from evalkit._lib.yaml import ValuePath
from evalkit.compare.gates import Gate
from evalkit.compare.rows import Prices
from evalkit.errors import SuiteErrors, UsageError
from evalkit.signoff.policy import SignoffPolicy
from evalkit.suite.pydantic_messages import BOUNDS, EXPECTED, bound
from evalkit.suite.yaml_messages import yaml_problem

NAME = "evalkit.yaml"


class Config(BaseModel):
    """The content of ``evalkit.yaml``; empty if there is no such file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gates: dict[str, Gate] = Field(default={}, description="Gates of 'evalkit compare', by name.")
    prices: dict[str, Prices] = Field(
        default={}, description="Prices of tokens, by the name of the model or agent."
    )
    currency: str = Field("", description="Currency of the prices, shown beside costs.")
    signoff: SignoffPolicy = Field(default=SignoffPolicy(), description="Who must sign a run off.")

    def gate(self, name: str | None) -> tuple[str, Gate | None]:
        """Return a gate and its name.

        Without a name this is the gate ``default``, None if there is none. Raises UsageError for an
        unknown name.
        """
        gate_name = name or "default"
        gate = self.gates.get(gate_name)
        if gate is None and name is not None:
            names = ", ".join(sorted(self.gates))
            valid = f"valid: {names}" if names else f"{NAME} declares none"
            near = did_you_mean(gate_name, self.gates)
            raise UsageError(f"unknown gate {quoted(gate_name)}{near}; {valid}")
        return gate_name, gate


def find_config(start: Path) -> Path | None:
    """Return the nearest ``evalkit.yaml`` from a directory upwards in its repository."""
    for folder in (start.absolute(), *start.absolute().parents):
        if (folder / NAME).is_file():
            return folder / NAME
        if (folder / ".git").exists():
            break
    return None


def load_config(path: Path | None) -> Config:
    """Read a configuration file; None gives an empty configuration.

    Raises SuiteErrors with every problem located, UsageError for an unreadable file.
    """
    if path is None:
        return Config()
    try:
        return parse_config(read_file(path), display_path(path))
    except OSError as error:
        raise UsageError(f"{display_path(path)} cannot be read: {reason_of(error)}") from error


def parse_config(data: bytes, name: str) -> Config:
    """Parse a configuration; messages call it ``name``.

    Raises as :func:`load_config` does.
    """
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} cannot be read: {error}") from error
    source = SourceText(name, text)
    try:
        document = yaml.load(text)
    except yaml.YamlError as error:
        raise SuiteErrors([yaml_problem(error, source)]) from error
    try:
        return Config.model_validate({} if document is None else document)
    except ValidationError as error:
        problems = ProblemList(source, _describe_path)
        problems.extend(_path_problems(document, error.errors(include_url=False)))
        raise SuiteErrors(problems.in_file_order()) from error


def _describe_path(path: ValuePath) -> str:
    return ".".join(map(str, path[:2])) if len(path) > 2 else ""


def _path_problems(document: JSON, errors: Iterable[Mapping[str, Any]]) -> Iterable[PathProblem]:
    """Return pydantic's errors as problems of the file, one for each path.

    A union (a number or a mapping) has errors for each of its types; only those of the type that
    led deepest into the document are reported.
    """
    located = [(_document_path(document, error["loc"]), error) for error in errors]
    problems: dict[ValuePath, PathProblem] = {}
    for path, error in located:
        is_shallow = any(
            len(other) > len(path) and other[: len(path)] == path and deeper["type"] != "missing"
            for other, deeper in located
        )
        if not is_shallow:
            problems.setdefault(path, _path_problem(path, error))
    return problems.values()


def _path_problem(path: ValuePath, error: Mapping[str, Any]) -> PathProblem:
    code, value = error["type"], error["input"]
    name = quoted(str(path[-1])) if path else NAME
    if code == "extra_forbidden":
        valid = _valid_keys(path[:-1])
        near = did_you_mean(str(path[-1]), valid)
        return PathProblem(path, f"unknown key {name}{near}; valid: {', '.join(valid)}", "key")
    if code == "missing":
        return PathProblem(path, f"missing key {quoted(str(error['loc'][-1]))}")
    expected = _EXPECTED.get(code, error["msg"])
    if code in BOUNDS:
        expected = bound(code, error.get("ctx", {}))
    actual = "an empty value" if value is None else show(value, 40)
    return PathProblem(path, f"{name} takes {expected}, not {actual}")


_EXPECTED = {
    **EXPECTED,
    "model_type": "a mapping",
    "string_too_short": "a text that is not empty",
    "float_parsing": "a number",
    "int_parsing": "a whole number",
    "string_pattern_mismatch": "a number of days such as 90d",
}


def _document_path(document: JSON, location: ValuePath) -> ValuePath:
    """Return pydantic's location without the names of union members."""
    path: list[str | int] = []
    for step in location:
        is_index = isinstance(document, list) and isinstance(step, int)
        if is_index or (isinstance(document, dict) and step in document):
            document = document[step]
            path.append(step)
    return tuple(path)


def _valid_keys(path: ValuePath) -> list[str]:
    """Return the valid keys of the mapping at a path.

    ``("gates", "release")`` leads to those of a Gate.
    """
    model: type[BaseModel] = Config
    for step in path:
        # The name of a gate, or of a model with a price, is not a field.
        if step in model.model_fields:
            model = _model_in(model.model_fields[str(step)].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    arguments = getattr(annotation, "__args__", ())
    return next((model for item in arguments if (model := _model_in(item))), None)
