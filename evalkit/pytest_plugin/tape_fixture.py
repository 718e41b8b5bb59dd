"""``evalkit_tape``: one tape for one test, with the session's options. Imported with the first test that asks for it.

The tape runs from the fixture's setup to its teardown, so that other fixtures that use it are taped too. When the test function has ended, its
faults are told: a miss that the application or its SDK swallowed fails the test all the same. The cassette is written at teardown.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import pytest

from evalkit._lib.files import shown
from evalkit._lib.text import shorten
from evalkit.errors import EvalkitError, UsageError
from evalkit.plugins import Catalog
from evalkit.pytest_plugin.options import folder_of
from evalkit.session import Settings
from evalkit.session.settings import application_environment
from evalkit.suite.names import file_word
from evalkit.taping.recorder import TapePlan
from evalkit.taping.tapes import Tape

_TAPE: pytest.StashKey[Tape] = pytest.StashKey()
_RAISED: pytest.StashKey[BaseException | None] = pytest.StashKey()
_TOLD: pytest.StashKey[int] = pytest.StashKey()
_NAMES: pytest.StashKey[dict[str, str]] = pytest.StashKey()


def taped(item: pytest.Item) -> Iterator[Tape]:
    """Yield the running tape of a test."""
    config = item.config
    if not config.pluginmanager.has_plugin("evalkit-tapes"):
        config.pluginmanager.register(Faults(), "evalkit-tapes")
    settings = _settings(config)
    with _shortly():
        tape = _tape(item, settings)
    with application_environment(settings, os.environ):
        with _shortly():
            tape.__enter__()
        item.stash[_TAPE] = tape
        try:
            yield tape
        finally:
            del item.stash[_TAPE]
            unheld = RuntimeError("the test did not run")
            with _shortly():
                tape.end(item.stash.get(_RAISED, unheld), told=item.stash.get(_TOLD, 0))
            item.user_properties.append(("evalkit_cassette", shown(tape.path)))
            item.user_properties.append(("evalkit_conversations", len(tape.conversations())))


@contextmanager
def _shortly() -> Iterator[None]:
    """Show what is evalkit's to say as its message alone."""
    try:
        yield
    except EvalkitError as error:
        pytest.fail(str(error), pytrace=False)


def cassette_name(item: pytest.Item) -> str:
    """Return ``<module>/<test>.yaml``: classes and parameters joined by dots, what a file name cannot hold replaced, told apart by a digest."""
    _, _, inner = item.nodeid.partition("::")
    name, bracket, parameters = inner.partition("[")
    words = [*name.split("::"), *([parameters.removesuffix("]")] if bracket else [])]
    plain = ".".join(words)
    safe = ".".join(map(file_word, words))
    digest = (
        ""
        if safe == plain
        else f"-{blake2b(plain.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"
    )
    return f"{file_word(re.sub(r'[.]py$', '', item.path.name))}/{safe}{digest}.yaml"


class Faults:
    """Registered with the first test that tapes."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Fail a test whose tape could not answer, whatever the application made of that."""
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:  # noqa: BLE001 - it is raised again below, or told beside the fault
            error = raised
        tape = item.stash.get(_TAPE, None)
        if tape is not None:
            item.stash[_RAISED] = error
            if tape.faults and (error is None or isinstance(error, Exception)):
                item.stash[_TOLD] = len(tape.faults)
                lines = [str(tape.faults[0])]
                if error is not None and error not in tape.faults:
                    lines.append(
                        f"  the test ended with {type(error).__name__}: {shorten(str(error), 200)}"
                    )
                pytest.fail("\n".join(lines), pytrace=False)
        if error is not None:
            raise error


def _settings(config: pytest.Config) -> Settings:
    return Settings.of(
        config.rootpath,
        folder_of(config, "cassettes"),
        config.getoption("evalkit_record"),
        config.getoption("evalkit_base_url"),
        os.environ,
        live=config.getoption("evalkit_live"),
        patterns=config.getini("evalkit_redact"),
    )


def _tape(item: pytest.Item, settings: Settings) -> Tape:
    config = item.config
    plan = TapePlan(
        settings.cassettes / _claimed(item, cassette_name(item)),
        settings.mode,
        label=item.nodeid,
        hint=f"pytest {shlex.quote(item.nodeid)} --evalkit-record all",
        live=settings.live,
        secrets=settings.secrets,
        patterns=settings.patterns,
        metadata={"test": item.nodeid},
    )
    ignored = config.getini("evalkit_ignore_hosts")
    return Tape(
        plan,
        Catalog(),
        root=config.rootpath,
        ignore=ignored,
        strict=config.getoption("evalkit_strict"),
    )


def _claimed(item: pytest.Item, name: str) -> Path:
    names = item.config.stash.setdefault(_NAMES, {})
    owner = names.setdefault(name.casefold(), item.nodeid)
    if owner != item.nodeid:
        raise UsageError(
            f"{item.nodeid} and {owner} would share the cassette {name}: give one of them another name, or use evalkit.tape(…)"
        )
    return Path(name)
