"""One variant for everything a report must show: verdicts, steps, media, citations, an attack."""

from __future__ import annotations

import base64
import io
import random
import wave

from evalkit._lib.json import JSON
from evalkit.transcript import ApiError, Exchange, Request, Turn
from evalkit.verdict import CheckResult, Finding, Severity, Verdict, Where
from tests.reports.sample import (
    answer,
    call,
    cites,
    line,
    passed,
    passing,
    says,
    text,
    thought,
    turn,
    weather,
)

EURO = "Spain won Euro 2024 – La Roja beat England 2:1 in Berlin. Það var fjórði titill þeirra. ⚽"


def euro() -> Turn:
    """Return a turn with a search after its text, and citations with shared and wrong spans."""
    annotations = [
        cites(
            EURO,
            "Spain won Euro 2024 – La Roja beat England 2:1 in Berlin.",
            "uefa.com",
            "https://www.uefa.com/euro2024/",
        ),
        cites(
            EURO,
            "La Roja beat England 2:1 in Berlin.",
            "bbc.co.uk",
            "https://www.bbc.co.uk/sport/football/euro-2024",
        ),
        cites(EURO, "fjórði titill", "ruv.is", "https://www.ruv.is/ithrottir"),
        {
            "type": "url_citation",
            "url": "javascript:alert(document.domain)",
            "title": "free tickets",
            "start_index": 0,
            "end_index": 5,
        },
        {
            "type": "url_citation",
            "url": "https://example.org/past",
            "title": "past",
            "start_index": 5,
            "end_index": 5000,
        },
        {
            "type": "url_citation",
            "url": "https://example.org/cut",
            "title": "cut",
            "start_index": 0,
            "end_index": 21,
        },
        {
            "type": "file_citation",
            "file_name": "euro.pdf",
            "page_number": 3,
            "start_index": 0,
            "end_index": 5,
        },
    ]
    html = (
        "<style>.chip{color:red}</style><div class='chip'><svg onload='alert(1)'></svg>euro "
        "2024 winner</div>"
    )
    return turn(
        1,
        "Who won the Euro 2024?",
        [
            thought(),
            says(EURO, *annotations),
            {
                "type": "google_search_call",
                "id": "s1",
                "arguments": {"queries": ["euro 2024 winner", "EM 2024 Sieger"]},
                "search_type": "web_search",
            },
            {
                "type": "google_search_result",
                "call_id": "s1",
                "is_error": False,
                "result": [{"search_suggestions": html}],
            },
        ],
    )


def png(side: int = 48, seed: int = 7) -> str:
    """Return a small PNG of random pixels in base64; side 48 is long enough to be stored once."""
    import struct
    import zlib

    rng = random.Random(seed)
    rows = b"".join(b"\0" + bytes(rng.randrange(256) for _ in range(side * 3)) for _ in range(side))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    raw = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return base64.b64encode(raw).decode()


def wav(seconds: float = 0.2) -> str:
    """Return a short silence as WAV in base64."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(b"\x80" * int(8000 * seconds))
    return base64.b64encode(out.getvalue()).decode()


def media_turn() -> Turn:
    """Return a turn with every kind of media: shown, refused, linked, broken."""
    user = [
        text("What do you see and hear?"),
        {"type": "image", "data": png(), "mime_type": "image/png"},
        {"type": "audio", "data": wav(), "mime_type": "audio/wav"},
        {
            "type": "document",
            "data": base64.b64encode(b"%PDF-1.7 not a real one").decode(),
            "mime_type": "application/pdf",
        },
        {"type": "video", "uri": "https://example.org/film.mp4", "mime_type": "video/mp4"},
    ]
    image = {"type": "image", "data": png(4), "mime_type": "image/png"}
    svg = {
        "type": "image",
        "data": base64.b64encode(b"<svg onload=alert(1)>").decode(),
        "mime_type": "image/svg+xml",
    }
    broken = {"type": "image", "data": '"><script>alert(1)</script>', "mime_type": "image/png"}
    again = {"type": "image", "data": png(), "mime_type": "image/png"}
    gone = {"type": "image", "uri": "javascript:alert(1)", "mime_type": "image/png"}
    return turn(
        1,
        user,
        [
            {
                "type": "model_output",
                "content": [text("A picture, and silence."), image, svg, broken, again, gone],
            }
        ],
    )


def every_step() -> Turn:
    """Return a turn with all step types, results away from their calls, and unknown types."""
    steps: list[dict[str, JSON]] = [
        thought(
            summary=[
                text("Looking for the **best** tool."),
                {"type": "image", "data": png(4), "mime_type": "image/png"},
            ]
        ),
        thought(signature=""),
        {
            "type": "code_execution_call",
            "id": "c1",
            "arguments": {"language": "python", "code": "print(sum(range(10)))\n# <b>bold</b>"},
            "signature": "c2ln",
        },
        {"type": "code_execution_result", "call_id": "c1", "result": "45\n"},
        {
            "type": "url_context_call",
            "id": "u1",
            "arguments": {"urls": ["https://example.org/a", "javascript:alert(2)"]},
        },
        {"type": "google_maps_call", "id": "m1", "arguments": {"queries": ["cafés near me"]}},
        {
            "type": "google_maps_result",
            "call_id": "m1",
            "result": [{"places": [{"name": "Café", "place_id": "places/1"}]}],
        },
        {
            "type": "url_context_result",
            "call_id": "u1",
            "result": [{"url": "https://example.org/a", "status": "success"}],
        },
        {"type": "file_search_call", "id": "f1"},
        {"type": "file_search_result", "call_id": "f1", "result": [{"title": "a file"}]},
        {
            "type": "retrieval_call",
            "id": "r1",
            "arguments": {"queries": ["x"]},
            "retrieval_type": "vertex",
        },
        {"type": "retrieval_result", "call_id": "r1", "is_error": True},
        {"type": "tool_search_call", "id": "t1", "arguments": {"function_names": ["f"]}},
        {
            "type": "tool_search_result",
            "call_id": "t1",
            "result": {"type": "function", "name": "f"},
        },
        {"type": "processing_call", "id": "p1"},
        {"type": "processing_result", "call_id": "p1"},
        {
            "type": "mcp_server_tool_call",
            "id": "x1",
            "name": "list",
            "server_name": "files",
            "arguments": {"path": "/"},
        },
        {
            "type": "mcp_server_tool_result",
            "call_id": "x1",
            "name": "list",
            "server_name": "files",
            "result": {"files": [], "deep": {}},
        },
        call("a", location="Paris"),
        call("b", location="Oslo"),
        answer("b", location="Oslo", temperature=0.5),
        {
            "type": "function_result",
            "call_id": "a",
            "name": "get_current_temperature",
            "result": "no such city",
            "is_error": True,
        },
        {"type": "function_result", "call_id": "nobody", "result": [1, {"type": 2}]},
        {"type": "user_input", "content": "as a string"},
        {"type": "hologram_call", "id": "h1", "shape": {"edges": 12}, "note": "<i>not markup</i>"},
        {
            "type": "model_output",
            "content": [{"type": "smell", "of": "coffee"}, "loose"],
            "error": {"code": 13, "message": "cut short"},
        },
        {
            "type": "model_output",
            "content": [
                text(
                    "word", {"type": "word_info", "text": "word", "start_index": 0, "end_index": 4}
                )
            ],
        },
        {"type": "model_output", "content": None},
        {"no": "type"},
        {"type": "constructor", "arguments": {"toString": 1}},
        {"type": "__proto__", "__proto__": {"polluted": True}},
        {
            "type": "google_search_call",
            "id": "q",
            "arguments": {"queries": ["a"], "__proto__": 1},
            "constructor": "x",
        },
        {
            "type": "model_output",
            "content": [{"type": "image", "data": "AAAA", "mime_type": "constructor"}],
        },
        says(
            ' {"recipe": "Banana bread", "minutes": 65.5, "steps": ["mash", "bake"], '
            '"empty": {}, "note": "caf\\u00e9 {not, a: brace}"} '
        ),
    ]
    return turn(1, "Use everything you have.", steps)


HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'><svg "
    "onload='window.hacked = 3'>"
    "<a href='javascript:window.hacked = 4'>x</a><iframe srcdoc='<script>parent.hacked = "
    "5</script>'></iframe><!-- <script>"
    "\u202eevil\u202c \u200bzero\u200d \x00 \x1b[31mred\x1b[0m \ud800 lone \udfff \u2028 "
    "\u2029 \ufffe "
    "{{ 7 * 7 }} {% raw %} ${7*7} &lt;b&gt; ' \" `"
)


def hostile_turn(long_line: int = 5_000_000) -> Turn:
    """Return a turn in which every string of the model attacks the page; the last text is long."""
    return turn(
        1,
        HOSTILE,
        [
            thought(signature=HOSTILE, summary=[text(HOSTILE)]),
            {"type": HOSTILE, HOSTILE: HOSTILE},
            {
                "type": "function_call",
                "id": HOSTILE,
                "name": HOSTILE,
                "arguments": {HOSTILE: HOSTILE},
            },
            says(
                HOSTILE,
                {
                    "type": "url_citation",
                    "url": "javascript:window.hacked=6//https://x",
                    "title": HOSTILE,
                    "start_index": 0,
                    "end_index": 9,
                },
            ),
            {
                "type": "model_output",
                "content": [
                    {"type": "image", "data": HOSTILE, "mime_type": HOSTILE},
                    {"type": "image", "uri": HOSTILE},
                ],
            },
            {
                "type": "code_execution_call",
                "id": "c",
                "arguments": {"language": HOSTILE, "code": HOSTILE},
            },
            {
                "type": "google_search_result",
                "call_id": "s",
                "result": [{"search_suggestions": HOSTILE}],
            },
            says("x" * long_line),
        ],
    )


def hostile_line(
    verdict: Verdict = Verdict.FAILED, long_line: int = 5_000_000, scenario: str = "hostile"
) -> str:
    """Return a result in which every text of the model is hostile; a finding quotes it."""
    finding = Finding(
        HOSTILE,
        HOSTILE,
        Where(turn=1, step=4, pointer="/" + HOSTILE),
        expected=HOSTILE,
        got={HOSTILE: HOSTILE},
        detail=HOSTILE,
    )
    findings = (finding,) if verdict is not Verdict.PASSED else ()
    check = CheckResult("text", verdict, findings, turn=1, declared="suites/weather.yaml:9")
    return line(
        scenario,
        [hostile_turn(long_line)],
        [check],
        verdict=verdict,
        title=HOSTILE,
        message=HOSTILE,
        tags=("hostile", '"><b>'),
        unplayed=[HOSTILE],
    )


def failed_line() -> str:
    """Return a failed result with findings of a step, an exchange, a turn, and without a place."""
    where = Where(turn=1, exchange=2, step=2, pointer="/arguments/location", part="step")
    finding = Finding(
        "arguments_differ",
        "get_current_temperature: location is 'London', not 'Paris'",
        where,
        expected="Paris",
        got="London",
        detail="  London\n- Paris",
    )
    checks = [
        CheckResult(
            "tool_calls", Verdict.FAILED, (finding,), turn=1, declared="suites/weather.yaml:17"
        ),
        CheckResult(
            "history",
            Verdict.FAILED,
            (
                Finding(
                    "signature_altered",
                    "the signature of step 2 was altered",
                    Where(exchange=2, pointer="/input/1/signature", part="request"),
                    expected="CiRl",
                    got="CiRm",
                ),
            ),
        ),
        CheckResult(
            "text",
            Verdict.FAILED,
            (Finding("not_contained", "the text does not contain '23'", Where(turn=1)),),
            turn=1,
            declared="suites/weather.yaml:18",
        ),
        CheckResult(
            "usage",
            Verdict.FAILED,
            (Finding("over_budget", "788 tokens, at most 600", expected={"max": 600}, got=788),),
            turn=None,
            declared="suites/weather.yaml:20",
        ),
        passed("status", 1),
    ]
    turns = [
        weather(),
        turn(2, "And tomorrow?", [thought(), says("It will rain.")], first_exchange=3),
    ]
    return line(
        "paris",
        turns,
        checks,
        verdict=Verdict.FAILED,
        title="The wrong city",
        message=finding.message,
        tags=("smoke", "tools"),
        parts=("stateless", "streamed"),
    )


def errored_line() -> str:
    """Return an errored result: a refused turn, one not run, a crashed check, a broken stream."""
    refused = turn(1, "Hello?", [says("It beg")])
    refused.outcome, refused.status = "api_error", None
    refused.error = ApiError(429, "rate_limit_exceeded", "Too many requests.\nTry again in 5 s.")
    exchange = refused.exchanges[0]
    exchange.events = [
        {"event_type": "interaction.created"},
        {"event_type": "error", "error": {"code": "rate_limit_exceeded"}},
    ]
    exchange.problems = [
        {
            "code": "no_terminal_event",
            "message": "the stream ends without interaction.completed",
            "event": 2,
        }
    ]
    exchange.error = refused.error
    assert exchange.response is not None
    exchange.response.broken = "connection reset"
    unanswered = Exchange(
        2,
        1,
        Request("GET", "/v1beta/interactions/v1_11", None, (("include_input", "true"),)),
        failure="no recording for this request",
    )
    refused.exchanges.append(unanswered)
    never = Turn(2, [text("Are you there?")], outcome="not_run", reason="turn 1 did not complete")
    crash = CheckResult(
        "python",
        Verdict.ERRORED,
        (Finding("check_crashed", "ZeroDivisionError: division by zero", Where(turn=2)),),
        turn=2,
        declared="suites/errors.yaml:9",
    )
    return line(
        "limited",
        [refused, never],
        [crash],
        verdict=Verdict.ERRORED,
        suite="errors",
        message="turn 1: HTTP 429 rate_limit_exceeded",
        unplayed=["POST /v1beta/interactions (recording 3)"],
    )


def warned_line() -> str:
    """Return a passed result with a warning."""
    soft = Finding(
        "too_slow_to_say",
        "the text is longer than 30 characters",
        Where(turn=1, step=5),
        severity=Severity.WARN,
    )
    return line(
        "wordy",
        [weather()],
        [CheckResult("text", Verdict.PASSED, (soft,), turn=1), passed("status", 1)],
        title="Says too much",
        tags=("smoke",),
    )


def skipped_line() -> str:
    """Return a skipped result."""
    return line(
        "later",
        verdict=Verdict.SKIPPED,
        message="no recording yet; record with --evalkit-record once",
        parts=(),
        tags=("nightly",),
    )


def every_line(*, long_line: int = 5_000_000) -> list[str]:
    """Return one result for everything a report must show."""
    return [
        passing(1),
        line(
            "everything",
            [every_step()],
            [passed("steps", 1), passed("usage")],
            suite="kitchen",
            title="Every step type",
            tags=("smoke",),
        ),
        line(
            "media",
            [media_turn()],
            [passed("media", 1)],
            suite="kitchen",
            title="Pictures and sound",
        ),
        line(
            "euro",
            [euro()],
            [passed("citations", 1)],
            suite="search",
            title="Who won the Euro 2024?",
            tags=("smoke", "search"),
            parts=("plain",),
        ),
        failed_line(),
        errored_line(),
        warned_line(),
        skipped_line(),
        hostile_line(long_line=long_line),
    ]
