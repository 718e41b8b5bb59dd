"""The tables of what may stand where: they say what the typed views and the folds say, and hold together among themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from evalkit.protocol.folding import DELTAS
from evalkit.protocol.model_content import ANNOTATION_MODELS, CONTENT_MODELS
from evalkit.protocol.model_events import EVENT_MODELS, Delta
from evalkit.protocol.model_steps import STEP_MODELS
from evalkit.protocol.models import ErrorInfo, Interaction, ModalityTokens, Usage
from evalkit.protocol.shapes import FAMILIES, SHAPES, Shape
from evalkit.protocol.steps import ANNOTATION_FIELDS, CONTENT_FIELDS, STEP_FIELDS

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
    ("name", "declared", "models"),
    [
        ("step", STEP_FIELDS, STEP_MODELS),
        ("content", CONTENT_FIELDS, CONTENT_MODELS),
        ("annotation", ANNOTATION_FIELDS, ANNOTATION_MODELS),
    ],
)
def test_steps_contents_and_annotations_have_the_fields_of_their_tables(
    name: str, declared: dict[str, Any], models: dict[str, Any]
) -> None:
    shapes = FAMILIES[name].shapes
    assert set(shapes) == set(declared) == set(models)
    for kind, fields in declared.items():
        assert shapes[kind].required == fields.required
        beyond = set(shapes[kind].fields) - {*fields.required, *fields.optional}
        assert beyond <= {"signature", "result"}


def test_what_the_typed_views_read_is_known_here() -> None:
    assert set(Interaction.model_fields) <= set(SHAPES["interaction"].fields)
    assert set(Usage.model_fields) == set(SHAPES["usage"].fields)
    assert set(ModalityTokens.model_fields) == set(SHAPES["modality_tokens"].fields)
    assert set(ErrorInfo.model_fields) == set(SHAPES["error"].fields)
    events = FAMILIES["event"].shapes
    assert set(events) == set(EVENT_MODELS)
    for kind, model in EVENT_MODELS.items():
        assert set(model.model_fields) == set(events[kind].fields)


def test_every_delta_that_folds_is_known_with_the_fields_it_may_have() -> None:
    deltas = FAMILIES["delta"].shapes
    assert set(deltas) == set(DELTAS)
    assert {field for shape in deltas.values() for field in shape.fields} >= set(Delta.model_fields)
