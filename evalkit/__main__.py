"""``python -m evalkit``: the ``evalkit`` command, for where its script is not on the path."""

from evalkit.cli import main

main(prog_name="evalkit")
