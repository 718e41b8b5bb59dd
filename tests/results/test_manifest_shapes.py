"""A manifest that is JSON, but not a manifest, is a user's mistake with a message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import UsageError
from evalkit.results import Run


@pytest.mark.parametrize("text", ["[]", "5", '"x"', "null"])
def test_what_is_not_a_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match=r"manifest\.json is not a manifest \(expected an object"):
        Run(tmp_path)


SEQUENTIAL = {
    "gate": "g",
    "seed": 1,
    "scenarios": 3,
    "largest": 1,
    "decision": None,
    "not_run": {"s::a": 1},
}
VALID: dict[str, Any] = {
    "complete": False,
    "started": "2026-01-01T10:00:00Z",
    "ended": None,
    "options": {},
    "environment": {"CI": "1"},
    "suites": [{"suite": "s", "path": "suites/s.yaml", "files": [{"path": "x", "digest": None}]}],
    "modules": [{"path": "tests/test_a.py", "digest": None}],
    "cassettes": [{"path": "a.yaml", "digest": "sha256:0"}],
    "not_collected": ["suites/b.yaml"],
    "sequential": SEQUENTIAL,
    "totals": {"collected": 3},
}
COUNTS: list[Any] = ["3", None, True, -1, 1.5, 10**400, []]
DAMAGED: dict[str, list[Any]] = {
    "complete": ["false", 0, None, []],
    "started": [5, {}],
    "ended": [5, False],
    "options": [None, [], "x"],
    "environment": [None, []],
    "suites": [None, "x", {}, [5], [None], [{"path": 5}], [{"suite": []}], [{"files": 5}]],
    "modules": ["x", [5], [{"path": None}]],
    "cassettes": [None, 5, [5]],
    "merged": [5, [5]],
    "not_collected": ["x", [5]],
    "sequential": [
        None,
        5,
        {},
        *({**SEQUENTIAL, key: "x"} for key in ("scenarios", "largest", "not_run")),
        {**SEQUENTIAL, "not_run": {"s::a": -1}},
        {key: SEQUENTIAL[key] for key in SEQUENTIAL.keys() - {"decision"}},
    ],
    "totals": [5, [], *({"collected": one} for one in COUNTS)],
}


def test_each_member_of_a_valid_manifest_may_be_missing(tmp_path: Path) -> None:
    for name in (None, *VALID):
        (tmp_path / "manifest.json").write_text(
            json.dumps({key: value for key, value in VALID.items() if key != name})
        )
        assert Run(tmp_path).manifest


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in DAMAGED.items() for value in values]
)
def test_a_damaged_member_is_named_before_anything_is_read(
    tmp_path: Path, name: str, value: Any
) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({**VALID, name: value}))
    with pytest.raises(UsageError, match=rf"is not a manifest \('{name}' is not as evalkit writes"):
        Run(tmp_path)
