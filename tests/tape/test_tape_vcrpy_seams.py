"""The parts of vcrpy that tapes depend on: a release that changes one fails here."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import vcr
from vcr import stubs
from vcr.cassette import Cassette
from vcr.stubs import aiohttp_stubs, httpx_stubs

from evalkit.taping import vcr_patch

PUBLIC = (
    "load",
    "append",
    "can_play_response_for",
    "play_response",
    "filter_request",
    "find_requests_with_most_matches",
    "write_protected",
)


@pytest.mark.parametrize("name", PUBLIC)
def test_overridden_vcrpy_methods_are_public_and_exist(name: str) -> None:
    assert hasattr(Cassette, name)
    assert name in vars(vcr_patch._TapeCassette)


def test_private_vcrpy_names_are_not_used() -> None:
    own = {name for name in vars(vcr_patch._TapeCassette) if not name.startswith("__")}
    private = {name for name in own if name.startswith("_")} - {"_is_ignored", "_abc_impl"}
    assert private == set()
    assert not hasattr(Cassette, "_is_ignored")
    attributes = vars(Cassette(path="x"))
    assert not attributes.keys() & {"_taping", "_ignored", "_found", "_began"}


def test_vcrpy_subclass_creates_contexts_of_its_own_class() -> None:
    assert inspect.getattr_static(Cassette, "use").__func__.__name__ == "use"
    assert {"path", "record_mode"} <= set(inspect.signature(Cassette).parameters)


@pytest.mark.parametrize(
    "stub", [stubs, httpx_stubs, aiohttp_stubs], ids=lambda stub: stub.__name__
)
def test_vcrpy_stubs_call_the_cassette_in_the_expected_order(stub: object) -> None:
    text = Path(inspect.getfile(stub)).read_text(encoding="utf-8")  # type: ignore[arg-type]
    calls = [
        text.index(question)
        for question in ("cassette.can_play_response_for(", "cassette.write_protected and")
    ]
    assert calls == sorted(calls)
    assert "cassette.write_protected and" in text
    assert "cassette.filter_request(" in text


def test_vcrpy_release_patches_httpx2() -> None:
    from vcr.patch import PATCHER_NAMES

    assert {"httpx", "httpx2", "requests", "urllib3", "aiohttp", "httplib"} <= set(PATCHER_NAMES)
    assert int(vcr.__version__.split(".")[0]) >= 9
