"""A small catalog of checks that are frozen pydantic models, as the built-in ones are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from evalkit.suite import BadArguments


class FakeCheck(BaseModel):
    """Base of the fakes. ``shorthand`` is the field that a bare argument fills."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    shorthand: ClassVar[str | None] = None


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return value


class Status(FakeCheck):
    shorthand: ClassVar[str | None] = "value"
    value: Literal["completed", "failed", "requires_action"]


class Steps(FakeCheck):
    shorthand: ClassVar[str | None] = "steps"
    steps: str | list[Any]
    match: Literal["exact", "subset"] = "exact"


class Text(FakeCheck):
    shorthand: ClassVar[str | None] = "contains"
    contains: str = ""
    matches: Annotated[str, AfterValidator(_regex)] = ""
    max_chars: Annotated[int, Field(ge=1)] = 1_000_000


class History(FakeCheck):
    level: Literal["exact", "equivalent"] = "exact"


class Bounds(FakeCheck):
    max: int | None = None
    min: int | None = None


class Usage(FakeCheck):
    total_tokens: Bounds = Bounds()


class Schema(FakeCheck):
    shorthand: ClassVar[str | None] = "file"
    file: str = ""


class Call(FakeCheck):
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class ToolCalls(FakeCheck):
    shorthand: ClassVar[str | None] = "calls"
    calls: list[Call]


class FakeCatalog:
    """Implements CheckCatalog. ``built`` counts the checks that were built."""

    checks: ClassVar[dict[str, type[FakeCheck]]] = {
        "history": History,
        "json_schema": Schema,
        "status": Status,
        "steps": Steps,
        "text": Text,
        "tool_calls": ToolCalls,
        "usage": Usage,
    }

    def __init__(self) -> None:
        self.built = 0

    def names(self) -> Sequence[str]:
        return list(self.checks)

    def build(self, name: str, argument: Any, *, bare: bool) -> FakeCheck:
        check = self.checks[name]
        inside = not bare and isinstance(argument, dict)
        if not bare and not inside:
            if check.shorthand is None:
                raise BadArguments([((), "takes options, not a single value")])
            argument = {check.shorthand: argument}
        self.built += 1
        try:
            return check.model_validate(argument or {})
        except ValidationError as error:
            raise BadArguments(
                [
                    (_path(item["loc"], inside), _message(item, check))
                    for item in error.errors(include_url=False)
                ]
            ) from error

    def schema(self, name: str) -> dict[str, Any]:
        check = self.checks[name]
        whole = check.model_json_schema()
        if check.shorthand is None:
            return whole
        definitions = whole.pop("$defs", {})
        schema: dict[str, Any] = {"anyOf": [whole, whole["properties"][check.shorthand]]}
        return {**schema, "$defs": definitions} if definitions else schema

    def text_options(self, name: str) -> Sequence[str]:
        return {"text": ("", "contains"), "usage": ("total_tokens",)}.get(name, ())

    def files(self, name: str, argument: Any) -> list[tuple[tuple[str | int, ...], str]]:
        if name != "json_schema":
            return []
        if isinstance(argument, dict):
            return [(("file",), argument["file"])] if argument.get("file") else []
        return [((), argument)]


def _path(location: tuple[str | int, ...], inside: bool) -> tuple[str | int, ...]:
    return location if inside else location[1:]


def _message(error: Any, check: type[FakeCheck]) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown option {error['loc'][-1]!r}; valid: {', '.join(check.model_fields)}"
    if error["type"] == "missing":
        return f"missing option {error['loc'][-1]!r}"
    return str(error["msg"])
