"""The key goes to workers over TLS: real certificates, and what is on the wire."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from distributed.security import Security

from tests.cluster.conftest import ClusterProject, Waiting
from tests.cluster.processes import KEY, Cluster

SUITE = """\
suite: hello
defaults: {model: gemini-3.5-flash}
scenarios:
  - {id: hello, turns: [{user: Hello}]}
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return dask's configuration with a new certificate, which is its own authority."""
    security = Security.temporary()
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "certificate.pem").write_text(security.tls_ca_file)
    (folder / "key.pem").write_text(security.tls_client_key)
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    names = {f"{prefix}CA_FILE": "certificate.pem"}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        names |= {f"{prefix}{role}__CERT": "certificate.pem", f"{prefix}{role}__KEY": "key.pem"}
    return {name: str(folder / file) for name, file in names.items()}


@pytest.fixture(scope="module")
def tls_cluster(
    tmp_path_factory: pytest.TempPathFactory, certificates: dict[str, str]
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("tls")
    cluster = Cluster(folder, workers=1, protocol="tls", environment=certificates)
    yield cluster
    cluster.end()


@contextmanager
def relay(address: str) -> Iterator[tuple[str, bytearray]]:
    """Forward connections to an address; yield one's own and everything that was transferred."""
    target = urlsplit(address)
    seen = bytearray()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                seen.extend(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side is gone

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((target.hostname, target.port)) as upstream:
                back = threading.Thread(target=pump, args=(upstream, self.request), daemon=True)
                back.start()
                pump(self.request, upstream)
                back.join()

    class Relay(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Relay(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"{target.scheme}://127.0.0.1:{server.server_address[1]}", seen
        server.shutdown()


def run(project: ClusterProject, address: str, environment: dict[str, str]) -> str:
    project.suite("hello", SUITE)
    return project.finish(
        *("--evalkit-live", "--evalkit-cluster", address), environment=environment
    )


def test_the_key_is_not_readable_on_the_wire(
    project: ClusterProject,
    backend: Waiting,
    cluster: Cluster,
    tls_cluster: Cluster,
    certificates: dict[str, str],
) -> None:
    backend.gate.set()
    for each, environment, is_readable in (
        (cluster, {}, True),
        (tls_cluster, certificates, False),
    ):
        with relay(each.address) as (address, seen):
            text = run(project, address, environment)
        assert "1 passed" in text, text
        assert len(seen) > 10_000
        assert (KEY.encode() in seen) is is_readable


def test_a_session_without_certificates_is_refused(
    project: ClusterProject, tls_cluster: Cluster, certificates: dict[str, str], tmp_path: Path
) -> None:
    text = run(project, tls_cluster.address, {})
    assert f"--evalkit-cluster {tls_cluster.address}: no TLS certificates" in text
    wrong = tmp_path / "wrong.pem"
    wrong.write_text(Security.temporary().tls_ca_file)
    text = run(
        project,
        tls_cluster.address,
        {**certificates, "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(wrong)},
    )
    assert f"--evalkit-cluster {tls_cluster.address}: the scheduler cannot be reached" in text
    assert "Traceback" not in text
