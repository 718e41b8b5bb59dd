"""Environments for programs that tests start."""

import os

ONLY_EVALKIT = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_PLUGINS": "evalkit.pytest_plugin",
}
"""Makes pytest load no other plugin that is installed: they take longer than most sessions."""


def environment_without_coverage() -> dict[str, str]:
    """Return the environment of a program whose imports or files are examined.

    Measuring coverage in it would import further modules and write a file of its own.
    """
    return {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
