"""Shared by every test: pytest's own plugin tester, and no key of the machine in any test."""

from __future__ import annotations

import pkgutil
import signal
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import evalkit
from evalkit._lib.limits import set_limits

# Few examples in each of many runs find more than many examples in a few; `thorough` is for a
# change of the code that a property describes. Time limits would depend on the machine.
settings.register_profile(
    "quick",
    max_examples=30,
    deadline=None,
    suppress_health_check=[
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
        HealthCheck.large_base_example,
        HealthCheck.too_slow,
    ],
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=1000)
settings.load_profile("quick")

pytest_plugins = ["pytester"]

# A shell lets its background jobs ignore SIGINT, and the processes that tests start inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

LATE_MODULES = ("httpcore", "rich.progress")


@pytest.fixture(scope="session")
def loaded_modules() -> None:
    """Load all modules of evalkit, and those that its libraries load when they are used.

    After each of its tests pytester unloads what the test has loaded, and the next one would have
    to load it again.
    """
    names = [module.name for module in pkgutil.walk_packages(evalkit.__path__, "evalkit.")]
    names.remove("evalkit.__main__")
    for name in (*names, *LATE_MODULES):
        import_module(name)


@pytest.fixture
def pytester(loaded_modules: None, pytester: pytest.Pytester) -> pytest.Pytester:
    """Return pytest's own tester, with the modules loaded before it."""
    return pytester


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL", "SOURCE_DATE_EPOCH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the waits before retries in this process fifty times shorter."""
    monkeypatch.setattr("evalkit.transports.live._FIRST_WAIT", 0.01)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a new folder, in a terminal of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def small_limits() -> Iterator[None]:
    """Limit responses of the endpoint to sizes that a test can exceed."""
    set_limits(["response=1MB", "headers=64KB", "events=1000"])
    yield
    set_limits([])
