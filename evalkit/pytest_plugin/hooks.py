"""The hooks that every pytest session calls: small, and free of evalkit's rooms until a suite is met."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalkit.pytest_plugin.collection import SuiteFile
from evalkit.pytest_plugin.options import is_worker, suite_folders
from evalkit.pytest_plugin.session_setup import state_of
from evalkit.pytest_plugin.xdist import Awaiting


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that exclude each other; on the controller of pytest-xdist, which collects nothing itself, get ready for results."""
    if config.getoption("evalkit_live") and config.getoption("evalkit_record") != "none":
        raise pytest.UsageError(
            "--evalkit-live keeps no cassettes, so it cannot be combined with --evalkit-record"
        )
    if config.getoption("dist", "no") != "no" and not is_worker(config):
        config.pluginmanager.register(Awaiting(config), "evalkit-awaiting")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a suite: a YAML file under a folder of the ini option ``evalkit_suites``, or named ``*.eval.yaml``. Others are left alone."""
    name = file_path.name
    if not name.endswith((".yaml", ".yml")):
        return None
    if name.endswith((".eval.yaml", ".eval.yml")) or any(
        file_path.is_relative_to(folder) for folder in suite_folders(parent.config)
    ):
        return SuiteFile.from_parent(parent, path=file_path, opening=state_of)
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_recording_configure(config: pytest.Config, vcr: Any) -> None:
    """Let pytest-recording, where it is installed, read cassettes that have metadata: its own reader takes them for damaged."""
    from evalkit.cassette import for_pytest_recording

    for_pytest_recording(vcr)
