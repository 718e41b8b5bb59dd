"""Exceptions. There are three kinds of fault, and no exception belongs to two of them:

EvalkitError
├── Misconfigured          a fault of the user's file, flag, key or environment: a short message
│   │                      with a location, no traceback
│   ├── UsageError         a flag, option, path or environment variable
│   ├── SuiteErrors        all problems of one suite file (list of Problem)
│   ├── TargetError        a ``python: package.module:function`` that cannot be resolved
│   ├── ScriptError        an invalid server script
│   ├── CassetteError      an unreadable cassette; it is never treated as missing or overwritten
│   ├── CassetteMiss       a request without a matching recording
│   ├── SecretLeak         a known secret was about to be written; nothing was written
│   └── IntegrityError     a file changed since it was written or signed
├── Failed                 a fault of the model (verdict ``failed``)
│   └── ExpectationFailed  a taped conversation does not meet its expectations; an AssertionError
└── Crashed                a fault of evalkit or the network (verdict ``errored``)
    ├── TransportError     no usable HTTP response
    │   ├── ConnectFailed
    │   ├── TimedOut
    │   ├── ResponseTooLarge
    │   └── Disconnected   the response broke off
    ├── ServiceFault       the service failed during a taped conversation
    ├── CheckCrashed       a check raised an exception
    ├── SimulatorFailed    the model that plays the user gave no usable answer
    └── ToolCrashed        a suite's Python tool raised an exception

Exceptions of other libraries (httpx, yaml, jinja2, jsonschema) are converted to these in one module
each, and never reach a caller.
"""

from dataclasses import dataclass, field

_SOURCE_WIDTH = 110
_MAX_LINES = 12


class EvalkitError(Exception):
    """Base class of all exceptions that evalkit raises on purpose."""


class Misconfigured(EvalkitError):
    """The user's file, flag, key or environment is wrong; ``str()`` is the whole message."""


class UsageError(Misconfigured):
    """A flag, option, path or environment variable cannot be used."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a user's file, with its location.

    ``line`` and ``column`` count from 1. ``source`` is the text of that line; it is shown with a
    caret under ``column``.
    """

    path: str
    line: int
    column: int
    message: str
    source: str = field(default="", kw_only=True)
    hints: tuple[str, ...] = field(default=(), kw_only=True)

    def __str__(self) -> str:
        lines = [f"{self.path}:{self.line}:{self.column} {self.message}"]
        if self.source.strip():
            text = self.source.rstrip("\n").replace("\t", " ")
            # Of a long line, show the part around the column.
            start = max(0, self.column - 60) if len(text) > _SOURCE_WIDTH else 0
            lines.append(f"    {text[start : start + _SOURCE_WIDTH]}")
            lines.append("    " + " " * (self.column - 1 - start) + "^")
        lines += [f"    {hint}" for hint in self.hints]
        return "\n".join(lines[:_MAX_LINES])


class SuiteErrors(Misconfigured):
    """All problems of one suite file, in file order."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda p: (p.path, p.line, p.column))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class TargetError(Misconfigured):
    """A ``python:`` target names nothing importable in the project or an installed package."""


class ScriptError(Misconfigured):
    """A server script cannot be read or is invalid."""


class CassetteError(Misconfigured):
    """A cassette cannot be parsed, is truncated, or has an unknown version.

    The message starts with ``file:line``.
    """


class CassetteMiss(Misconfigured):
    """No recording matches a request; the message is the whole miss report.

    Misses with an equal ``cause`` have one cause, such as one edited prompt.
    """

    def __init__(self, message: str, cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause


class SecretLeak(Misconfigured):
    """A known secret was about to be written; recording stopped and nothing was written."""


class IntegrityError(Misconfigured):
    """A file changed since it was written or signed; the message names it."""


class Failed(EvalkitError):
    """The model's answer is not what the suite expects."""


class ExpectationFailed(Failed, AssertionError):
    """A taped conversation does not meet its expectations; the message has every finding."""


class Crashed(EvalkitError):
    """evalkit, a check, a tool or the network failed; this says nothing about the model."""


class TransportError(Crashed):
    """No usable HTTP response arrived, after all retries."""


class ConnectFailed(TransportError):
    """The connection could not be established."""


class TimedOut(TransportError):
    """The time limit of the scenario or the request was exceeded."""


class ResponseTooLarge(TransportError):
    """The response exceeds a limit; the message names the limit. It is not retried."""


class Disconnected(TransportError):
    """The response broke off before its end."""


class ServiceFault(Crashed):
    """The service failed during a taped conversation; the message has every finding."""


class CheckCrashed(Crashed):
    """A check raised an exception."""


class SimulatorFailed(Crashed):
    """The model that plays the user gave no usable answer."""


class ToolCrashed(Crashed):
    """A suite's Python tool raised an exception."""
