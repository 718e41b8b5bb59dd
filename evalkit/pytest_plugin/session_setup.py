"""Session state: created, with the reporter, when the first suite is collected.

A session without suites imports none of it. The state is in ``config.stash``, never in a module.
"""

from __future__ import annotations

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
        from evalkit.pytest_plugin.reporter import Reporter
        from evalkit.pytest_plugin.state import State

        state = config.stash[_STATE] = State.of(config, os.environ)
        config.pluginmanager.register(Reporter(config, state), "evalkit-reporter")
    return state
