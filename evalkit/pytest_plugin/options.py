"""Command-line and ini options. Like ``hooks``, loaded in every session: no evalkit imports."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from typing import Any

import pytest

WORKER_OUTPUT = "evalkit"
"""The key of a pytest-xdist worker's output for its controller."""
WORKER_NUMBER = "evalkit_worker"
"""The key of a worker's input: its number from 0 with ``--dist each``, else 0."""
CHANGES = "evalkit_changes"
"""The key of a worker's input: what changed since the revision of ``--evalkit-changed-since``."""
LEDGER = "evalkit_ledger"
"""The key of a worker's input: the file in which all workers note what they spent."""
LEDGER_FILE: pytest.StashKey[str] = pytest.StashKey()
PROGRESS = "evalkit-progress"
"""The name of the plugin that shows the progress of a session that records."""
REPORTER = "evalkit-reporter"
"""The name of the plugin that writes the results of a session."""
RESULT = "evalkit_result"
"""The attribute of pytest's report that carries a variant's result."""
IF_CRASHED = "evalkit_if_crashed"
"""The attribute of a setup's report that carries a test's result, should its worker crash."""
TAPE_FIXTURE = "evalkit_tape"
TEST_TAPE: pytest.StashKey[Any] = pytest.StashKey()
"""The tape of a test that uses the fixture, while it runs; a TestTape of ``tape_results``."""
UNKNOWN_TESTS: pytest.StashKey[list[str]] = pytest.StashKey()
"""Messages about node ids on the command line that no suite has."""
CRASHED: str = "???"
"""What pytest-xdist gives as ``when`` of the report of a test in which its worker crashed."""
DEFAULTS = {"cassettes": "cassettes", "report": "reports/latest"}
DEFAULT_SUITES = ["suites"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add evalkit's options."""
    group = parser.getgroup("evalkit", "evalkit: suites of conversations with models")
    group.addoption(
        "--evalkit-record",
        choices=("none", "once", "new_episodes", "all", "changed"),
        default="none",
        help="none (default): replay only, no socket; once: record variants without a cassette; "
        "new_episodes: replay what is recorded, record the rest; all: record again; "
        "changed: record again from its start what is not recorded as a whole",
    )
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
        "--evalkit-otlp",
        metavar="ENDPOINT",
        type=_collector,
        help="send the conversations as OpenTelemetry spans to this address of a collector",
    )
    group.addoption(
        "--evalkit-base-url",
        metavar="URL",
        help="endpoint to reach (default: GOOGLE_GEMINI_BASE_URL, else the public one)",
    )
    group.addoption(
        "--evalkit-api-version",
        metavar="VERSION",
        help="version in the path of requests instead of the suite's (default: v1beta)",
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
        help="conversations to run at once while recording or live (default: 1)",
    )
    group.addoption(
        "--evalkit-cluster",
        metavar="ADDRESS",
        help="run conversations on the workers of this dask cluster while recording or live: "
        "tcp://HOST:8786 or tls://HOST:8786; --evalkit-concurrency is that of each worker process",
    )
    group.addoption(
        "--evalkit-gate",
        metavar="NAME",
        help="exit with the verdict of this gate of evalkit.yaml: 0 pass, 1 fail, 4 inconclusive",
    )
    group.addoption(
        "--evalkit-baseline",
        metavar="DIR",
        help="run directory that the gate compares with; without it, a gate about this run alone",
    )
    group.addoption(
        "--evalkit-until-decided",
        metavar="GATE",
        help="start scenarios in random order until this gate of evalkit.yaml is decided, and exit "
        "with its verdict, as with --evalkit-gate",
    )
    group.addoption(
        "--evalkit-seed",
        metavar="N",
        type=_whole,
        help="the order of --evalkit-until-decided (default: another one each time; it is printed)",
    )
    group.addoption(
        "--evalkit-locked",
        metavar="BASELINE",
        help="run directory whose turns conversations continue: turn k is asked after turns 1 to "
        "k - 1 of its answers; then compare with evalkit compare --locked",
    )
    group.addoption(
        "--evalkit-budget",
        metavar="AMOUNT",
        type=_budget,
        help="stop starting conversations when so much is spent: '200000 tokens', or 5.00 in the "
        "currency of the prices in evalkit.yaml",
    )
    group.addoption(
        "--evalkit-changed-since",
        metavar="REF",
        help="run only variants whose suite, used files, cassettes or Python modules differ from a "
        "git revision",
    )
    group.addoption(
        "--evalkit-resume",
        action="store_true",
        help="resume the run in the run directory: do not run again what passed or failed there",
    )
    group.addoption(
        "--evalkit-strict",
        action="store_true",
        help="fail on recordings left unplayed and on cassettes no variant uses",
    )
    parser.addini(
        "evalkit_suites",
        "folders whose *.yaml files are suites, relative to the ini file",
        type="args",
        default=DEFAULT_SUITES,
    )
    parser.addini(
        "evalkit_ignore_hosts",
        "hosts whose requests tapes ignore; loopback: this machine",
        type="args",
        default=[],
    )
    parser.addini(
        "evalkit_python",
        "installed packages whose functions suites may name with python:",
        type="args",
        default=[],
    )
    parser.addini(
        "evalkit_cluster_plaintext",
        "send the key to a cluster on a network that you trust without TLS",
        type="bool",
        default=False,
    )
    parser.addini(
        "evalkit_limits",
        "limits to raise, one NAME=VALUE per line (response=512MB)",
        type="linelist",
        default=[],
    )
    parser.addini(
        "evalkit_redact",
        "regular expressions of texts that must never be written, one per line",
        type="linelist",
        default=[],
    )


def _collector(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ArgumentTypeError(
            f"invalid address {text!r} (expected that of OTLP over HTTP: http://127.0.0.1:4318)"
        )
    return text


def _positive(text: str) -> int:
    return _whole(text, 1)


def _whole(text: str, least: int = 0) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise ArgumentTypeError(f"{text!r} is not a whole number from {least}")
    return int(text)


def _budget(text: str) -> tuple[float, bool]:
    """Return the number of an amount, and whether it is money and not tokens."""
    tokens = re.fullmatch(r"(\d[\d_,]*) tokens?", text.strip())
    number = re.sub("[_,]", "", tokens[1]) if tokens else text.strip()
    limit = float(number) if re.fullmatch(r"\d+(\.\d+)?", number) else 0.0
    if not 0 < limit < float("inf"):
        raise ArgumentTypeError(
            f"{text!r} is not a budget (expected a number of tokens such as '200000 tokens', or an "
            "amount such as 5.00 in the currency of the prices in evalkit.yaml)"
        )
    return limit, tokens is None


def is_worker(config: pytest.Config) -> bool:
    """Return whether this process is a pytest-xdist worker, which runs items but writes nothing."""
    return hasattr(config, "workerinput")


def has_workers(config: pytest.Config) -> bool:
    """Return whether this process only controls workers of pytest-xdist."""
    return config.getoption("dist", "no") != "no" and not is_worker(config)


def uses_tape(item: pytest.Item) -> bool:
    """Return whether a test names the fixture ``evalkit_tape``, or has asked for it."""
    return TAPE_FIXTURE in getattr(item, "fixturenames", ()) or TEST_TAPE in item.stash
