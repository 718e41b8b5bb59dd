"""``evalkit_tape``: one tape per test, with the session's options.

The tape runs from the fixture's setup to its teardown, so it also records other fixtures that use
it. The cassette is written at teardown. After the test function a recorded fault fails the test,
even if the application or its SDK swallowed the exception.
"""

import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from unittest import SkipTest

import pytest

from evalkit._lib.files import display_path
from evalkit._lib.text import shorten
from evalkit.errors import EvalkitError, UsageError
from evalkit.plugins import Catalog
from evalkit.pytest_plugin.session_settings import read_settings
from evalkit.pytest_plugin.tape_results import collect_tests, name_in_module, tape_of
from evalkit.session import Settings
from evalkit.session.settings import application_environment, rerecord_command
from evalkit.suite.model.variant_names import file_word
from evalkit.taping import Tape
from evalkit.taping.tape_session import TapePlan

_TAPE: pytest.StashKey[Tape] = pytest.StashKey()
_TEST_ERROR: pytest.StashKey[BaseException | None] = pytest.StashKey()
_REPORTED_FAULTS: pytest.StashKey[int] = pytest.StashKey()
_FIRST_MODULES: pytest.StashKey[dict[str, str]] = pytest.StashKey()
_RECORDED_TEST = re.compile(r'^  test: "(.*?)::', re.MULTILINE)
_CASSETTE_OWNERS: pytest.StashKey[dict[str, str]] = pytest.StashKey()


def run_tape(item: pytest.Item) -> Iterator[Tape]:
    """Yield the running tape of a test."""
    plugins = item.config.pluginmanager
    if not plugins.has_plugin("evalkit-tape-faults"):
        plugins.register(TapeFaults(), "evalkit-tape-faults")
    test_tape = tape_of(item)
    # One that asks for the fixture by ``getfixturevalue`` is not known before.
    collect_tests(item.config, [item])
    # A test that another plugin runs again starts anew.
    did_not_run = RuntimeError("the test did not run")
    item.stash[_TEST_ERROR], item.stash[_REPORTED_FAULTS] = did_not_run, 0
    settings = read_settings(item.config, os.environ)
    with _message_only():
        tape = _create_tape(item, settings)
    with application_environment(settings, os.environ):
        test_tape.start(tape)
        with _message_only():
            tape.__enter__()
        item.stash[_TAPE] = tape
        try:
            yield tape
        finally:
            del item.stash[_TAPE]
            error = item.stash[_TEST_ERROR]
            with _message_only():
                tape.end(
                    error,
                    reported=item.stash[_REPORTED_FAULTS],
                    error_is_result=error is not did_not_run,
                )
            item.user_properties.append(("evalkit_cassette", display_path(tape.path)))
            item.user_properties.append(("evalkit_conversations", len(tape.conversations())))


class TapeFaults:
    """Fails tests whose tape had a fault; registered with the first test that tapes."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Note that a fixture skipped the test, as a replay of its requests will."""
        if call.when == "setup" and call.excinfo is not None:
            error = call.excinfo.value
            if isinstance(error, SkipTest) or not isinstance(error, Exception):
                item.stash[_TEST_ERROR] = error

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Raise the first fault of the tape, whatever the application did with it."""
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:  # noqa: BLE001 - raised again below, or part of the message
            error = raised
        tape = item.stash.get(_TAPE, None)
        if tape is not None:
            item.stash[_TEST_ERROR] = error
            if tape.faults and (error is None or isinstance(error, Exception)):
                item.stash[_REPORTED_FAULTS] = len(tape.faults)
                message = str(tape.faults[0])
                if error is not None and error not in tape.faults:
                    name, text = type(error).__name__, shorten(str(error), 200)
                    message += f"\n  the test ended with {name}: {text}"
                pytest.fail(message, pytrace=False)
        if error is not None:
            raise error


@contextmanager
def _message_only() -> Iterator[None]:
    """Report an error of evalkit as its message, without a traceback."""
    try:
        yield
    except EvalkitError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _create_tape(item: pytest.Item, settings: Settings) -> Tape:
    config, name = item.config, cassette_name(item, settings.cassettes)
    node_id = f"{item.path}::{name_in_module(item)}"
    owners = config.stash.setdefault(_CASSETTE_OWNERS, {})
    # Some file systems ignore case.
    owner = owners.setdefault(name.casefold(), item.nodeid)
    if owner != item.nodeid:
        raise UsageError(
            f"{item.nodeid} and {owner} would share the cassette {name}: "
            "give one of them another name, or use evalkit.tape(…)"
        )
    plan = TapePlan(
        path=settings.cassettes / name,
        mode=settings.record_mode,
        label=item.nodeid,
        hint=rerecord_command(settings, node_id),
        live=settings.live,
        secrets=settings.secrets,
        patterns=settings.patterns,
        metadata={"test": item.nodeid},
    )
    return Tape(
        plan,
        Catalog(),
        python=settings.python,
        ignore=config.getini("evalkit_ignore_hosts"),
        strict=config.getoption("evalkit_strict"),
    )


def cassette_name(item: pytest.Item, folder: Path) -> str:
    """Return ``<module>/<test>.yaml``, with a digest if the test's name cannot be a file name.

    Classes and parameters are joined by dots. Where another module of the same name has that
    cassette in ``folder``, or will have it, the module's folders are part of its name.
    """
    module = item.nodeid.partition("::")[0]
    name, bracket, parameters = name_in_module(item).partition("[")
    words = name.split("::")
    if bracket:
        words.append(parameters.removesuffix("]"))
    plain = ".".join(words)
    safe = ".".join(map(file_word, words))
    if safe != plain:
        safe += f"-{blake2b(plain.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"
    *folders, last = module.removesuffix(".py").split("/")
    short, long = (f"{file_word(word)}/{safe}.yaml" for word in (last, ".".join([*folders, last])))
    owner = _recorded_module(folder / short)
    if owner is not None and owner != module and (item.config.rootpath / owner).exists():
        return long
    is_first = owner == module or _modules(item)[item.path.name] == module
    return short if is_first and not (folder / long).exists() else long


def _modules(item: pytest.Item) -> dict[str, str]:
    """Return the first module of each file name in the session, which gets the short name."""
    modules = item.config.stash.get(_FIRST_MODULES, None)
    if modules is None:
        paths = sorted(
            {(other.path.name, other.nodeid.partition("::")[0]) for other in item.session.items},
            reverse=True,
        )
        modules = item.config.stash[_FIRST_MODULES] = dict(paths)
    return modules


def _recorded_module(path: Path) -> str | None:
    """Return the test module in a cassette's metadata."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            match = _RECORDED_TEST.search(file.read(4096))
    except OSError:
        return None
    return match[1] if match else None
