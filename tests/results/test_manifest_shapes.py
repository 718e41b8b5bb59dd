"""A manifest that is JSON, but not a manifest, is a user's mistake with a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.results import Run


@pytest.mark.parametrize("text", ["[]", "5", '"x"', "null", '{"totals": 5}', '{"options": []}'])
def test_what_is_not_a_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match=r"manifest\.json is not a manifest \(expected an object"):
        Run(tmp_path)
