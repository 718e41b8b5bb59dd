"""The exception tree of evalkit. Three kinds of fault, never mixed:

EvalkitError
├── Misconfigured          the user's file, flag, key or environment; message is short, located, actionable; no traceback
│   ├── UsageError         a flag, option or environment variable
│   ├── SuiteErrors        every problem of one suite file, all at once (list of Problem)
│   ├── TargetError        a ``python: package.module:function`` that does not resolve
│   ├── ScriptError        a server script that cannot be used
│   ├── CassetteError      a cassette that cannot be read: file and line; never treated as missing, never overwritten
│   ├── CassetteMiss       a request that the cassette does not hold
│   ├── SecretLeak         a known secret would have been written; nothing was
│   └── IntegrityError     a file is not what it was when it was run or signed; nothing was written
├── Failed                 the model's fault: a check found something (verdict ``failed``)
│   └── ExpectationFailed  a tape's conversation is not as it was expected; also an AssertionError
└── Crashed                ours or the network's fault (verdict ``errored``)
    ├── TransportError     no usable HTTP answer came
    │   ├── ConnectFailed
    │   ├── TimedOut
    │   └── Disconnected   the answer broke off
    ├── CheckCrashed       a check raised: never a low score
    └── ToolCrashed        a suite's python tool raised

Foreign errors (httpx, yaml, jinja2, jsonschema) are mapped to these at one border each and never leak.
"""

from __future__ import annotations

from typing import NamedTuple


class EvalkitError(Exception):
    """Root of everything evalkit raises on purpose."""


class Misconfigured(EvalkitError):
    """The user's file, flag, key or environment is wrong; ``str()`` is the whole message to show."""


class UsageError(Misconfigured):
    """A flag, option or environment variable cannot be used."""


class Problem(NamedTuple):
    """One located problem in a user's file.

    ``line`` and ``column`` count from 1. ``source`` is the offending source line, shown with a caret under ``column``.
    """

    path: str
    line: int
    column: int
    message: str
    source: str = ""
    hints: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.path}:{self.line}:{self.column} {self.message}"]
        if self.source.strip():
            text = self.source.rstrip("\n").replace("\t", " ")
            start = max(0, self.column - 60) if len(text) > 110 else 0
            lines += [
                f"    {text[start : start + 110]}",
                "    " + " " * (self.column - 1 - start) + "^",
            ]
        lines += [f"    {hint}" for hint in self.hints]
        return "\n".join(lines[:12])


class SuiteErrors(Misconfigured):
    """Every problem found in one suite file, in file order."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda p: (p.path, p.line, p.column))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class TargetError(Misconfigured):
    """A ``python:`` target does not name something importable under the project or an installed package."""


class ScriptError(Misconfigured):
    """A server script cannot be read or does not make sense."""


class CassetteError(Misconfigured):
    """A cassette cannot be parsed, is truncated, or is of an unknown version.

    The message starts with ``file:line``. Such a file is never treated as missing and never overwritten.
    """


class CassetteMiss(Misconfigured):
    """A request is not in the cassette; the message is the whole miss report."""


class SecretLeak(Misconfigured):
    """A known secret would have been written to disk; recording stopped and wrote nothing."""


class IntegrityError(Misconfigured):
    """A file is not what it was when it was run or signed; the message names it. Nothing was written."""


class Failed(EvalkitError):
    """The model's answer is not what the suite expects."""


class ExpectationFailed(Failed, AssertionError):
    """What an application said through a tape is not what was expected; the message holds every finding."""


class Crashed(EvalkitError):
    """evalkit, a check, a tool or the network broke; says nothing about the model."""


class TransportError(Crashed):
    """No usable HTTP answer came, after all retries."""


class ConnectFailed(TransportError):
    """The connection could not be made."""


class TimedOut(TransportError):
    """The scenario's or the request's time ran out."""


class Disconnected(TransportError):
    """The answer broke off before its end."""


class CheckCrashed(Crashed):
    """A check raised an exception of its own."""


class ToolCrashed(Crashed):
    """A suite's python tool raised an exception of its own."""
