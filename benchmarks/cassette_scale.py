"""Measure how the time to load and replay one cassette grows with its size: linear, not quadratic.

    python benchmarks/cassette_scale.py [sizes …]

Each size is loaded and replayed in recorded order, then in reversed order, where the index finds
every request but one: CPU seconds, and the growth from the smallest size (1.0 is linear). For
comparison, plain vcrpy matches the same requests by body, at sizes that it can manage.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from vcr.cassette import Cassette as VcrCassette
from vcr.matchers import body as body_matcher
from vcr.matchers import method, uri
from vcr.record_mode import RecordMode
from vcr.request import Request as VcrRequest

from evalkit.cassette.format import render
from evalkit.cassette.recording import Cassette, Recording
from evalkit.transcript import Request
from evalkit.transports import open_transport

HOST, PATH = "https://generativelanguage.googleapis.com", "/v1beta/interactions"
JSON_TYPE = {"content-type": ["application/json"]}
VCR_SIZES = (50, 100, 200)


def question(number: int) -> dict[str, object]:
    """Return a request body of the usual size."""
    history = [
        {
            "type": "user_input",
            "content": [{"type": "text", "text": f"question {number} " + "of many words " * 20}],
        }
    ]
    return {
        "model": "gemini-3.5-flash",
        "store": False,
        "input": history,
        "tools": [{"type": "google_search"}],
    }


def cassette_of(size: int, folder: Path) -> Path:
    """Write a cassette of ``size`` different exchanges."""
    answer = json.dumps(
        {
            "id": "v1_a",
            "status": "completed",
            "steps": [{"type": "model_output", "content": [{"type": "text", "text": "x" * 400}]}],
        }
    )
    recordings = [
        Recording(
            "POST",
            HOST + PATH,
            json.dumps(question(number)),
            JSON_TYPE,
            200,
            "OK",
            JSON_TYPE,
            answer,
            10.0,
        )
        for number in range(size)
    ]
    path = folder / "suite" / f"{size}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(render(Cassette(recordings, {"suite": "scale"})))
    return path


def replay(path: Path, size: int, order: Callable[[range], list[int]]) -> float:
    """Return the CPU seconds of replaying a whole cassette."""
    requests = [Request("POST", PATH, question(number)) for number in order(range(size))]
    start = time.process_time()
    transport = open_transport(
        mode="none", path=path, live=None, metadata={}, hint=str, label="scale"
    )
    for request in requests:
        assert transport.send(request).status == 200
    transport.close()
    taken = time.process_time() - start
    assert transport.unplayed == []
    return taken


def backwards(numbers: range) -> list[int]:
    """Return the numbers from the last to the first."""
    return list(reversed(numbers))


def replay_by_vcrpy(path: Path, size: int) -> float:
    """Return the CPU seconds vcrpy takes for the same, without any HTTP client."""
    headers = {"content-type": "application/json"}
    requests = [
        VcrRequest("POST", HOST + PATH, json.dumps(question(number)), headers)
        for number in range(size)
    ]
    start = time.process_time()
    tape = VcrCassette.load(
        path=str(path), record_mode=RecordMode.NONE, match_on=(method, uri, body_matcher)
    )
    for request in requests:
        assert tape.can_play_response_for(request)
        tape.play_response(request)
    return time.process_time() - start


def main() -> None:
    """Print the table."""
    sizes = [int(word) for word in sys.argv[1:]] or [1000, 2000, 5000]
    orders: list[tuple[str, Callable[[range], list[int]]]] = [
        ("in order", list),
        ("reversed", backwards),
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{'':22}{'recordings':>10}{'MB':>8}{'s':>9}{'ms each':>9}{'growth':>8}")
        for words, order in orders:
            table(f"evalkit, {words}", sizes, folder, partial(replay, order=order))
        table("vcrpy, in order", list(VCR_SIZES), folder, replay_by_vcrpy)


def table(label: str, sizes: list[int], folder: Path, run: Callable[[Path, int], float]) -> None:
    """Print the rows of one contender."""
    first = 0.0
    for size in sizes:
        path = cassette_of(size, folder)
        seconds = min(run(path, size) for _ in range(3))
        first = first or seconds / size
        print(
            f"{label:22}{size:>10}{path.stat().st_size / 1e6:>8.1f}"
            f"{seconds:>9.3f}{seconds / size * 1000:>9.3f}{seconds / size / first:>8.2f}"
        )


if __name__ == "__main__":
    main()
