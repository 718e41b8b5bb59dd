"""``python -m evalkit``: the ``evalkit`` command."""

from evalkit.cli import main

main(prog_name="evalkit")
