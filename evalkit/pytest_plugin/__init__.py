"""The pytest plugin: options, collection of suites, the tape fixture, results and summary.

pytest loads this package in every session of its environment, so what is imported here must
stay cheap; ``hooks`` says how.
"""

from evalkit.pytest_plugin.hooks import (
    evalkit_tape,
    pytest_collect_file,
    pytest_collection,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_recording_configure,
    pytest_sessionstart,
)
from evalkit.pytest_plugin.options import pytest_addoption

__all__ = [
    "evalkit_tape",
    "pytest_addoption",
    "pytest_collect_file",
    "pytest_collection",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_recording_configure",
    "pytest_sessionstart",
]
