"""``json_schema``: the output text is one JSON document, valid against a schema.

The schema is the ``response_format`` that was sent (docs/protocol.md section 2.4), one written in
the suite, a file, or a Python type that pydantic understands.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PydanticSchemaGenerationError,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from evalkit._lib.json import JSON, MISSING, loads, pointer
from evalkit._lib.text import did_you_mean, show
from evalkit.checks.core.arguments import Target
from evalkit.checks.core.base import Check, ParsedArgument, View, option_error
from evalkit.checks.core.formatting import against, excerpt
from evalkit.checks.core.json_output import fenced_document, read_output
from evalkit.checks.core.schema_validation import problems, violations
from evalkit.checks.core.strictness import Strictness
from evalkit.errors import Misconfigured
from evalkit.verdict import Finding, Where

_SENT = "response_format"
_SOURCES = ("use", "schema", "file", "python")
_OPTIONS = (*_SOURCES, "fenced")
_KEYWORDS = (
    "type", "properties", "required", "items", "enum", "const", "title", "description",
    "additionalProperties", "anyOf", "oneOf", "allOf", "not", "if", "then", "else", "minimum",
    "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
    "pattern", "format", "minItems", "maxItems", "uniqueItems", "contains", "minContains",
    "maxContains", "prefixItems", "unevaluatedItems", "unevaluatedProperties", "patternProperties",
    "propertyNames", "minProperties", "maxProperties", "dependentRequired", "dependentSchemas",
    "dependencies", "definitions", "default", "examples", "readOnly", "writeOnly", "deprecated",
    "additionalItems", "propertyOrdering", "nullable", "contentEncoding", "contentMediaType",
    "contentSchema",
)  # fmt: skip
"""The keywords of JSON Schema, so that a typo in an option of this check is not read as one."""


def _valid_schema(schema: JSON) -> JSON:
    found = problems(schema) if schema is not None else []
    if found:
        path, message = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise option_error(message + more, *path)
    return schema


class JsonSchema(Check):
    """The output text is one JSON document that is valid against a schema.

    The empty case: an empty output text is not a JSON document, so the check fails. The schemas
    ``{}`` and ``true`` accept every document. Bare ``json_schema`` means ``response_format``; where
    none was sent, the check cannot be used and the variant is errored.
    """

    name: ClassVar[str] = "json_schema"
    shorthand: ClassVar[str | None] = "use"
    strictness: ClassVar[Mapping[str, Strictness]] = {"schema_": "schema", "fenced": "false"}
    file_options: ClassVar[tuple[str, ...]] = ("file",)
    text_options: ClassVar[tuple[str, ...]] = ("schema",)
    extra_forms: ClassVar[tuple[dict[str, JSON], ...]] = (
        {
            "description": "A JSON Schema.",
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"anyOf": [{"enum": list(_KEYWORDS)}, {"pattern": r"^(\$|x-)"}]},
        },
    )

    use: Literal["response_format"] | None = Field(
        None, description="Use the schema that was sent with the request."
    )
    schema_: Annotated[Any, AfterValidator(_valid_schema)] = Field(
        None,
        alias="schema",
        description="A JSON Schema (Draft 2020-12 unless $schema names another).",
    )
    file: str | None = Field(None, min_length=1, description="A JSON file with the schema.")
    python: Target | None = Field(
        None, description="A pydantic model, dataclass or TypedDict: package.module:Name."
    )
    fenced: bool = Field(
        False, description="Accept a document in a Markdown fence, and text around the fence."
    )

    @classmethod
    def parse_argument(cls, argument: JSON) -> ParsedArgument:
        """Read a mapping of JSON Schema keywords as the schema itself."""
        if isinstance(argument, Mapping) and argument and argument.keys().isdisjoint(_OPTIONS):
            for key in argument:
                if key not in _KEYWORDS and not str(key).startswith(("$", "x-")):
                    hint = did_you_mean(key, [*_OPTIONS, *_KEYWORDS])
                    raise option_error(f"unknown option or keyword {key!r}{hint}", key)
            return ParsedArgument({"schema": argument}, "schema")
        if isinstance(argument, str) and argument != _SENT:
            raise option_error(
                f"must be {_SENT!r}, a schema, or one of {{file: …}}, {{python: …}},"
                f" got {show(argument)}"
            )
        return super().parse_argument(argument)

    @model_validator(mode="after")
    def _refuse_several_sources(self) -> Self:
        values = zip(_SOURCES, (self.use, self.schema_, self.file, self.python), strict=True)
        names = [name for name, value in values if value is not None]
        if len(names) > 1:
            raise option_error(f"takes one of {', '.join(_SOURCES)}, got {' and '.join(names)}")
        return self

    def run(self, view: View) -> Iterator[Finding]:
        """Yield every violation.

        Raises Misconfigured, TargetError or LookupError where no schema can be used.
        """
        turn = view.last
        model = view.resolve(self.python) if self.python is not None else None
        schema = _schema_of(model, self.python) if self.python is not None else self._schema(view)
        value, problem = read_output(turn, fenced=self.fenced)
        if turn is None or problem is not None:
            yield from [problem] if problem is not None else []
            return
        is_valid = True
        for violation in violations(schema, value):
            is_valid = False
            where = Where(turn=turn.number, pointer=violation.pointer, part="output")
            message, _, notes = violation.message.partition("\n")
            expected, got = excerpt(violation.expected), excerpt(violation.got)
            yield Finding(
                "schema_violation",
                f"{violation.pointer or 'the document'}: {message}",
                where,
                expected=expected,
                got=got,
                detail="" if expected is MISSING else f"{against(expected, got)}\n{notes}".rstrip(),
            )
        if is_valid and model is not None:
            document = fenced_document(turn.text) if self.fenced else turn.text
            yield from _model_violations(model, str(document), turn.number)

    def _schema(self, view: View) -> JSON:
        if self.schema_ is not None:
            return self.schema_
        if self.file is not None:
            try:
                return loads(view.read(self.file))
            except ValueError as error:
                raise Misconfigured(f"{self.file} is not JSON: {error}") from None
        return _sent_schema(view)


def _sent_schema(view: View) -> JSON:
    """Return the schema of the last ``response_format`` in view. Raises LookupError."""
    for exchange in reversed(view.last.exchanges if view.last is not None else []):
        body = exchange.request.body
        formats = body.get(_SENT) if isinstance(body, dict) else None
        for item in formats if isinstance(formats, list) else [formats]:
            if not isinstance(item, dict):
                continue
            if item.get("type") == "text" and isinstance(item.get("schema"), dict):
                return item["schema"]
            # The old form: the object is the schema itself (docs/protocol.md section 2.4).
            if item.get("type") not in ("text", "image", "audio", "video") and item:
                return item
    raise LookupError("no response_format with a schema was sent in this turn")


def _schema_of(model: Any, target: str) -> JSON:
    try:
        return TypeAdapter(model).json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise Misconfigured(
            f"{target} is not a type that pydantic can validate: {error.message.splitlines()[0]}"
        ) from None


def _model_violations(model: Any, text: str, turn: int) -> Iterator[Finding]:
    """Yield what the model's own validators refuse, which its JSON Schema cannot express."""
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
