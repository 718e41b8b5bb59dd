"""Refuse connections and name lookups of other hosts while a tape replays.

HTTP of known clients never gets here: a tape answers it above. What remains, such as a database or
a client that is not known, would make a replay depend on the network. Connections to this machine
are allowed, because tests start servers of their own; so are the hosts that a tape ignores.
"""

import socket
from typing import Any

from evalkit.taping.running_tape import ignore_addresses, is_loopback, running_tape

_NETWORK_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_CONNECTIONS = ("connect", "connect_ex", "sendto")


def guard_sockets() -> None:
    """Patch the functions of ``socket`` that name another host, once per process."""
    if hasattr(socket.getaddrinfo, "real"):
        return
    real_lookup: Any = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        _check(host)
        results = real_lookup(host, *args, **kwargs)
        ignore_addresses(_text(host), [result[4][0] for result in results])
        return results

    getaddrinfo.real = real_lookup  # type: ignore[attr-defined]
    socket.getaddrinfo = getaddrinfo
    for name in _CONNECTIONS:
        setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))


def _guarded(real: Any) -> Any:
    def connection(self: socket.socket, *args: Any) -> Any:
        # The address is the last argument; those of local families are not pairs.
        if args and isinstance(args[-1], tuple) and self.family in _NETWORK_FAMILIES:
            _check(args[-1][0])
        return real(self, *args)

    return connection


def _check(host: Any) -> None:
    """Raise CassetteMiss for a host that this thread must not reach."""
    name = _text(host)
    tape = None if not name or is_loopback(name) else running_tape(name)
    if tape is not None and not tape.session.records:
        tape.refuse_connection(name)


def _text(host: Any) -> str:
    return host.decode("latin-1") if isinstance(host, bytes) else host or ""
