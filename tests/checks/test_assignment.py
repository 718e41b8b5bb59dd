"""The assignment of what came to what was expected, against trying out every one."""

from __future__ import annotations

from collections import Counter
from itertools import permutations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.checks.core.matching import assign

RULES = settings(max_examples=100, deadline=None)


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[list[int]], list[tuple[int, int | None]], int]:
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


def satisfied(choice: tuple[int | None, ...], limits: list[tuple[int, int | None]]) -> bool:
    held = Counter(choice)
    return all(
        least <= held[entry] and (most is None or held[entry] <= most)
        for entry, (least, most) in enumerate(limits)
    )


@given(problems())
@RULES
def test_what_can_be_satisfied_is(
    problem: tuple[list[list[int]], list[tuple[int, int | None]], int],
) -> None:
    accepts, limits, count = problem
    result = assign(accepts, limits, count)
    choices = [
        [None, *(entry for entry, items in enumerate(accepts) if item in items)]
        for item in range(count)
    ]
    possible = [choice for choice in product(*choices) if satisfied(choice, limits)]
    found = any(result.lacking)
    assert found == (not possible), "required places are filled whenever they can be"
    complete = [choice for choice in possible if None not in choice]
    if complete:
        assert not result.left
        assert satisfied(tuple(result.entry_of), limits)


@given(problems())
@RULES
def test_an_assignment_is_honest(
    problem: tuple[list[list[int]], list[tuple[int, int | None]], int],
) -> None:
    accepts, limits, count = problem
    result = assign(accepts, limits, count)
    held = Counter(entry for entry in result.entry_of if entry is not None)
    for item, entry in enumerate(result.entry_of):
        assert entry is None or item in accepts[entry]
    for entry, (least, most) in enumerate(limits):
        assert most is None or held[entry] <= most
        assert result.lacking[entry] == max(0, least - held[entry])


@given(problems())
@RULES
def test_the_order_written_does_not_matter(
    problem: tuple[list[list[int]], list[tuple[int, int | None]], int],
) -> None:
    accepts, limits, count = problem
    verdicts = set()
    for order in list(permutations(range(len(accepts))))[:24]:
        result = assign(
            [accepts[place] for place in order], [limits[place] for place in order], count
        )
        verdicts.add((sum(result.lacking), len(result.left)))
    assert len(verdicts) <= 1


def test_a_greedy_choice_is_undone() -> None:
    # The first entry takes anything, the second only item 0: taking items in order would leave the second with nothing.
    result = assign([[0, 1], [0]], [(1, 1), (1, 1)], 2)
    assert result.entry_of == [1, 0]
    result = assign([[0, 1], [0]], [(0, 1), (0, 1)], 2)
    assert result.left == []
