"""What ``citations`` reports for small conversations."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks.sample_turns import FOUND, SEARCH, codes, judge, says

CITED = {
    "type": "url_citation",
    "url": "https://www.uefa.com/a",
    "title": "Euro",
    "start_index": 0,
    "end_index": 5,
}


REDIRECT = {
    **CITED,
    "url": "https://vertexaisearch.cloud.google.com/grounding-api-redirect/xyz",
    "title": "uefa.com",
}


@pytest.mark.parametrize(
    ("options", "annotations", "expected"),
    [
        ({}, [CITED], []),
        ({"max": 1}, [CITED, CITED], ["too_many_citations"]),
        ({"max": 0}, [], []),
        ({"max": 0}, [CITED], ["too_many_citations"]),
        ({"min": 2}, [CITED], ["not_searched"]),
        (
            {},
            [{"type": "word_info", "text": "a", "start_index": 0, "end_index": 1}],
            ["not_searched"],
        ),
        ({"domains": "uefa.com"}, [CITED, REDIRECT], []),
        ({"domains": "UEFA.com."}, [{**CITED, "url": "HTTPS://WWW.UEFA.COM:443/"}], []),
        ({"domains": "fa.com"}, [CITED], ["domain_unexpected"]),
        (
            {"domains": "uefa.com"},
            [{**CITED, "url": "https://uefa.com.evil.example/"}],
            ["domain_unexpected"],
        ),
        (
            {"domains": "uefa.com"},
            [{**CITED, "url": "https://evil.example/", "title": "uefa.com"}],
            ["domain_unexpected"],
        ),
        ({"domains": "fifa.com"}, [REDIRECT], ["domain_unexpected"]),
        (
            {"domains": "uefa.com"},
            [{"type": "file_citation", "file_name": "a.pdf", "end_index": 3}],
            [],
        ),
        ({"deny_domains": "uefa.com"}, [REDIRECT], ["domain_denied"]),
        (
            {"deny_domains": "uefa.com"},
            [{**CITED, "url": "https://evil.example/", "title": "uefa.com"}],
            ["domain_denied"],
        ),
        ({"deny_domains": "fifa.com"}, [CITED], []),
        ({"schemes": "https"}, [{**CITED, "url": "http://uefa.com"}], ["scheme_unexpected"]),
        ({"schemes": "https"}, [{**CITED, "url": "javascript:alert(1)"}], ["scheme_unexpected"]),
        ({"domains": "uefa.com"}, [{**CITED, "url": "http://[bad"}], ["domain_unexpected"]),
        ({"titles": ["euro"]}, [CITED], []),
        ({"titles": ["euro", "world"]}, [CITED], ["title_missing"]),
        ({"coverage": 0.4}, [CITED], []),
        ({"coverage": 0.5}, [CITED, CITED], ["coverage"]),
        ({"coverage": {"max": 0.4}}, [CITED], ["coverage"]),
        ({"coverage": 1}, [CITED, {**CITED, "start_index": 3, "end_index": 99}], []),
        ({"spans": "valid"}, [CITED], []),
        ({"spans": "valid"}, [{"type": "url_citation", "end_index": 5}], []),
        ({"spans": "valid"}, [{"type": "url_citation"}], ["span_invalid"]),
        ({"spans": "valid"}, [{**CITED, "end_index": 0}], ["span_invalid"]),
        ({"spans": "valid"}, [{**CITED, "end_index": 13}], ["span_invalid"]),
        ({"spans": "valid"}, [{**CITED, "start_index": 7}], ["span_invalid"]),
        ({"spans": "valid"}, [{**CITED, "start_index": -1}], ["span_invalid"]),
        ({"spans": "valid"}, [{**CITED, "end_index": 11}], ["span_invalid"]),
        ({"spans": "valid"}, [{**CITED, "start_index": "x"}], ["span_invalid"]),
        ({"searched": False}, [CITED], []),
        ({"searched": True}, [CITED], ["not_searched"]),
    ],
)
def test_citations(
    options: dict[str, Any], annotations: list[dict[str, Any]], expected: list[str]
) -> None:
    # Twelve bytes, eleven characters: the last two are one.
    assert codes({"citations": options}, {"steps": [says("Spain won é", *annotations)]}) == expected


def test_citations_report_whether_something_was_searched() -> None:
    assert codes("citations", {"steps": [SEARCH, FOUND, says("a")]}) == ["not_cited"]
    assert (
        codes("citations", {"steps": [says("a", {**CITED, "end_index": 1}), SEARCH, FOUND]}) == []
    )
    assert (
        codes({"citations": {"searched": True}}, {"steps": [says("a", CITED), SEARCH, FOUND]}) == []
    )
    assert codes({"citations": {"searched": True}}, {"steps": [says("a", CITED), SEARCH]}) == [
        "search_unanswered"
    ]
    assert (
        codes(
            {"citations": {"searched": True}},
            {
                "steps": [
                    says("a", CITED),
                    {"type": "google_search_call"},
                    {**FOUND, "call_id": "x"},
                ]
            },
        )
        == []
    )
    assert codes(
        {"citations": {"searched": False}}, {"steps": [says("a", CITED), SEARCH, FOUND]}
    ) == ["searched"]


def test_a_finding_about_a_citation_shows_the_cited_text_and_the_location() -> None:
    (finding,) = judge(
        {"citations": {"domains": "fifa.com"}},
        {"steps": [{"type": "thought"}, says("Spain won.", CITED)]},
    ).findings
    assert finding.message == 'the citation at "Spain" is of www.uefa.com, not of fifa.com'
    assert finding.where.to_json() == {
        "turn": 1,
        "exchange": 1,
        "step": 2,
        "pointer": "/content/0/annotations/0",
        "part": "step",
    }
