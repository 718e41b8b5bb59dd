import re

import pytest

from evalkit.protocol import wire_facts
from evalkit.protocol.wire_facts import (
    API_VERSION_PATTERN,
    interactions_path,
    is_infrastructure_fault,
    is_retryable,
)


@pytest.mark.parametrize(
    ("status", "retryable", "infrastructure"),
    [
        (200, False, False),
        (400, False, False),
        (401, False, True),
        (402, False, True),
        (403, False, True),
        (404, False, False),
        (408, True, True),
        (409, True, False),
        (416, False, False),
        (422, False, False),
        (429, True, True),
        (499, False, True),
        (500, True, True),
        (503, True, True),
        (599, True, True),
    ],
)
def test_each_status_is_retried_and_blamed_by_the_tables(
    status: int, retryable: bool, infrastructure: bool
) -> None:
    assert is_retryable(status) is retryable
    assert is_infrastructure_fault(status) is infrastructure


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha", "v2", "v1beta2"])
def test_api_versions_match_the_pattern(version: str) -> None:
    assert re.fullmatch(API_VERSION_PATTERN, version)


@pytest.mark.parametrize("segment", ["v", "version1", "v1_abc", "interactions", "v1.2"])
def test_other_path_segments_do_not_match_the_version_pattern(segment: str) -> None:
    assert not re.fullmatch(API_VERSION_PATTERN, segment)


def test_path_of_the_interactions_collection_may_have_no_version() -> None:
    assert interactions_path("v1beta") == "/v1beta/interactions"
    assert interactions_path("") == "/interactions"


def test_names_of_headers_and_parameters_are_lower_case() -> None:
    names = (
        wire_facts.CREDENTIAL_HEADERS
        | wire_facts.COOKIE_HEADERS
        | wire_facts.KEY_PARAMETERS
        | {*wire_facts.SECRET_FIELDS}
    )
    assert all(name == name.lower() for name in names)
