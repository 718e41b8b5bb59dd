"""The option of local servers for names beside those of this machine."""

import re

import click

_NAME = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*")


def _read_names(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    for value in values:
        if not _NAME.fullmatch(value):
            raise click.BadParameter(f"{value!r} is not a host name; give it without port and path")
    return values


allow_host_option = click.option(
    "--allow-host",
    metavar="NAME",
    multiple=True,
    callback=_read_names,
    help="Also accept this name in the address that a client opens, e.g. that of a tunnel.",
)
"""``--allow-host NAME``, repeatable: what ``access.AccessRules`` accepts in ``Host``."""
