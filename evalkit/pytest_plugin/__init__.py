"""The pytest plugin: options, collection of suites, items, the run directory, the terminal summary.

pytest loads this package in every session of the environment it is installed in, so it imports only pytest and the standard library; a room
of evalkit is imported, and the hooks that see every test are registered, when the first suite is collected (design section 8, first budget).
"""

from evalkit.pytest_plugin.fixtures import evalkit_tape
from evalkit.pytest_plugin.hooks import (
    pytest_collect_file,
    pytest_configure,
    pytest_recording_configure,
)
from evalkit.pytest_plugin.options import pytest_addoption

__all__ = [
    "evalkit_tape",
    "pytest_addoption",
    "pytest_collect_file",
    "pytest_configure",
    "pytest_recording_configure",
]
