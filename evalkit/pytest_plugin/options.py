"""Command-line and ini options of the plugin, and what is asked of a configuration. Nothing of evalkit is imported here."""

from __future__ import annotations

from pathlib import Path

import pytest

WORKER_OUTPUT = "evalkit"
"""The name under which a worker of pytest-xdist tells its controller what it knows."""
RESULT = "evalkit_result"
"""The attribute of pytest's report on which a variant's result rides."""
DEFAULTS = {"cassettes": "cassettes", "report": "reports/latest"}
MODES = ("none", "once", "new_episodes", "all")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of design section 5."""
    group = parser.getgroup("evalkit", "evalkit: suites of conversations with models")
    group.addoption(
        "--evalkit-record", choices=MODES, default="none", help="none (default): replay only, no socket; once: record what has no cassette; "
        "new_episodes: replay what is there, record the rest; all: record again",
    )  # fmt: skip
    group.addoption(
        "--evalkit-live",
        action="store_true",
        help="reach the endpoint for every variant; read and write no cassette",
    )
    group.addoption(
        "--evalkit-cassettes",
        metavar="DIR",
        default=DEFAULTS["cassettes"],
        help="folder of cassettes (default: cassettes)",
    )
    group.addoption(
        "--evalkit-report",
        metavar="DIR",
        default=DEFAULTS["report"],
        help="run directory to write (default: reports/latest)",
    )
    group.addoption(
        "--evalkit-base-url",
        metavar="URL",
        help="endpoint to reach (default: GOOGLE_GEMINI_BASE_URL, else the public one)",
    )
    group.addoption(
        "--evalkit-model",
        metavar="NAME",
        action="append",
        default=[],
        help="model instead of the suite's; repeat for variants",
    )
    group.addoption(
        "--evalkit-repeat", metavar="N", type=_positive, help="independent trials of every variant"
    )
    group.addoption(
        "--evalkit-concurrency",
        metavar="N",
        type=_positive,
        default=1,
        help="conversations held at once while recording or live (default: 1)",
    )
    group.addoption(
        "--evalkit-resume",
        action="store_true",
        help="go on with the run directory's results: what passed or failed there is not run again",
    )
    group.addoption(
        "--evalkit-strict",
        action="store_true",
        help="fail on recordings left unplayed and on cassettes no variant uses",
    )
    parser.addini(
        "evalkit_suites", "folders whose *.yaml files are suites", type="args", default=["suites"]
    )
    parser.addini(
        "evalkit_ignore_hosts",
        "hosts that tapes let pass; loopback: this machine",
        type="args",
        default=[],
    )
    parser.addini(
        "evalkit_redact",
        "regular expressions of texts that must never be written, one a line",
        type="linelist",
        default=[],
    )


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"{text!r} is not a whole number from 1")
    return int(text)


def suite_folders(config: pytest.Config) -> list[Path]:
    """Return the folders of the ini option ``evalkit_suites``, absolute."""
    return [config.rootpath / name for name in config.getini("evalkit_suites")]


def folder_of(config: pytest.Config, name: str) -> Path:
    """Return the folder of an option of ``DEFAULTS``: one the user names is meant from where they stand, a default lies in the project."""
    named: str = config.getoption(f"evalkit_{name}")
    return (config.rootpath if named == DEFAULTS[name] else config.invocation_params.dir) / named


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist: it runs items, the controller writes."""
    return hasattr(config, "workerinput")
