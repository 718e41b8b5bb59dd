"""Clients of a dask.distributed cluster, which the extra ``cluster`` installs.

Certificates of ``tls://`` come from dask's own configuration (``distributed.comm.tls``), so evalkit
needs no options for them. Importing this module imports nothing of dask.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import warnings
from collections.abc import Awaitable, Callable
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from evalkit._lib.loopback import is_loopback_host
from evalkit.errors import UsageError

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_SECONDS = 10
WORKER_SECONDS = 30
"""Time within which a first worker must be there: a cluster may be starting."""
_SCHEMES = ("tcp", "tls")


def connect_client(address: str, option: str = "--evalkit-cluster") -> Client:
    """Return a client of the scheduler at an address such as ``tcp://10.0.0.7:8786``.

    ``option`` is what the user gave the address in. The caller closes the client. Raises
    UsageError: dask is not installed, the address is not valid, TLS is not configured, nothing
    answers, or no worker joins.
    """
    place = f"{option} {address}"
    parts = _parse(address, place)
    try:
        dask, distributed = import_module("dask"), import_module("distributed")
    except ImportError as error:
        raise UsageError(
            f"{option} needs dask.distributed ({error}); install it with: "
            "pip install 'pytest-evalkit[cluster]'"
        ) from None
    loader = dask.config.get("distributed.client.security-loader", None)
    connection = distributed.Security().get_connection_args("client")
    if parts.scheme == "tls" and not loader and connection.get("ssl_context") is None:
        raise UsageError(
            f"{place}: no TLS certificates (expected distributed.comm.tls in dask's "
            "configuration); set ca-file, client.cert and client.key there"
        )
    try:
        if not loader:
            connecting = distributed.comm.connect(parts.geturl(), **connection)
            found = asyncio.run(_scheduler_version(connecting, distributed.core.send_recv))
            if problem := dask_problem("the scheduler", found):
                raise UsageError(f"{place}: {problem}")
        with warnings.catch_warnings():
            # Other versions of Python and of other packages do not matter: it runs no task.
            warnings.simplefilter("ignore")
            client: Client = distributed.Client(
                parts.geturl(), timeout=CONNECT_SECONDS, set_as_default=False
            )
    # A port of another program: what it sends is not a handshake.
    except (OSError, ImportError, TimeoutError, ValueError, TypeError, KeyError) as error:
        reason = str(error) or f"no handshake within {CONNECT_SECONDS} s"
        raise UsageError(
            f"{place}: the scheduler cannot be reached ({reason}); start it with 'dask scheduler', "
            "or name the address that it prints"
        ) from error
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError:
        client.close()
        raise UsageError(
            f"{place}: no workers within {WORKER_SECONDS} s; start some with: dask worker {address}"
        ) from None
    return client


def await_result(client: Client, result: Future[Any]) -> concurrent.futures.Future[Any]:
    """Return a result of the cluster, transfer included, as a future that can be waited for.

    dask's own ``result`` waits for ever where a worker is lost before the transfer, and its time
    limit may raise an UnboundLocalError while a result arrives.
    """
    loop: Any = client.loop
    coroutine = client.gather(result, asynchronous=True)
    return asyncio.run_coroutine_threadsafe(coroutine, loop.asyncio_loop)


async def _scheduler_version(connecting: Awaitable[Any], send: Callable[..., Any]) -> str:
    """Connect once; return the version of dask there.

    The time is limited: dask itself waits for a handshake for ever.
    """
    comm = await asyncio.wait_for(connecting, CONNECT_SECONDS)
    try:
        answer = await asyncio.wait_for(send(comm, op="versions"), CONNECT_SECONDS)
        return str(answer["packages"]["distributed"])
    finally:
        comm.abort()


def dask_problem(where: str, found: object) -> str:
    """Return the message about another version of dask than this session's, ``""`` for none."""
    expected = metadata.version("distributed")
    if found in (expected, None):
        return ""
    return (
        f"{where} has distributed {found} (expected {expected}, as this session, because other "
        f"versions cannot read its messages); install it there: pip install "
        f"'distributed=={expected}'"
    )


def is_private(address: str, option: str = "--evalkit-cluster") -> bool:
    """Return whether nobody on the network can read what is sent to an address: TLS, loopback.

    Raises UsageError for what is not an address.
    """
    parts = _parse(address, f"{option} {address}")
    return parts.scheme == "tls" or is_loopback_host(parts.hostname or "")


def _parse(address: str, place: str) -> SplitResult:
    text = address if "://" in address else f"tcp://{address}"
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in _SCHEMES and parts.hostname and parts.port
    except ValueError:
        is_valid = False
    if not is_valid or parts.username is not None or parts.path.strip("/"):
        raise UsageError(
            f"{place}: not the address of a scheduler (expected tcp://HOST:PORT or "
            "tls://HOST:PORT); name the address that 'dask scheduler' prints"
        )
    return parts
