"""Which hosts are this machine, by its loopback interface (RFC 1122, section 3.2.1.3; RFC 6761)."""

import ipaddress
from urllib.parse import urlsplit


def is_loopback_host(host: str) -> bool:
    """Return whether a host is ``localhost`` or a loopback address; no other name is.

    IPv6 addresses have no brackets. An IPv4 address inside an IPv6 one does not count: resolvers
    and versions of Python treat it differently.
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address == ipaddress.IPv6Address("::1") or (address.version == 4 and address.is_loopback)


def is_loopback_url(url: str) -> bool:
    """Return whether a URL, or the origin of a web page, leads to this machine."""
    try:
        return is_loopback_host(urlsplit(url).hostname or "")
    except ValueError:
        return False
