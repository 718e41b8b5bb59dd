"""Give each variant its own history in Allure.

Allure tells tests apart by function and parameters. All variants and trials of a scenario are one
function to it, so each gets its name as a parameter. Loaded only in sessions with allure-pytest.
"""

import pytest
from allure_commons import plugin_manager

from evalkit.pytest_plugin.collection import VariantItem


class AllureParameters:
    """Adds the parameter before each test; registered where ``--alluredir`` is given."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Add the variant's name, also for a variant that the next hooks skip."""
        if isinstance(item, VariantItem):
            name = item.variant.name
            plugin_manager.hook.add_parameter(name="variant", value=name, excluded=None, mode=None)
