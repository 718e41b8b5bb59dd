"""Opening a session: evalkit's rooms are imported and its reporter registered when the first suite is collected, not before.

What a session keeps lies in ``config.stash``, never in a module. What is made before the first test (modules, suites, items) lives as
long as the session: it is set apart from Python's garbage collector (``gc.freeze``), here, after each suite and when collection ends, and
given back when all is over. Should the process end then, its memory goes back whole, and Python's last collection, which would look at
every variant once more, has nothing to do.
"""

from __future__ import annotations

import atexit
import gc
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from evalkit.pytest_plugin.state import State

_STATE: pytest.StashKey[State] = pytest.StashKey()


def state_of(config: pytest.Config) -> State:
    """Return the session's state, made when it is first asked for. Raises UsageError for options that cannot be used."""
    state = config.stash.get(_STATE, None)
    if state is None:
        from evalkit._lib.collector import collector_paused

        with collector_paused():
            from evalkit.pytest_plugin.reporter import Reporter
            from evalkit.pytest_plugin.state import State

            state = config.stash[_STATE] = State.of(config, os.environ)
            config.pluginmanager.register(Reporter(config, state), "evalkit-reporter")
            gc.freeze()
    return state


def give_back(config: pytest.Config) -> None:
    """Give the garbage collector back what collection set apart: another session may follow in this process.

    If none does, the interpreter need not look for cycles among it: whoever must act at its end has been called by then (``atexit``), and
    Python promises no ``__del__`` to what lives that long (language reference, 3.3.1).
    """
    if _STATE in config.stash:
        gc.unfreeze()
        atexit.unregister(gc.freeze)
        atexit.register(gc.freeze)
