"""How options are declared: frozen dataclasses, which pydantic reads when a suite is, and only then.

pydantic is imported when the first check is built. Hence
what pydantic is told stands here in forms of our own, which become pydantic's where it asks for them. A check of a user's may speak
pydantic's own language in its body (``Field``, ``field_validator``, ``model_validator``) and is then pydantic's dataclass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema, PydanticCustomError


def option(*, default: Any = MISSING, default_factory: Any = MISSING, **told: Any) -> Any:
    """Declare an option: its default, and the keywords of pydantic's ``Field`` (``description``, ``ge``, ``min_length``, ``alias``…).

    A default that can be changed, such as a list, is copied for each object.
    """
    if _changeable(default):
        return field(default_factory=lambda: copy(default), metadata=told)
    return field(default=default, default_factory=default_factory, metadata=told)


def _changeable(default: Any) -> bool:
    # By the rule of dataclasses, which refuse such a default.
    return type(default).__hash__ is None and not _of_pydantic(default)


@dataclass_transform(
    eq_default=False, kw_only_default=True, frozen_default=True, field_specifiers=(option, field)
)
class Options:
    """Base of what is declared here: each subclass is a frozen dataclass of keywords; unknown ones are refused."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "validate_by_name": True,
        "validate_by_alias": True,
    }

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        own = vars(cls)
        for word, kind in cls.__annotations__.items():
            if word in own and _changeable(own[word]) and "ClassVar" not in str(kind):
                setattr(cls, word, option(default=own[word]))
        if hasattr(cls, "__pydantic_fields__") or any(map(_of_pydantic, own.values())):
            from pydantic.dataclasses import dataclass as pydantic_dataclass

            pydantic_dataclass(frozen=True, kw_only=True, eq=False)(cls)
        else:
            dataclass(frozen=True, kw_only=True, eq=False)(cls)


def spellings(kind: type[Options]) -> dict[str, str]:
    """Return the options by what they are called in YAML, each with its attribute."""
    held = getattr(kind, "__pydantic_fields__", None)
    if held is not None:
        return {one.alias or word: word for word, one in held.items()}
    return {one.metadata.get("alias", one.name): one.name for one in fields(kind)}


def _of_pydantic(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "pydantic"


class Limited:
    """Limits of a value inside a type, as keywords of pydantic's ``Field``: ``Annotated[str, Limited(min_length=1)]``."""

    __is_annotated_types_grouped_metadata__ = (
        True  # the protocol of annotated-types by which pydantic asks
    )

    def __init__(self, **limits: Any) -> None:
        self._limits = limits

    def __iter__(self) -> Iterator[Any]:
        from pydantic import Field

        yield from Field(**self._limits).metadata


class Before:
    """A function that sees, and may change, a value before its type does; ``accepts`` types what may be written, for editors."""

    def __init__(self, function: Callable[[Any], Any], accepts: Any) -> None:
        self._function = function
        self._accepts = accepts

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from pydantic import BeforeValidator

        return BeforeValidator(
            self._function, json_schema_input_type=self._accepts
        ).__get_pydantic_core_schema__(source, handler)


class After:
    """A function that sees, and may change, a value of its type."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from pydantic import AfterValidator

        return AfterValidator(self._function).__get_pydantic_core_schema__(source, handler)


def complaint(message: str, *path: str | int) -> PydanticCustomError:
    """Return the error a validator raises for a bad argument; ``path`` leads on from the value under validation to the culprit."""
    from pydantic_core import PydanticCustomError

    return PydanticCustomError("complaint", "{message}", {"message": message, "path": path})
