"""The one-to-one matching of items with entries, compared with trying all of them."""

from __future__ import annotations

from collections import Counter
from itertools import permutations, product

from hypothesis import given
from hypothesis import strategies as st

from evalkit.checks.core.sequences import assign

AssignmentCase = tuple[list[list[int]], list[tuple[int, int | None]], int]


@st.composite
def cases(draw: st.DrawFn) -> AssignmentCase:
    """Draw the items that each entry accepts, the limits of each entry, and the item count."""
    count = draw(st.integers(0, 4))
    entries = draw(st.integers(0, 4))
    accepts = [
        sorted(draw(st.sets(st.integers(0, count - 1)))) if count else [] for _ in range(entries)
    ]
    limits: list[tuple[int, int | None]] = []
    for _ in range(entries):
        least = draw(st.integers(0, 2))
        limits.append((least, draw(st.none() | st.integers(least, 3))))
    return accepts, limits, count


def is_satisfied(choice: tuple[int | None, ...], limits: list[tuple[int, int | None]]) -> bool:
    counts = Counter(choice)
    return all(
        least <= counts[entry] and (most is None or counts[entry] <= most)
        for entry, (least, most) in enumerate(limits)
    )


@given(cases())
def test_an_assignment_is_complete_whenever_one_exists(case: AssignmentCase) -> None:
    accepts, limits, count = case
    result = assign(accepts, limits, count)
    choices = [
        [None, *(entry for entry, items in enumerate(accepts) if item in items)]
        for item in range(count)
    ]
    possible = [choice for choice in product(*choices) if is_satisfied(choice, limits)]
    assert any(result.missing) == (not possible)
    if any(None not in choice for choice in possible):
        assert not result.unassigned
        assert is_satisfied(tuple(result.entry_of), limits)


@given(cases())
def test_an_assignment_keeps_the_limits_and_counts_what_is_missing(case: AssignmentCase) -> None:
    accepts, limits, count = case
    result = assign(accepts, limits, count)
    counts = Counter(entry for entry in result.entry_of if entry is not None)
    for item, entry in enumerate(result.entry_of):
        assert entry is None or item in accepts[entry]
    for entry, (least, most) in enumerate(limits):
        assert most is None or counts[entry] <= most
        assert result.missing[entry] == max(0, least - counts[entry])


@given(cases())
def test_the_order_of_the_entries_does_not_matter(case: AssignmentCase) -> None:
    accepts, limits, count = case
    outcomes = set()
    for order in list(permutations(range(len(accepts))))[:24]:
        result = assign(
            [accepts[entry] for entry in order], [limits[entry] for entry in order], count
        )
        outcomes.add((sum(result.missing), len(result.unassigned)))
    assert len(outcomes) <= 1


def test_a_greedy_choice_is_undone() -> None:
    # The first entry accepts both items, the second one only item 0: taking items in order would
    # leave the second entry with nothing.
    result = assign([[0, 1], [0]], [(1, 1), (1, 1)], 2)
    assert result.entry_of == [1, 0]
    result = assign([[0, 1], [0]], [(0, 1), (0, 1)], 2)
    assert result.unassigned == []
