"""Connections to a dask scheduler: each wrong address gives one message, without a traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.transports import dask_client
from evalkit.transports.dask_client import connect_client, is_private
from tests.transports.loopback import serving


@contextmanager
def running_scheduler(environment: Mapping[str, str] = {}) -> Iterator[str]:
    command = [sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--no-dashboard"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "info", **environment},
    )
    assert process.stderr is not None
    line = next(line for line in process.stderr if "Scheduler at:" in line)
    yield line.partition("Scheduler at:")[2].strip()
    process.kill()
    process.communicate(timeout=10)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with running_scheduler() as address:
        yield address


def test_a_scheduler_without_workers(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_client, "WORKER_SECONDS", 0.2)
    for address in (scheduler, scheduler.removeprefix("tcp://")):
        with pytest.raises(UsageError) as caught:
            connect_client(address, "--cluster")
        assert str(caught.value) == (
            f"--cluster {address}: no workers within 0.2 s; start some with: dask worker {address}"
        )


@pytest.mark.parametrize(
    "address",
    [
        *("", "nothing", "http://127.0.0.1:8786", "tcp://127.0.0.1", "tcp://127.0.0.1:port"),
        *("tcp://:8786", "tcp://user@127.0.0.1:8786", "tcp://127.0.0.1:8786/path", "tcp://[::1"),
    ],
)
def test_refuses_what_is_not_an_address(address: str) -> None:
    with pytest.raises(UsageError, match="not the address of a scheduler") as caught:
        connect_client(address)
    assert str(caught.value).startswith(f"--evalkit-cluster {address}: ")


def test_a_scheduler_with_another_version_of_dask(tmp_path: Path) -> None:
    info = tmp_path / "distributed-2025.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: distributed\nVersion: 2025.1.0\n")
    (info / "entry_points.txt").write_text(
        "[dask_cli]\nscheduler = distributed.cli.dask_scheduler:main\n"
    )
    with (
        running_scheduler({"PYTHONPATH": str(tmp_path)}) as address,
        pytest.raises(
            UsageError, match=f"^--cluster {address}: the scheduler has distributed 2025"
        ),
    ):
        connect_client(address, "--cluster")


def test_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_client, "CONNECT_SECONDS", 0.3)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"^--cluster {address}: the scheduler cannot be re"):
            connect_client(address, "--cluster")


def test_another_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_client, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UsageError, match=r"cannot be reached \(no handshake within 0.3 s\)"):
            connect_client(address)


def test_a_web_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_client, "CONNECT_SECONDS", 1)
    with serving() as web, pytest.raises(UsageError, match="the scheduler cannot be reached"):
        connect_client(web.base_url.replace("http", "tcp"))


def test_tls_needs_certificates() -> None:
    with pytest.raises(UsageError, match=r"no TLS certificates .*; set ca-file"):
        connect_client("tls://127.0.0.1:8786")


def test_names_the_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'pytest-evalkit\[cluster\]'"):
        connect_client("tcp://127.0.0.1:8786")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("tcp://127.0.0.1:1", True),
        ("tcp://localhost:1", True),
        ("tls://10.0.0.7:1", True),
        ("tcp://10.0.0.7:1", False),
        ("scheduler:8786", False),
    ],
)
def test_knows_who_can_read_what_is_sent(address: str, expected: bool) -> None:
    assert is_private(address) is expected
