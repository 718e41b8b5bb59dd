"""What a session is run with, read from the options of pytest."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from evalkit._lib.limits import set_limits
from evalkit.errors import Misconfigured, UsageError
from evalkit.pytest_plugin.command_line import repeated_command
from evalkit.pytest_plugin.options import LEDGER, LEDGER_FILE
from evalkit.pytest_plugin.project import folder_of, project_root
from evalkit.session import Settings
from evalkit.session.ledger import Budget, Ledger


@contextmanager
def usage_errors() -> Iterator[None]:
    """Raise what is misconfigured as pytest's own error, which ends the session with a message."""
    try:
        yield
    except Misconfigured as error:
        raise pytest.UsageError(str(error)) from error


def read_settings(config: pytest.Config, environment: Mapping[str, str]) -> Settings:
    """Read the settings of a session from its options and the environment; set its limits."""
    set_limits(config.getini("evalkit_limits"))
    baseline: str | None = config.getoption("evalkit_locked")
    locked = None if baseline is None else config.invocation_params.dir / baseline
    if locked is not None and locked.resolve() == folder_of(config, "report").resolve():
        raise UsageError(
            f"--evalkit-locked {baseline} is the directory that this session writes its results "
            "to; name another one with --evalkit-report"
        )
    return Settings.read(
        project_root(config),
        folder_of(config, "cassettes"),
        config.getoption("evalkit_record"),
        base_url=config.getoption("evalkit_base_url"),
        environment=environment,
        live=config.getoption("evalkit_live"),
        api_version=config.getoption("evalkit_api_version"),
        patterns=config.getini("evalkit_redact"),
        packages=config.getini("evalkit_python"),
        command=repeated_command(config),
        locked=locked,
    )


def open_ledger(config: pytest.Config, settings: Settings) -> Ledger | None:
    """Return the ledger of a session that may record; None for any other. Raises UsageError."""
    if not settings.may_record:
        return None
    # Start-up cost: only recording needs the prices.
    from evalkit.config import find_config, load_config

    limit = config.getoption("evalkit_budget")
    shared = getattr(config, "workerinput", {}).get(LEDGER) or config.stash.get(LEDGER_FILE, None)
    prices = load_config(find_config(settings.root)).prices
    budget = Budget(*limit) if limit is not None else None
    if budget is not None and budget.is_money and not prices:
        raise UsageError(
            f"--evalkit-budget {budget}: evalkit.yaml has no prices; name them there, or give "
            "a number of tokens ('200000 tokens')"
        )
    return Ledger(budget, prices, Path(shared) if shared else None)
