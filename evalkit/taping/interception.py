"""Route the HTTP traffic of this process through a tape while a block runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from evalkit.taping.aiohttp_patch import patch_aiohttp
from evalkit.taping.http_client_patch import patch_http_client
from evalkit.taping.httpx_patch import patch_httpx
from evalkit.taping.running_tape import RunningTape, run_tape
from evalkit.taping.socket_guard import guard_sockets
from evalkit.taping.tape_session import TapeSession


@contextmanager
def intercepted_http(session: TapeSession, ignored_hosts: Sequence[str]) -> Iterator[None]:
    """Route requests of every known client through a tape; call it only inside ``only_tape``."""
    # Once per process each; a client that was loaded meanwhile is patched now.
    patch_http_client()
    patch_httpx()
    patch_aiohttp()
    guard_sockets()
    with run_tape(RunningTape(session, ignored_hosts)):
        yield
