"""Measure `evalkit serve` as ratios to a bare starlette application that returns the same bytes.

    python benchmarks/serve.py [--requests 4000] [--rounds 3] [--streams 2000]

Requests per second and time to the first byte, plain and streamed, measured by `hey` (Debian:
`apt-get install hey`; elsewhere: https://github.com/rakyll/hey). The servers are processes of their
own and take turns; medians are printed. Then 2,000 streams are open at once, each waiting between its
events: all must arrive complete; the server's memory is the operating system's figure.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

HEY = "this benchmark needs the load tool hey: apt-get install hey (Debian, Ubuntu), brew install hey, or https://github.com/rakyll/hey"
SCRIPT = """\
script: bench
rules:
  - when: {text: {contains: slow}}
    reply: "one two three four five six seven eight nine ten"
    event_delay: DELAY
  - reply: "AI learns patterns from data, then uses those patterns to make predictions or decisions on new data."
"""
BARE = """\
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

plain, frames = Path("plain.json").read_bytes(), Path("stream.sse").read_text().split("\\n\\n")[:-1]


async def send():
    for frame in frames:
        yield frame + "\\n\\n"


async def answer(request: Request) -> Response:
    body = await request.body()
    if b'"stream"' in body:
        return StreamingResponse(send(), media_type="text/event-stream")
    return Response(plain, media_type="application/json")


app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False, http="h11")
"""
PLAIN = {
    "model": "gemini-3.5-flash",
    "input": "Explain how AI works in a few words",
    "store": False,
}
STREAMED = {**PLAIN, "stream": True}


@contextmanager
def server(folder: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends."""
    with (
        (folder / "server.txt").open("wb") as log,
        subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def ask(url: str, body: dict[str, object]) -> bytes:
    """Return an answer's body, once the server is there. Raises RuntimeError when it is not."""
    end = time.monotonic() + 20
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{url}/v1beta/interactions", json.dumps(body).encode(), {"x-goog-api-key": "any"}
    )
    while True:
        try:
            with urllib.request.urlopen(request) as response:  # noqa: S310
                return bytes(response.read())
        except OSError as error:
            if time.monotonic() > end:
                raise RuntimeError(f"no server at {url}") from error
            time.sleep(0.05)


def load(url: str, body: dict[str, object], requests: int, clients: int) -> tuple[float, float]:
    """Return requests per second and the median time to the first byte in milliseconds.

    Raises RuntimeError where a response is not a 200.
    """
    command = [
        "hey",
        "-o",
        "csv",
        "-n",
        str(requests),
        "-c",
        str(clients),
        "-m",
        "POST",
        "-T",
        "application/json",
    ]
    command += ["-H", "x-goog-api-key: any", "-d", json.dumps(body), f"{url}/v1beta/interactions"]
    began = time.perf_counter()
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    took = time.perf_counter() - began
    rows = list(csv.DictReader(io.StringIO(output)))
    if len(rows) != requests or any(row["status-code"] != "200" for row in rows):
        raise RuntimeError(
            f"{len(rows)} of {requests} requests were answered, with {sorted({row['status-code'] for row in rows})}"
        )
    return requests / took, statistics.median(float(row["Response-delay"]) for row in rows) * 1000


def compare(urls: dict[str, str], requests: int, rounds: int) -> None:
    """Print requests per second and first-byte time of each server, plain and streamed, beside the bare one's."""
    for title, body in (("plain", PLAIN), ("streamed", STREAMED)):
        for clients in (1, 50):
            count = requests // 4 if clients == 1 else requests
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in urls}
            for _ in range(rounds):
                for name, url in urls.items():
                    found[name].append(load(url, body, count, clients))
            bare_rate, bare_first = (
                statistics.median(column) for column in zip(*found["bare starlette"], strict=True)
            )
            print(f"{title}, {clients} at a time")
            for name, rows in found.items():
                rate, first = (statistics.median(column) for column in zip(*rows, strict=True))
                ratios = (
                    f"{bare_rate / rate:5.2f} times the time, first byte {first / bare_first:5.2f}"
                )
                print(f"  {name:22} {rate:7.0f} requests/s   first byte {first:7.2f} ms   {ratios}")


async def many(url: str, streams: int, process: int) -> None:
    """Open so many streams at once from this process, read them all to their ends, and print what that took."""
    address = urlsplit(url)
    open_now, most, whole = 0, 0, 0
    firsts: list[float] = []

    async def one(number: int) -> None:
        nonlocal open_now, most, whole
        body = json.dumps({**STREAMED, "input": f"slow {number}"}).encode()
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = f"POST /v1beta/interactions HTTP/1.1\r\nhost: x\r\nx-goog-api-key: any\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        began = time.perf_counter()
        writer.write(head.encode() + body)
        await reader.readuntil(b"data: ")
        firsts.append(time.perf_counter() - began)
        open_now += 1
        most = max(most, open_now)
        rest = await reader.read()
        open_now -= 1
        whole += b"data: [DONE]" in rest and rest.endswith(b"0\r\n\r\n")
        writer.close()

    idle = memory(process)
    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(streams)))
    took = time.perf_counter() - began
    print(f"{streams:,} streams from one process")
    print(f"  open at once          {most:7,}   came whole {whole:,}   in {took:.1f} s")
    print(
        f"  first event           {statistics.median(firsts):7.2f} s median, {max(firsts):.2f} s last"
    )
    peak = memory(process)
    print(
        f"  server memory         {peak / 1024:7.0f} MiB at its most, {idle / 1024:.0f} MiB before: {(peak - idle) / streams:.0f} KiB a stream"
    )
    if whole != streams:
        raise SystemExit(f"{streams - whole} streams did not come whole")


def memory(process: int) -> int:
    """Return the most memory a process has had, in KiB."""
    status = Path(f"/proc/{process}/status")
    return int(status.read_text().split("VmHWM:")[1].split()[0]) if status.exists() else 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--port", type=int, default=18780, help="first of three free ports")
    options = parser.parse_args()
    if shutil.which("hey") is None:
        raise SystemExit(HEY)
    from evalkit.server.run import raise_file_limit

    raise_file_limit()
    urls = {
        "bare starlette": f"http://127.0.0.1:{options.port}",
        "evalkit serve": f"http://127.0.0.1:{options.port + 1}",
    }
    slow = f"http://127.0.0.1:{options.port + 2}"
    serve = (
        sys.executable,
        "-m",
        "evalkit",
        "serve",
        "--quiet",
        "--script",
        "script.yaml",
        "--port",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "script.yaml").write_text(SCRIPT.replace("DELAY", "0.5"))
        (folder / "bare.py").write_text(BARE)
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")])
        )
        with server(folder, *serve, str(options.port + 1)):
            (folder / "plain.json").write_bytes(ask(urls["evalkit serve"], PLAIN))
            (folder / "stream.sse").write_bytes(ask(urls["evalkit serve"], STREAMED))
            with server(folder, sys.executable, "bare.py", str(options.port)):
                assert ask(urls["bare starlette"], PLAIN) == (folder / "plain.json").read_bytes()
                assert ask(urls["bare starlette"], STREAMED) == (folder / "stream.sse").read_bytes()
                compare(urls, options.requests, options.rounds)
        with server(folder, *serve, str(options.port + 2)) as process:
            ask(slow, PLAIN)
            asyncio.run(many(slow, options.streams, process.pid))


if __name__ == "__main__":
    main()
