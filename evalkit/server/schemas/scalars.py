"""Numbers and texts within the keywords of a JSON Schema: bounds, multiples, lengths, formats, patterns. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

from evalkit._lib.json import JSON
from evalkit.server.schemas.merge import NoDocument
from evalkit.server.schemas.patterns import NotMade, text_matching

_LONGEST = 100_000
_FORMATS = {
    "date": "2026-01-01", "date-time": "2026-01-01T12:00:00Z", "time": "12:00:00Z", "duration": "P1D",
    "email": "someone@example.com", "idn-email": "someone@example.com", "hostname": "example.com", "idn-hostname": "example.com",
    "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
    "uri": "https://example.com/", "uri-reference": "/", "iri": "https://example.com/", "iri-reference": "/", "uri-template": "/{id}",
    "uuid": "00000000-0000-4000-8000-000000000000", "json-pointer": "/a", "relative-json-pointer": "0", "regex": "a+",
}  # fmt: skip


def number(schema: JSON, kind: str, name: str, nth: int) -> JSON:
    """Return the ``nth`` number a schema allows, from 0; one of the first again where there are not so many. Raises Unsatisfiable."""
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = (
        schema.get("exclusiveMinimum", -math.inf),
        schema.get("exclusiveMaximum", math.inf),
    )
    step = schema.get("multipleOf", 1 if kind == "integer" else 0)
    if kind == "integer" and step != int(step):
        step = step.as_integer_ratio()[0]  # the smallest whole multiple of a binary fraction
    candidates = _multiples if step else _reals
    for value in candidates(max(low, above), min(high, below), step, nth):
        if math.isfinite(value) and low <= value <= high and above < value < below:
            return int(value) if value == int(value) else value
    raise NoDocument(f"{name!r}: no number between the bounds")


def _multiples(floor: float, ceiling: float, step: float, nth: int) -> Iterator[float]:
    first = math.ceil((1 if floor == -math.inf else floor) / step)
    yield from ((first + shift) * step for shift in (nth, 0, 1))
    if ceiling < math.inf:
        last = math.floor(ceiling / step)
        yield from (last * step, (last - 1) * step)


def _reals(floor: float, ceiling: float, step: float, nth: int) -> Iterator[float]:
    yield from (1 + nth, floor + nth, floor, (floor + ceiling) / 2, floor + 1, ceiling, ceiling - 1)


def string(schema: JSON, name: str, nth: int) -> str:
    """Return the ``nth`` text a schema allows: of its format or pattern, else ``name``. Raises Unsatisfiable."""
    least, most = int(schema.get("minLength", 0)), int(schema.get("maxLength", _LONGEST))
    if least > min(most, _LONGEST):
        raise NoDocument(f"{name!r}: no text has at least {least} characters and at most {most}")
    if "pattern" in schema:
        try:
            return text_matching(schema["pattern"], at_least=least)
        except NotMade as error:
            raise NoDocument(f"{name!r}: {error}") from error
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    text = name if nth == 0 else f"{name} {nth + 1}"
    if len(text) > most:
        text = text[: most - len(str(nth + 1))] + str(nth + 1) if nth else text[:most]
    return text + "." * (least - len(text))
