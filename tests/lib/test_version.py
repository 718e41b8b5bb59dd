"""The version of a distribution is what ``importlib.metadata`` says it is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

import pytest

from evalkit._lib.version import version_of


def test_of_every_distribution_that_is_installed() -> None:
    names = {one.metadata["Name"] for one in distributions()}
    assert "pytest" in names
    assert {name: version_of(name) for name in names} == {name: version(name) for name in names}


def test_of_one_that_is_not_there() -> None:
    with pytest.raises(PackageNotFoundError):
        version_of("no-such-distribution")


@pytest.mark.parametrize(
    "metadata",
    ["Metadata-Version: 2.1\nName: odd\nVersion: 1.5\n", "Name: odd\nVERSION: 1.5\n\nVersion: 2\n"],
)
def test_of_metadata_as_others_write_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: str
) -> None:
    folder = tmp_path / "odd_one-1.5.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(metadata)
    monkeypatch.syspath_prepend(tmp_path)
    version_of.cache_clear()
    assert version_of("odd-one") == version("odd-one") == "1.5"
