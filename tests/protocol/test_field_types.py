"""The tables of fields agree with each other and with the deltas that can be folded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from evalkit.protocol.field_types import FAMILIES, SHAPES, Shape
from evalkit.protocol.step_draft import DELTAS
from evalkit.protocol.step_types import ANNOTATION_FIELDS, CONTENT_FIELDS, STEP_FIELDS

PLAIN = {"string", "number", "boolean", "object", "array", "count", "any", "input"}


def _all() -> Iterator[tuple[str, Shape]]:
    yield from SHAPES.items()
    for family in FAMILIES.values():
        yield from family.shapes.items()


@pytest.mark.parametrize(
    ("name", "shape"), [pytest.param(name, shape, id=name) for name, shape in _all()]
)
def test_every_kind_is_known_and_every_required_field_declared(name: str, shape: Shape) -> None:
    for kind in shape.fields.values():
        for option in kind.split("|"):
            assert option.strip("[]") in {*PLAIN, *SHAPES, *FAMILIES}, name
            assert option.count("[") == option.count("]") <= 1
    assert set(shape.required) <= set(shape.fields)


@pytest.mark.parametrize(
    ("name", "declared"),
    [("step", STEP_FIELDS), ("content", CONTENT_FIELDS), ("annotation", ANNOTATION_FIELDS)],
)
def test_steps_contents_and_annotations_have_the_fields_of_their_tables(
    name: str, declared: dict[str, Any]
) -> None:
    shapes = FAMILIES[name].shapes
    assert set(shapes) == set(declared)
    for kind, fields in declared.items():
        assert shapes[kind].required == fields.required
        beyond = set(shapes[kind].fields) - {*fields.required, *fields.optional}
        assert beyond <= {"signature", "result"}


def test_every_delta_that_folds_is_known_with_the_fields_it_may_have() -> None:
    deltas = FAMILIES["delta"].shapes
    assert set(deltas) == set(DELTAS)
