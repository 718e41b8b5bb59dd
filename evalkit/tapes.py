"""``evalkit.tape``: an application's own traffic, recorded and replayed, told apart into conversations, checked.

    async with evalkit.tape("support/refund", mode="once") as tape:
        await application.answer("I want my money back")
    tape.expect(tool_calls=[{"name": "find_order"}], history="exact")

In pytest the fixture ``evalkit_tape`` does the same with the session's options. The module is not called ``tape``, because the function is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from evalkit.cassette.modes import RecordMode, check_mode
from evalkit.errors import UsageError
from evalkit.plugins import Catalog
from evalkit.session.expecting import ExpectationWarning
from evalkit.session.settings import secrets_of
from evalkit.session.tapes import Tape, TapedConversation, TapedTurn, UnplayedWarning
from evalkit.session.taping import TapePlan
from evalkit.session.targeting import TargetContext

__all__ = [
    "ExpectationWarning",
    "Tape",
    "TapedConversation",
    "TapedTurn",
    "TargetContext",
    "UnplayedWarning",
    "tape",
]


def tape(
    path_or_name: str | os.PathLike[str],
    *,
    mode: RecordMode = "none",
    cassettes: str | os.PathLike[str] = "cassettes",
    secrets: Sequence[str] = (),
    redact: Sequence[str] = (),
    ignore_hosts: Sequence[str] = (),
    strict: bool = False,
) -> Tape:
    """Return a tape of what the block says over HTTP: ``with`` or ``async with``.

    A path ends in ``.yaml``; anything else is a name below ``cassettes``: ``folder/name``, or a name that lies in the folder ``tapes``. The mode is
    as everywhere: ``none`` answers from the cassette and opens no socket, ``once`` records where there is none, ``new_episodes`` records what is
    missing, ``all`` records again. Keys in the environment and in the requests are redacted, ``secrets`` and the patterns ``redact`` too. Requests to
    ``ignore_hosts`` pass untaped (``loopback`` is this machine). ``strict`` makes unplayed recordings an error. Raises UsageError for a mode that
    there is not, or a name of another form.
    """
    name = os.fspath(path_or_name)
    path = Path(name) if name.endswith((".yaml", ".yml")) else Path(cassettes) / _file(name)
    plan = TapePlan(
        path.absolute(),
        check_mode(mode),
        label=f"tape {name}",
        hint=f"evalkit.tape({name!r}, mode='all')",
        secrets=(*secrets_of(os.environ), *secrets),
        patterns=tuple(redact),
    )
    return Tape(plan, Catalog(), root=Path.cwd(), ignore=ignore_hosts, strict=strict)


def _file(name: str) -> str:
    # Media lie two above a cassette, in the folder of cassettes: so there is one folder between.
    folder, _, last = name.rpartition("/")
    if not last or "/" in folder or {folder, last} & {".", ".."}:
        raise UsageError(f"tape {name!r}: a name is 'name' or 'folder/name'; a path ends in .yaml")
    return f"{folder or 'tapes'}/{last}.yaml"
