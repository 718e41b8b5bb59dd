"""Every target of tools/fuzz.py: its seeds, its stored inputs, and a few hundred variations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, stored

pytestmark = pytest.mark.parametrize("name", list(TARGETS))


def test_seeds_and_stored_inputs(name: str) -> None:
    target = TARGETS[name]
    for data in (*target.seeds, *stored(name)):
        target.run(data)


@given(data=st.data())
def test_variations(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    whole = data.draw(st.sampled_from([*target.seeds, *stored(name)]))
    pieces = [whole]
    for _ in range(data.draw(st.integers(1, 4))):
        joined = b"".join(pieces)
        start = data.draw(st.integers(0, len(joined)))
        end = data.draw(st.integers(start, min(len(joined), start + 8)))
        new = data.draw(
            st.binary(max_size=6)
            | st.sampled_from([b"\n", b"\r\n", b'"', b"\\", b"\xc2\x85", b"//", b"..", b"%2f"])
            | st.just(joined[start:end] * 2)
        )
        pieces = [joined[:start], new, joined[end:]]
    target.run(b"".join(pieces))
