"""A conversation that is recorded again changes its cassette where an answer changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.cassette.files import load_cassette
from evalkit.cassette.preserved_recordings import preserve
from evalkit.cassette.recorder import CassetteRecorder
from evalkit.cassette.recording import Recording
from evalkit.cassette.redaction import Redactor
from tests.cassette.samples import PATH, model_output, recording, user

RUN_A, RUN_B = "aaaaaaaa", "bbbbbbbb"


def interaction(run: str, number: int, *steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "id": f"v1_{run}_{number}",
        "created": f"2026-11-30T0{len(run) % 7}:00:0{number}Z",
        "updated": f"{run}",
        "usage": {"total_tokens": ord(run[0]) + number},
        "status": "completed",
        "steps": list(steps),
        **fields,
    }


def thought(run: str, summary: str = "Think.") -> dict[str, Any]:
    block = {"type": "text", "text": summary}
    return {"type": "thought", "signature": f"signature+/{run}=", "summary": [block]}


def call(run: str, **arguments: Any) -> dict[str, Any]:
    name = "get_temperature"
    return {"type": "function_call", "id": f"call_{run}", "name": name, "arguments": arguments}


def result(run: str) -> dict[str, Any]:
    return {"type": "function_result", "call_id": f"call_{run}", "result": "22"}


def stateless(run: str, answer: str = "22 degrees", **arguments: Any) -> list[Recording]:
    history = [user("How warm is it?"), thought(run), call(run, **arguments), result(run)]
    asks = [history[:1], history, [*history, model_output(answer), user("And now?")]]
    answers = [history[1:3], [model_output(answer)], [model_output("Still.")]]
    return [
        recording({"store": False, "input": asked}, interaction(run, number, *steps))
        for number, (asked, steps) in enumerate(zip(asks, answers, strict=True))
    ]


def stateful(run: str, last: str = "Bye.") -> list[Recording]:
    return [
        recording({"input": "Hi"}, interaction(run, 1, model_output("Hello."))),
        recording(
            {"input": "Bye", "previous_interaction_id": f"v1_{run}_1"},
            interaction(run, 2, model_output(last), previous_interaction_id=f"v1_{run}_1"),
        ),
        recording(None, {}, path=f"{PATH}/v1_{quote(run, safe='')}_2", method="DELETE"),
    ]


def streamed(run: str, chunks: str) -> list[Recording]:
    steps = [{"event_type": "step.start", "index": 0, "step": {"type": "model_output"}}]
    for chunk in chunks.split("|"):
        delta = {"type": "text", "text": chunk}
        steps.append({"event_type": "step.delta", "index": 0, "delta": delta})
    whole = interaction(run, 1)
    del whole["steps"]
    events = [
        {"event_type": "interaction.created", "interaction": {"id": whole["id"]}},
        *steps,
        {"event_type": "step.stop", "index": 0},
        {"event_type": "interaction.completed", "interaction": whole},
    ]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    one = recording({"input": "Hi", "stream": True}, event_ms=tuple(range(len(events))))
    one.response_headers, one.body = {"Content-Type": ["text/event-stream; charset=utf-8"]}, body
    return [one]


def background(run: str, polls: int) -> list[Recording]:
    path = f"{PATH}/v1_{run}_1"
    running = interaction(run, 1, status="in_progress")
    done = interaction(run, 1, model_output("Done."))
    return [
        recording({"input": "Hi", "background": True}, running),
        *(recording(None, running, path=path, method="GET") for _ in range(polls)),
        recording(None, done, path=path, method="GET"),
    ]


def failed(code: int) -> list[Recording]:
    return [recording({"input": "Hi"}, {"error": {"message": "no"}}, status=code)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (stateless(RUN_A), stateless(RUN_B)),
        (stateful(RUN_A), stateful(RUN_B)),
        (streamed(RUN_A, "Hel|lo"), streamed(RUN_B, "H|el|lo")),
        (background(RUN_A, 2), background(RUN_B, 5)),
        (background(RUN_A, 3), background(RUN_B, 0)),
        (failed(400), failed(400)),
    ],
    ids=["stateless", "stateful", "streamed", "more polls", "fewer polls", "error"],
)
def test_the_same_answers_leave_the_recordings_as_they_were(
    old: list[Recording], new: list[Recording]
) -> None:
    assert preserve(old, new) == old


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (stateless(RUN_A, id="order-17"), stateless(RUN_B, id="order-18")),
        (streamed(RUN_A, "Hel|lo"), streamed(RUN_B, "Hel|lo.")),
        (failed(400), failed(404)),
        (stateful(RUN_A), stateless(RUN_B)),
        ([], stateful(RUN_B)),
        (stateful("a"), stateful("b")),
    ],
    ids=["arguments", "streamed text", "status", "requests", "no cassette", "names like words"],
)
def test_other_answers_replace_the_recordings(old: list[Recording], new: list[Recording]) -> None:
    assert preserve(old, new) == new


def test_a_thought_with_another_summary_is_another_answer() -> None:
    old, new = stateless(RUN_A), stateless(RUN_B)
    new[0].body = str(new[0].body).replace("Think.", "Ponder.")
    assert preserve(old, new) == new


def test_what_precedes_the_first_change_stays_and_what_follows_has_its_names() -> None:
    old, new = stateful(RUN_A), stateful(RUN_B, last="Good bye.")
    first, second, third = preserve(old, new)
    assert first == old[0]
    assert json.loads(second.request_body or "")["previous_interaction_id"] == f"v1_{RUN_A}_1"
    assert "Good bye." in str(second.body)
    assert f"v1_{RUN_B}_2" in str(second.body)
    assert third.uri.endswith(f"/v1_{RUN_B}_2")


def test_a_history_that_follows_has_the_old_signatures_and_call_ids() -> None:
    old, new = stateless(RUN_A), stateless(RUN_B, answer="23 degrees")
    first, second, third = preserve(old, new)
    assert (first, second.request_body) == (old[0], old[1].request_body)
    assert json.loads(third.request_body or "")["input"][1:4] == [
        thought(RUN_A),
        call(RUN_A),
        result(RUN_A),
    ]


def test_requests_that_were_sent_at_the_same_time_may_end_in_any_order() -> None:
    def ask(run: str, *words: str) -> list[Recording]:
        return [
            recording({"input": word}, interaction(f"{run}{word}", 1, model_output(word)))
            for word in words
        ]

    old = ask(RUN_A, "one", "two", "three")
    assert preserve(old, ask(RUN_B, "three", "one", "two")) == old
    new = ask(RUN_B, "three", "one", "four")
    assert preserve(old, new) == new


def test_a_shorter_conversation_loses_its_end() -> None:
    assert preserve(stateful(RUN_A), stateful(RUN_B)[:2]) == stateful(RUN_A)[:2]


NAMES = st.text("abcdefgh0123456789+/=_-", min_size=8, max_size=20)


@given(
    st.lists(NAMES, min_size=2, max_size=2, unique=True),
    st.sampled_from([stateless, stateful]),
)
def test_any_names_may_be_new(names: list[str], make: Callable[[str], list[Recording]]) -> None:
    old, new = map(make, names)
    assert preserve(old, new) == old
    assert preserve(new, old) == new


# --- the file ---


def record(path: Path, recordings: list[Recording], *secrets: str) -> bytes:
    redactor = Redactor(secrets)
    recorder = CassetteRecorder(path, "all", metadata={"suite": "x"}, redactor=redactor)
    for one in recordings:
        recorder.append(one)
    recorder.finish(True)
    recorder.close()
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    return path.read_bytes()


@pytest.mark.parametrize("make", [stateless, stateful])
def test_the_same_answers_leave_the_file_untouched(
    tmp_path: Path, make: Callable[[str], list[Recording]]
) -> None:
    path = tmp_path / "cassettes" / "s" / "a.yaml"
    first = record(path, make(RUN_A))
    before = path.stat()
    assert record(path, make(RUN_B)) == first
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime_ns > before.st_mtime_ns


def test_another_answer_changes_the_lines_of_its_exchange(tmp_path: Path) -> None:
    path = tmp_path / "cassettes" / "s" / "a.yaml"
    first = record(path, stateful(RUN_A)).decode()
    second = record(path, stateful(RUN_B, last="Good bye.")).decode()
    first_exchange = re.compile(r"interactions:\n(- request:.*?)- request:", re.DOTALL)
    assert first_exchange.findall(first) == first_exchange.findall(second)
    assert RUN_A in second


def test_what_would_be_redacted_now_does_not_stay(tmp_path: Path) -> None:
    path = tmp_path / "cassettes" / "s" / "a.yaml"
    secret = "planted-secret-key-Xy7"
    assert secret.encode() in record(path, stateful(RUN_A, last=secret))
    assert secret.encode() not in record(path, stateful(RUN_A, last=secret), secret)
    cassette = load_cassette(path)
    assert cassette is not None
    assert cassette.metadata["redactions"] == 1
