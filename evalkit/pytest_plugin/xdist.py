"""The controller of a distributed session (pytest-xdist) collects nothing; it gets evalkit's reporter when the first worker tells of a suite."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.pytest_plugin.options import RESULT, WORKER_OUTPUT
from evalkit.pytest_plugin.session_setup import state_of


class Awaiting:
    """Waits for the first sign of evalkit from a worker; costs a look at each report until then."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Make the session's state with the first result; its reporter is told of this report here, since it was not registered when it came."""
        if hasattr(report, RESULT) and not self._config.pluginmanager.has_plugin(
            "evalkit-reporter"
        ):
            state_of(self._config)
            reporter: Any = self._config.pluginmanager.get_plugin("evalkit-reporter")
            reporter.pytest_runtest_logreport(report)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take in what a worker that ended knows."""
        told = getattr(node, "workeroutput", {}).get(WORKER_OUTPUT)
        if told is not None:
            state_of(self._config).take_worker_output(told)
