import re

import pytest

from evalkit.protocol import wire_facts
from evalkit.protocol.wire_facts import (
    API_VERSION_PATTERN,
    interactions_path,
    is_retryable,
)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        *((status, False) for status in (200, 400, 404, 416, 422, 499)),
        *((status, True) for status in (408, 409, 429, 500, 503, 599)),
    ],
)
def test_statuses_that_are_worth_a_retry(status: int, retryable: bool) -> None:
    assert is_retryable(status) is retryable


def test_words_of_the_fault_table_are_lower_case_and_belong_to_one_row() -> None:
    words = [word for row in wire_facts.FAULTS for word in row.words]
    assert words == [word.lower() for word in words]
    assert len(words) == len(set(words))
    assert not wire_facts.BLOCKED_CODES & set(words)


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
