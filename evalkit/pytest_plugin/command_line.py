"""The command line that the user typed: which options came from it, and how to repeat it.

Like ``hooks``, loaded in every session: no evalkit imports.
"""

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

_REPEATED = frozenset(
    [
        *("-c", "--config-file", "--rootdir", "--confcutdir", "--noconftest", "--import-mode"),
        *("-o", "--override-ini", "-p"),
        *("--evalkit-cassettes", "--evalkit-report", "--evalkit-base-url", "--evalkit-locked"),
        *("--evalkit-api-version", "--evalkit-model", "--evalkit-repeat", "--evalkit-budget"),
    ]
)
"""Options that decide what a variant is and where its files are. A list of the options to repeat,
not of those to leave out: options of other plugins may contain secrets."""
_FLAGS = frozenset({"--noconftest"})


def is_typed(config: pytest.Config, option: str) -> bool:
    """Return whether an option is on the command line or in PYTEST_ADDOPTS, not in an ini file."""
    words = [*_words(config), *shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))]
    return any(word.partition("=")[0] == option for word in words)


def repeated_command(config: pytest.Config) -> tuple[str, ...]:
    """Return the words that start the same session again, without its selection of tests."""
    # A worker of pytest-xdist has the same arguments, but was started by another program.
    program = getattr(config, "workerinput", {}).get("mainargv", sys.argv)[0]
    start = ("python", "-m", "pytest") if Path(program).name == "__main__.py" else ("pytest",)
    return (*start, *_repeated(_words(config)))


def changed_command(config: pytest.Config) -> str:
    """Return the shell command that records what changed, with the session's selection of tests."""
    words = list(repeated_command(config))
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        words += config.args
    for option, text in (("-k", config.option.keyword), ("-m", config.option.markexpr)):
        words += [option, text] if text else []
    return shlex.join([*words, "--evalkit-record", "changed"])


def _words(config: pytest.Config) -> list[str]:
    return [os.fspath(word) for word in config.invocation_params.args]


def _repeated(words: Sequence[str]) -> Iterator[str]:
    remaining = iter(words)
    for word in remaining:
        name, equals, _ = word.partition("=")
        if name in _REPEATED:
            given = [word] if equals or name in _FLAGS else [word, next(remaining, "")]
            # An address with credentials must not be in a message.
            if name != "--evalkit-base-url" or not {"@", "?"} & set(given[-1]):
                yield from given
        elif word[:2] in _REPEATED:  # such as -pno:cacheprovider
            yield word
