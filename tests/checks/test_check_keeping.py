"""Checks kept as JSON come back as they were; what is not evalkit's own, or of another evalkit, does not come back at all.

That a restored check judges as the built one does is held by the examples of ``docs/checks``, which are run both ways.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.json import dumps
from evalkit._lib.quickjson import loads
from evalkit._lib.yaml import load
from evalkit.checks.core import keeping
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.declaring import Options
from evalkit.plugins import Catalog
from evalkit.suite import BadArguments
from evalkit.verdict import Finding

ROOT = Path(__file__).parents[2]
JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


def bared(value: Any) -> Any:
    """Return everything a check holds, with the classes in it."""
    if isinstance(value, Options):
        return type(value), {word: bared(one) for word, one in vars(value).items()}
    if isinstance(value, dict):
        return {word: bared(one) for word, one in value.items()}
    return [bared(one) for one in value] if isinstance(value, list) else (type(value), value)


def again(check: Check) -> Any:
    return keeping.restore(loads(dumps(keeping.keep(check))))


def arguments() -> Iterator[tuple[str, Any]]:
    """Yield every check that the shipped suites name, with its argument."""
    for suite in sorted((ROOT / "suites").glob("*.yaml")):
        document = load(suite.read_text(encoding="utf-8"))
        for scenario in (document.get("defaults", {}), *document["scenarios"]):
            for part in (scenario, *scenario.get("turns", ())):
                for entry in part.get("expect", ()):
                    held = entry.get("not", entry) if isinstance(entry, dict) else entry
                    yield next(
                        iter({held: None}.items() if isinstance(held, str) else held.items())
                    )


def test_every_check_of_the_shipped_suites_comes_back() -> None:
    kept = 0
    for name, argument in arguments():
        try:
            check = Catalog().build(name, argument, bare=argument is None)
        except BadArguments:  # a template, to be rendered first
            continue
        assert bared(again(check)) == bared(check)
        kept += 1
    assert kept > 100


@given(JSONS, st.text(max_size=2), st.floats(0, 1e300))
def test_any_data_in_a_check_comes_back(value: Any, word: str, number: float) -> None:
    for name, argument in (
        (
            "tool_calls",
            [
                {"name": "a", "arguments": value},
                {"name": "b"},
                {"name": "c", "arguments": {"": "evalkit.checks.text:Text"}},
            ],
        ),
        ("json", {"a": {"equals": value}, "b": {"length": {"min": number}}, "c": {"min": number}}),
        ("steps", [{"type": "thought", "field": value}]),
        ("text", {"any_of": [f"-{word}"], "min_ratio": 0.25}),
    ):
        check = Catalog().build(name, argument, bare=False)
        assert bared(again(check)) == bared(check)


def test_a_restored_check_cannot_be_changed() -> None:
    check = again(Catalog().build("text", "a", bare=False))
    with pytest.raises(AttributeError, match="contains"):
        check.contains = ["b"]


def test_a_class_of_a_users_is_not_kept() -> None:
    class Own(Check):
        """A user's own."""

        def run(self, view: View) -> Iterator[Finding]:
            """Find nothing."""
            yield from ()

    assert keeping.keep(Own()) is None


@pytest.mark.parametrize(
    "value",
    [
        "text",
        {"": "evalkit.checks.core.options:Bounds", "min": 1.0},
        {"": "evalkit.checks.text:Nothing"},
        {"": "evalkit.checks.text:re"},
        {"": "evalkit.checks.text:View"},
        {"": "evalkit.cli.main:main"},
        {"": "antigravity:Check"},
    ],
)
def test_nothing_is_made_of_what_is_no_check_of_ours(value: Any) -> None:
    assert keeping.restore([keeping.stamp(), value]) is None
    assert "antigravity" not in sys.modules


def test_another_evalkit_or_another_python_builds_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = keeping.keep(Catalog().build("text", "a", bare=False))
    assert keeping.restore(kept) is not None
    keeping.stamp.cache_clear()
    monkeypatch.setattr(keeping.sys, "version_info", (3, 99))  # type: ignore[attr-defined]
    try:
        assert keeping.restore(kept) is None
    finally:
        keeping.stamp.cache_clear()
