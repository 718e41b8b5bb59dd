"""What a check is: a small class whose fields are its YAML arguments, with one method.

A check is pure: it reads a View and yields Findings. It opens no file, imports no user code by itself (the View's ports do that),
keeps nothing between calls, and never decides a verdict. It must say in its docstring what the empty case means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from evalkit._lib.json import JSON
from evalkit.checks.core.declaring import Options, complaint, spellings
from evalkit.transcript import Exchange, Request, Response, Step, Transcript, Turn
from evalkit.verdict import Finding


def _no_port(name: str) -> Callable[..., Any]:
    def refuse(*_: Any) -> Any:
        raise LookupError(f"this check needs {name}, which is not available here")

    return refuse


_NO_TARGETS, _NO_FILES, _NO_VARIANTS = (
    _no_port("a python target"),
    _no_port("a file"),
    _no_port("another variant"),
)
_NO_SERVICE, _NO_SNAPSHOTS = _no_port("a model to ask"), _no_port("a suite's folder of snapshots")


class Approved(NamedTuple):
    """An approved snapshot: its file's path from the project root, and its text, None where nothing is approved yet."""

    path: str
    text: str | None


class View(NamedTuple):
    """What a check sees: one turn, or with ``turn`` None the whole conversation.

    Ports: ``resolve`` imports a ``package.module:name`` target (raises TargetError), ``read`` returns the text of a file of the suite
    (paths were checked when the suite was loaded), ``sibling`` returns the transcript of another variant of the same scenario by its
    settings, e.g. ``{"history": "stateful"}``, or None where that is this very variant (raises LookupError where there is none or it has
    no recording), ``approved`` finds a snapshot by turn (None: the conversation), name and kind (raises Misconfigured for a file that
    cannot be read), ``ask`` sends a request of the check's own over the variant's transport, so that it is recorded and replayed like any
    other (raises CassetteMiss, TransportError; only for a check that declares ``asks``).
    """

    transcript: Transcript
    turn: Turn | None = None
    resolve: Callable[[str], Any] = _NO_TARGETS
    read: Callable[[str], str] = _NO_FILES
    sibling: Callable[[Mapping[str, JSON]], Transcript | None] = _NO_VARIANTS
    approved: Callable[[int | None, str, str], Approved] = _NO_SNAPSHOTS
    ask: Callable[[Request], Response] = _NO_SERVICE

    @property
    def turns(self) -> list[Turn]:
        """The turns in view: the one, or all of them."""
        return [self.turn] if self.turn is not None else self.transcript.turns

    @property
    def last(self) -> Turn | None:
        """The turn that final-state checks (``text``, ``json``, ``status``) read: the one in view, else the last; None with no turn."""
        if self.turn is not None:
            return self.turn
        return self.transcript.turns[-1] if self.transcript.turns else None

    @property
    def steps(self) -> list[Step]:
        """The timeline in view, user messages left out."""
        return [step for turn in self.turns for step in turn.steps]

    @property
    def exchanges(self) -> list[Exchange]:
        """The exchanges in view."""
        return [exchange for turn in self.turns for exchange in turn.exchanges]


class Spelled(NamedTuple):
    """What follows ``name:`` as options. ``into`` is the option that took a bare argument, or the free keys of a mapping."""

    options: Mapping[str, JSON]
    into: str | None


class Check(Options):
    """Base of every check. Fields are the YAML options, each subclass a frozen dataclass of them; unknown options are refused.

    ``name`` is the word in YAML. ``shorthand`` names the field that ``name: argument`` fills (None: the check takes no bare argument);
    when every field has a default, the bare ``name`` works too. ``rest`` names the field that takes those keys of a mapping which are no
    options, for checks whose mapping speaks in the user's words (``json: {age: 3}``). ``file_options`` names the options that hold a
    file's path, ``also`` gives JSON Schemas of further arguments that ``spell`` takes. ``asks`` says that it sends requests (``View.ask``):
    it is run while the variant's transport is open. ``examples`` in ``docs/checks/<name>.md`` are run by the tests.
    """

    name: ClassVar[str]
    shorthand: ClassVar[str | None] = None
    rest: ClassVar[str | None] = None
    file_options: ClassVar[tuple[str, ...]] = ()
    also: ClassVar[tuple[dict[str, JSON], ...]] = ()
    asks: ClassVar[bool] = False

    @classmethod
    def spell(cls, argument: JSON) -> Spelled:
        """Turn what follows ``name:`` into options. Raises ``complaint`` where the check takes no such argument."""
        if isinstance(argument, Mapping):
            if cls.rest is None:
                return Spelled(argument, None)
            own = set(spellings(cls)) - {cls.rest}
            options = {key: value for key, value in argument.items() if key in own}
            options[cls.rest] = {key: value for key, value in argument.items() if key not in own}
            return Spelled(options, cls.rest)
        if cls.shorthand is None:
            raise complaint("takes its options as a mapping")
        return Spelled({cls.shorthand: argument}, cls.shorthand)

    @classmethod
    def named_files(cls, argument: JSON) -> list[tuple[tuple[str | int, ...], str]]:
        """Return the files an argument names, each with its path in the argument."""
        if not isinstance(argument, Mapping):
            return []
        return [
            ((word,), name)
            for word in cls.file_options
            if isinstance(name := argument.get(word), str)
        ]

    def run(self, view: View) -> Iterator[Finding]:
        """Yield what is wrong. Raising means the check crashed: the variant is errored, not failed."""
        raise NotImplementedError
