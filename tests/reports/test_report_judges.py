"""What judges said stands on the page, whatever the verdict, and their tokens in no other sum."""

from __future__ import annotations

import json
from pathlib import Path

from evalkit.reports.page.run_page import write
from evalkit.results.result_line import metrics
from evalkit.transcript import ApiError, Exchange, Request, Response, Transcript
from tests.reports.sample import make_run, passing, says

USAGE = {"total_tokens": 90, "total_output_tokens": 12}


def aside(number: int, words: str) -> Exchange:
    interaction = {"status": "completed", "steps": [says(words)], "usage": USAGE}
    return Exchange(
        number,
        0,
        Request("POST", "/v1beta/interactions", {}),
        Response(200, {}, "", source="replayed"),
        interaction=interaction,
    )


def test_the_page_tells_what_judges_answered(tmp_path: Path) -> None:
    refused = Exchange(
        3,
        0,
        Request("POST", "/v1beta/interactions", {}),
        Response(429, {}, "{}"),
        error=ApiError(429, "quota", "too many"),
    )
    talk = Transcript(
        judge_exchanges=[
            aside(1, '{"reason": "<script>alert(1)</script> \u202eevil", "score": 1}'),
            aside(2, "x" * 5000),
            refused,
        ]
    )
    result = json.loads(passing(1))
    result["metrics"]["judge"] = metrics(talk)["judge"]
    result["judge_exchanges"] = [exchange.to_json() for exchange in talk.judge_exchanges]
    page = write(make_run(tmp_path, [json.dumps(result), passing(2)])).read_text()
    assert page.count("<summary>What judges answered") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &lt;U+202E&gt;evil" in page
    assert "HTTP 429 quota: too many" in page
    assert "3 exchanges, 180 total, 24 output tokens, in no other sum" in page
    assert (
        "x" * 2000
        not in page.partition("<summary>What judges answered")[2].partition("</details>")[0]
    )
