"""A real scheduler and real worker processes, as their commands start them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

KEY = "planted-key-0123456789abcdef"
PATIENCE = 90


def wait_until(is_true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < end, f"not within {PATIENCE} s: {what}"
        time.sleep(0.02)


class Command:
    """A process whose output is a file."""

    def __init__(
        self, words: Sequence[str], folder: Path, log: str, environment: Mapping[str, str] = {}
    ) -> None:
        self.log = folder / log
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
            )

    @property
    def text(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def find(self, pattern: str) -> str:
        """Wait for a line of the output, and return its first group."""
        wait_until(
            lambda: re.search(pattern, self.text) or self.process.poll() is not None, pattern
        )
        match = re.search(pattern, self.text)
        assert match is not None, self.text
        return match[1]

    def end(self, number: int = signal.SIGKILL) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


class Cluster:
    """A scheduler with workers; each worker is one process.

    ``environment`` is dask's configuration, for all of them.
    """

    def __init__(
        self,
        folder: Path,
        workers: int,
        *,
        protocol: str = "tcp",
        environment: Mapping[str, str] = {},
    ) -> None:
        self.folder = folder
        # Every message that dask can log, so that a test can search it for the key.
        self._environment = {
            "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "debug",
            "DASK_DISTRIBUTED__ADMIN__LARGE_GRAPH_WARNING_THRESHOLD": "1kB",
            "GEMINI_API_KEY": "",
            **environment,
        }
        words = ["dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        words += ["--protocol", protocol]
        self.scheduler = Command(words, folder, "scheduler.log", self._environment)
        self.workers: list[Command] = []
        self.address = self.scheduler.find(rf"Scheduler at: +({protocol}://[\d.:]+)")
        started = [self.start_worker() for _ in range(workers)]
        for worker in started:
            worker.find(r"(Starting established connection)")

    def start_worker(self, environment: Mapping[str, str] = {}) -> Command:
        name = f"worker{len(self.workers)}"
        words = ["dask", "worker", self.address, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
        words += ["--local-directory", str(self.folder / name), "--death-timeout", "60"]
        worker = Command(words, self.folder, f"{name}.log", {**self._environment, **environment})
        self.workers.append(worker)
        return worker

    @property
    def logs(self) -> str:
        return self.scheduler.text + "".join(worker.text for worker in self.workers)

    def end(self) -> None:
        for command in (*self.workers, self.scheduler):
            command.end()
