"""``json_schema``: the output text is one JSON document, valid against a schema.

The schema is the ``response_format`` that was sent (protocol section 2.4), one written in the suite, a file, or a Python type that pydantic
understands. How a schema is validated is ``schemas``'s business; how text becomes a document is ``json_document``'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from evalkit._lib.json import JSON, MISSING, loads, pointer
from evalkit._lib.text import did_you_mean, show
from evalkit.checks.core.base import Check, ParsedArgument, View, option_error
from evalkit.checks.core.formatting import against, excerpt
from evalkit.checks.core.json_output import read_output
from evalkit.checks.core.options import Target
from evalkit.checks.core.schema_validation import problems, violations
from evalkit.errors import Misconfigured
from evalkit.verdict import Finding, Where

SENT = "response_format"
_OPTIONS = ("use", "schema", "file", "python")
_KEYWORDS = (
    "type", "properties", "required", "items", "enum", "const", "title", "description", "additionalProperties", "anyOf", "oneOf",
    "allOf", "not", "if", "then", "else", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains", "prefixItems",
    "unevaluatedItems", "unevaluatedProperties", "patternProperties", "propertyNames", "minProperties", "maxProperties",
    "dependentRequired", "dependentSchemas", "dependencies", "definitions", "default", "examples", "readOnly", "writeOnly",
    "deprecated", "additionalItems", "propertyOrdering", "nullable", "contentEncoding", "contentMediaType", "contentSchema",
)  # fmt: skip
"""The words of JSON Schema, so that a misspelt option of this check is not taken for a keyword nobody knows."""


def _usable(schema: JSON) -> JSON:
    found = problems(schema) if schema is not None else []
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise option_error(found[0].message + more, *found[0].path)
    return schema


class JsonSchema(Check):
    """The output text is one JSON document that is valid against a schema; every violation is listed.

    The empty case: no output text is no JSON document, so the check fails. The schemas ``{}`` and ``true`` accept every document. Bare
    ``json_schema`` means ``response_format``; where none was sent, the check cannot be used and the variant is errored.
    """

    name: ClassVar[str] = "json_schema"
    shorthand: ClassVar[str | None] = "use"
    file_options: ClassVar[tuple[str, ...]] = ("file",)
    extra_forms: ClassVar[tuple[dict[str, JSON], ...]] = (
        {
            "description": "A JSON Schema.",
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"anyOf": [{"enum": list(_KEYWORDS)}, {"pattern": r"^(\$|x-)"}]},
        },
    )

    use: Literal["response_format"] | None = Field(
        None, description="Take the schema that was sent with the request."
    )
    schema_: Annotated[Any, AfterValidator(_usable)] = Field(
        None,
        alias="schema",
        description="A JSON Schema (Draft 2020-12 unless $schema names another).",
    )
    file: str | None = Field(None, min_length=1, description="A JSON file with the schema.")
    python: Target | None = Field(
        None, description="A pydantic model, dataclass or TypedDict: package.module:Name."
    )

    @classmethod
    def parse_argument(cls, argument: JSON) -> ParsedArgument:
        """Take a mapping that speaks JSON Schema for the schema itself."""
        if (
            isinstance(argument, Mapping)
            and argument
            and not any(key in _OPTIONS for key in argument)
        ):
            for key in argument:
                if key not in _KEYWORDS and not str(key).startswith(("$", "x-")):
                    raise option_error(
                        f"unknown option or keyword {key!r}{did_you_mean(key, [*_OPTIONS, *_KEYWORDS])}",
                        key,
                    )
            return ParsedArgument({"schema": argument}, "schema")
        if isinstance(argument, str) and argument != SENT:
            raise option_error(
                f"must be {SENT!r}, a schema, or one of {{file: …}}, {{python: …}}, got {show(argument)}"
            )
        return super().parse_argument(argument)

    @model_validator(mode="after")
    def _validate(self) -> Self:
        given = [
            word
            for word, value in zip(
                _OPTIONS, (self.use, self.schema_, self.file, self.python), strict=True
            )
            if value is not None
        ]
        if len(given) > 1:
            raise option_error(f"takes one of {', '.join(_OPTIONS)}, got {' and '.join(given)}")
        return self

    def run(self, view: View) -> Iterator[Finding]:
        """Yield every violation. Raises Misconfigured, TargetError or LookupError where there is no usable schema."""
        turn = view.last
        model = view.resolve(self.python) if self.python is not None else None
        schema = _schema_of(model, self.python) if model is not None else self._schema(view)
        value, problem = read_output(turn)
        if problem is not None:
            yield problem
            return
        number = turn.number if turn is not None else None
        sound = True
        for found in violations(schema, value):
            sound = False
            where = Where(turn=number, pointer=found.pointer, part="output")
            detail = (
                "\n".join([against(found.expected, excerpt(found.got)), *found.notes])
                if found.expected is not MISSING
                else ""
            )
            message = f"{found.pointer or 'the document'}: {found.message}"
            yield Finding(
                "schema_violation",
                message,
                where,
                expected=excerpt(found.expected),
                got=excerpt(found.got),
                detail=detail,
            )
        if sound and model is not None and turn is not None:
            yield from _model_findings(model, turn.text, number)

    def _schema(self, view: View) -> JSON:
        if self.schema_ is not None:
            return self.schema_
        if self.file is not None:
            try:
                return loads(view.read(self.file))
            except ValueError as error:
                raise Misconfigured(f"{self.file} is not JSON: {error}") from None
        return sent_schema(view)


def sent_schema(view: View) -> JSON:
    """Return the schema of the last ``response_format`` sent in view. Raises LookupError where none was."""
    exchanges = view.last.exchanges if view.last is not None else []
    for exchange in reversed(exchanges):
        body = exchange.request.body
        formats = body.get(SENT) if isinstance(body, dict) else None
        for item in formats if isinstance(formats, list) else [formats]:
            if isinstance(item, dict):
                if item.get("type") == "text" and isinstance(item.get("schema"), dict):
                    return item["schema"]
                # Old style: the object is the schema itself (protocol section 2.4).
                if item.get("type") not in ("text", "image", "audio", "video") and item:
                    return item
    raise LookupError("no response_format with a schema was sent in this turn")


def _schema_of(model: Any, target: str | None) -> JSON:
    from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

    try:
        return TypeAdapter(model).json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise Misconfigured(
            f"{target} is no type that pydantic can validate: {error.message.splitlines()[0]}"
        ) from None


def _model_findings(model: Any, text: str, turn: int | None) -> Iterator[Finding]:
    """Yield what the model's own validators refuse: rules that its JSON Schema cannot say."""
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(model).validate_json(text)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_context=False):
            at = pointer(*item["loc"])
            where = Where(turn=turn, pointer=at, part="output")
            yield Finding(
                "model_violation",
                f"{at or 'the document'}: {item['msg']}",
                where,
                got=excerpt(item["input"]),
            )
