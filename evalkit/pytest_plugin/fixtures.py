"""The plugin's fixtures, seen by every session: nothing of evalkit is imported here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from evalkit.taping.tapes import Tape


@pytest.fixture
def evalkit_tape(request: pytest.FixtureRequest) -> Iterator[Tape]:
    """Tape what the application under test says over HTTP, with the session's options: ``cassettes/<module>/<test>.yaml``."""
    from evalkit.pytest_plugin.tape_fixture import taped

    yield from taped(request.node)
