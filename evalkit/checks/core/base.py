"""The base class of all checks, and the view of a conversation that a check receives.

A check is pure: it reads a ``View`` and yields findings. It opens no file and imports no code of
the project itself (the view does both), stores nothing between calls and decides no verdict. The
docstring of a check class says what the empty case means.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean
from evalkit.checks.core.strictness import Strictness
from evalkit.transcript import Exchange, Request, Response, Step, Transcript, Turn
from evalkit.verdict import Finding, Judgment, Where


def _unavailable(*_: Any) -> Any:
    raise LookupError(
        "this check needs more than the conversation (a file, a python target, another variant"
        " or a model), which is not available here"
    )


class Approved(NamedTuple):
    """An approved snapshot: its path from the project root, and its text (None: not approved)."""

    path: str
    text: str | None


class NumberedStep(NamedTuple):
    """A step, the number of its turn, and its own number in that turn."""

    step: Step
    turn: int
    number: int

    def where(self, pointer: str | None = None) -> Where:
        """Return the step's location, or with a pointer one inside of it."""
        return Where(
            turn=self.turn,
            exchange=self.step.exchange,
            step=self.number,
            pointer=pointer,
            part="step" if pointer is not None else None,
        )


@dataclass(frozen=True, slots=True)
class View:
    """What a check receives: one turn, or with ``turn`` None the whole conversation.

    Where a user is simulated, ``turn`` is the last of the turns of the dialogue, which are all in
    view.

    ``predefined`` names functions that the service declares itself, as the suite says.

    The functions reach outside of the conversation:

    * ``resolve`` imports a ``package.module:name`` target. Raises TargetError.
    * ``read`` returns the text of a file of the suite.
    * ``sibling`` returns the transcript of another variant of the same scenario by its settings,
      such as ``{"history": "stateful"}``, or None where that is this variant. Raises LookupError
      for a variant that does not exist or has no recording.
    * ``approved`` finds a snapshot by the entry of its turn (None: the conversation), name and
      kind. Raises Misconfigured for a file that cannot be read.
    * ``ask`` sends a request over the variant's transport, so that it is recorded and replayed
      like any other. Only for checks with ``sends_requests``. Raises CassetteMiss,
      TransportError.
    """

    transcript: Transcript
    turn: Turn | None = None
    _: KW_ONLY
    predefined: frozenset[str] = frozenset()
    resolve: Callable[[str], Any] = _unavailable
    read: Callable[[str], str] = _unavailable
    sibling: Callable[[Mapping[str, JSON]], Transcript | None] = _unavailable
    approved: Callable[[int | None, str, str], Approved] = _unavailable
    ask: Callable[[Request], Response] = _unavailable

    @property
    def turns(self) -> list[Turn]:
        """The turns in view: one, those of a simulated dialogue, or all."""
        if self.turn is None:
            return self.transcript.turns
        return [self.turn] if self.turn.simulated is None else self.transcript.up_to(self.turn)

    @property
    def last(self) -> Turn | None:
        """The last turn in view, which ``text``, ``json`` and ``status`` read, or None."""
        return self.turns[-1] if self.turns else None

    @property
    def steps(self) -> list[Step]:
        """The steps in view, without the user's messages."""
        return [step for turn in self.turns for step in turn.steps]

    @property
    def numbered_steps(self) -> list[NumberedStep]:
        """The steps in view with their numbers."""
        return [
            NumberedStep(step, turn.number, number)
            for turn in self.turns
            for number, step in enumerate(turn.steps, 1)
        ]

    @property
    def exchanges(self) -> list[Exchange]:
        """The exchanges in view."""
        return [exchange for turn in self.turns for exchange in turn.exchanges]

    @property
    def where(self) -> Where:
        """The location of findings about the whole view."""
        return Where(turn=self.turn.number if self.turn is not None else None)


def option_error(message: str, *path: str | int) -> PydanticCustomError:
    """Return the error that a validator raises for a bad argument.

    ``path`` leads from the validated value to the culprit.
    """
    return PydanticCustomError("option_error", "{message}", {"message": message, "path": path})


class Options(BaseModel):
    """Base of the models that are written in YAML. Unknown options and empty values are refused.

    ``strictness`` says which of two values of an option is stricter (:mod:`.strictness`).
    """

    strictness: ClassVar[Mapping[str, Strictness]] = {}
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )

    @classmethod
    def yaml_names(cls) -> dict[str, str]:
        """Return the attribute of each option by the option's name in YAML."""
        return {field.alias or name: name for name, field in cls.model_fields.items()}

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, value: Any) -> Any:
        valid = cls.yaml_names()
        known = {*valid, *cls.model_fields} if cls.model_config["validate_by_name"] else {*valid}
        for key in value if isinstance(value, dict) else ():
            if key not in known:
                hint = did_you_mean(str(key), valid)
                raise option_error(f"unknown option {key!r}{hint}; valid: {', '.join(valid)}", key)
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_null(cls, value: Any, info: ValidationInfo) -> Any:
        # An option with nothing after its colon is a mistake, unless it may be any JSON value.
        if value is None and cls.model_fields[str(info.field_name)].annotation is not Any:
            raise option_error("empty value")
        return value


class ParsedArgument(NamedTuple):
    """The options that an argument spells.

    ``into`` is the option that a bare argument, or the free keys of a mapping, went into.
    """

    options: Mapping[str, JSON]
    into: str | None


class Check(Options):
    """Base of every check: a frozen pydantic model whose fields are the options in YAML.

    * ``name`` is the word in YAML.
    * ``shorthand`` is the field that ``name: argument`` fills, None where the check takes options
      only. Where every field has a default, the bare ``name`` works too.
    * ``rest`` is the field that takes the keys of a mapping that are not options, for checks whose
      keys are the user's (``json: {age: 3}``).
    * ``file_options`` are the options that hold a file's path.
    * ``text_options`` are the options that may be ``{file: path}`` in a suite, instead of what the
      file has; ``""`` is the argument itself.
    * ``extra_forms`` are JSON Schemas of further arguments that ``parse_argument`` accepts.
    * ``fault_codes`` are the codes of findings that say nothing about the model: one of severity
      ``error`` makes the check *errored*, not failed.
    * ``sends_requests`` says that the check uses ``View.ask`` and has to run while the variant's
      transport is open.

    The examples in ``docs/checks/<name>.md`` are run by the tests.
    """

    name: ClassVar[str]
    shorthand: ClassVar[str | None] = None
    rest: ClassVar[str | None] = None
    file_options: ClassVar[tuple[str, ...]] = ()
    text_options: ClassVar[tuple[str, ...]] = ()
    extra_forms: ClassVar[tuple[dict[str, JSON], ...]] = ()
    fault_codes: ClassVar[frozenset[str]] = frozenset()
    sends_requests: ClassVar[bool] = False

    @classmethod
    def parse_argument(cls, argument: JSON) -> ParsedArgument:
        """Turn what follows ``name:`` into options. Raises ``option_error``."""
        if not isinstance(argument, Mapping):
            if cls.shorthand is None:
                raise option_error("takes its options as a mapping")
            return ParsedArgument({cls.shorthand: argument}, cls.shorthand)
        if cls.rest is None:
            return ParsedArgument(argument, None)
        known = set(cls.yaml_names()) - {cls.rest}
        options = {key: value for key, value in argument.items() if key in known}
        options[cls.rest] = {key: value for key, value in argument.items() if key not in known}
        return ParsedArgument(options, cls.rest)

    @classmethod
    def named_files(cls, argument: JSON) -> list[tuple[tuple[str | int, ...], str]]:
        """Return the files that an argument names, each with its path in the argument."""
        options = argument if isinstance(argument, Mapping) else {}
        return [
            ((option,), options[option])
            for option in cls.file_options
            if isinstance(options.get(option), str)
        ]

    def run(self, view: View) -> Iterator[Finding | Judgment]:
        """Yield what is wrong, and what a judge answered.

        An exception makes the variant errored, not failed.
        """
        raise NotImplementedError

    def matched(self, view: View) -> str:
        """Return where the view has what this check asserts; shown where it must not pass."""
        return ""
