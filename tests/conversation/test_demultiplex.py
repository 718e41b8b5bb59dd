"""Interleaved conversations are distinguished by ids and histories, even altered ones."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.json import JSON, dumps
from evalkit.cassette.recording import Recording
from evalkit.conversation.demultiplex import Demultiplexer, split_conversations
from evalkit.protocol.stream_writer import events_of, sse_text
from evalkit.transcript import Request, Response

PATH = "/v1beta/interactions"


def user(text: str) -> dict[str, JSON]:
    return {"type": "user_input", "content": [{"type": "text", "text": text}]}


def model_text(text: str) -> dict[str, JSON]:
    return {"type": "model_output", "content": [{"type": "text", "text": text}]}


def answer(steps: list[JSON], **fields: JSON) -> Response:
    return Response(
        200,
        {"content-type": "application/json"},
        dumps({"status": "completed", "steps": steps, **fields}),
    )


def create(value: JSON, **fields: JSON) -> Request:
    return Request("POST", PATH, {"model": "m", "input": value, **fields})


class Tape:
    """Feeds exchanges to a Demultiplexer; ``conversations`` splits the whole tape at once."""

    def __init__(self) -> None:
        self.threads = Demultiplexer()
        self.recordings: list[Recording] = []
        self.numbers: list[int] = []

    def take(self, request: Request, response: Response) -> int:
        pending = self.threads.open(request)
        thread = pending.thread
        self.threads.complete(pending, response)
        self.numbers.append(thread)
        query = (
            "?" + "&".join(f"{name}={value}" for name, value in request.query)
            if request.query
            else ""
        )
        self.recordings.append(
            Recording(
                request.method,
                f"https://host{request.path}{query}",
                None if request.body is None else dumps(request.body),
                status=response.status,
                response_headers={name: [value] for name, value in response.headers.items()},
                body=response.text,
            )
        )
        return thread

    def conversations(self) -> list[list[int]]:
        return split_conversations(self.recordings)


HI = [{"type": "thought", "signature": "s1"}, model_text("Hi")]


def test_interaction_ids_distinguish_stateful_conversations() -> None:
    tape = Tape()
    first, second = create("Hello"), create("Hello")
    assert [tape.take(first, answer(HI, id="a")), tape.take(second, answer(HI, id="b"))] == [0, 1]
    assert tape.take(create("More", previous_interaction_id="b"), answer(HI, id="b2")) == 1
    assert tape.take(create("More", previous_interaction_id="a"), answer(HI, id="a2")) == 0
    assert tape.take(Request("GET", f"{PATH}/b"), answer([user("Hello"), *HI], id="b")) == 1
    assert tape.take(Request("POST", f"{PATH}/a2/cancel"), answer([], id="a2")) == 0
    assert tape.take(Request("DELETE", f"{PATH}/b2"), Response(200, {}, "{}")) == 1
    assert tape.conversations() == [[0, 3, 5], [1, 2, 4, 6]]


def test_concurrent_equal_requests_are_assigned_to_different_conversations() -> None:
    threads = Demultiplexer()
    requests = [create([user("Hello")], store=False) for _ in range(3)]
    pending = [threads.open(request) for request in requests]
    numbers = [one.thread for one in pending]
    for one in pending:
        threads.complete(one, answer(HI))
    later = [create([user("Hello"), *HI, user(text)], store=False) for text in "abc"]
    assert [threads.open(request).thread for request in later] == numbers == [0, 1, 2]


def test_second_continuation_is_a_fork_that_starts_with_the_shared_exchanges() -> None:
    tape = Tape()
    tape.take(create("Hello"), answer(HI, id="a"))
    tape.take(create("One", previous_interaction_id="a"), answer(HI, id="b"))
    assert tape.take(create("Two", previous_interaction_id="a"), answer(HI, id="c")) == 1
    assert tape.take(create("Again", previous_interaction_id="c"), answer(HI, id="d")) == 1
    assert tape.take(create("Other", previous_interaction_id="c"), answer(HI, id="e")) == 2
    assert tape.threads.fork_of(0) is None
    assert (tape.threads.fork_of(1), tape.threads.fork_of(2)) == ((0, 1), (1, 2))
    assert tape.conversations() == [[0, 1], [0, 2, 3], [0, 2, 4]]


def test_history_that_diverges_is_a_fork() -> None:
    tape = Tape()
    more = [user("Hello"), *HI, user("More")]
    tape.take(create([user("Hello")]), answer(HI))
    tape.take(create(more), answer([model_text("Well")]))
    assert (
        tape.take(create([user("Hello"), *HI, user("Something else")]), answer([model_text("So")]))
        == 1
    )
    assert tape.take(create(more), answer([model_text("Another")])) == 2
    assert tape.conversations() == [[0, 1], [0, 2], [0, 3]]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_repeated_request_continues_its_conversation(status: int) -> None:
    tape = Tape()
    refusal = Response(status, {}, '{"error": {"code": "x", "message": "y"}}')
    first, more = create("Hello"), create("More", previous_interaction_id="a")
    exchanges = [
        (first, refusal),
        (first, answer(HI, id="a")),
        (more, refusal),
        (more, answer(HI, id="b")),
    ]
    assert [tape.take(*exchange) for exchange in exchanges] == [0, 0, 0, 0]
    assert tape.take(first, answer(HI, id="z")) == 1


def test_finally_rejected_request_is_not_retried_but_another_may_follow() -> None:
    tape = Tape()
    refusal = Response(400, {}, '{"error": {"code": "x", "message": "y"}}')
    tape.take(create("Hello"), answer(HI, id="a"))
    assert tape.take(create("Bad", previous_interaction_id="a"), refusal) == 0
    assert tape.take(create("Good", previous_interaction_id="a"), answer(HI, id="b")) == 0
    assert [tape.take(create("Hello"), refusal), tape.take(create("Hello"), refusal)] == [1, 2]


def test_rejected_conversation_is_matched_last_among_equals() -> None:
    tape = Tape()
    refusal = Response(400, {}, '{"error": {"code": "x", "message": "y"}}')
    first, more = (
        create([user("Hello")], store=False),
        create([user("Hello"), *HI, user("More")], store=False),
    )
    assert [tape.take(first, answer(HI)), tape.take(more, refusal)] == [0, 0]
    assert [tape.take(first, answer(HI)), tape.take(more, answer(HI))] == [1, 1]
    assert tape.take(more, answer(HI)) == 0


def test_request_without_a_response_is_expected_again() -> None:
    threads = Demultiplexer()
    first = create("Hello")
    threads.fail(threads.open(first))
    assert threads.open(create("Hello")).thread == 0
    assert threads.open(create("Hello")).thread == 1


def test_background_run_is_matched_when_its_result_is_in_a_history() -> None:
    tape = Tape()
    tape.take(create([user("Hello")], background=True), answer([], id="a", status="in_progress"))
    assert (
        tape.take(
            Request("GET", f"{PATH}/a", query=(("stream", "false"),)),
            answer([], id="a", status="in_progress"),
        )
        == 0
    )
    assert (
        tape.take(Request("GET", f"{PATH}/a"), answer([user("Hello"), model_text("Done")], id="a"))
        == 0
    )
    assert (
        tape.take(create([user("Hello"), model_text("Done"), user("More")]), answer(HI, id="b"))
        == 0
    )


def test_continuation_hops_belong_to_one_conversation() -> None:
    tape = Tape()
    body = {"input": [user("Hello")], "store": False}
    tape.take(
        Request("POST", PATH, body),
        answer([model_text("One")], status="requires_continuation", continuation_token="t1"),
    )
    hop = Request("POST", PATH, {**body, "continuation_token": "t1"})
    assert tape.take(hop, answer([model_text("Two")])) == 0
    assert (
        tape.take(
            create(
                [user("Hello"), model_text("One"), model_text("Two"), user("More")], store=False
            ),
            answer(HI),
        )
        == 0
    )


def test_requests_to_other_resources_are_grouped_by_collection() -> None:
    tape = Tape()
    paths = [
        "/v1/agents",
        "/v1beta/environments",
        "/v1/agents/x",
        "/prefix/v1/environments/e",
        "/agents",
    ]
    assert [tape.take(Request("GET", path), Response(200, {}, "{}")) for path in paths] == [
        0,
        1,
        0,
        1,
        0,
    ]


CALLS: list[JSON] = [
    {"type": "thought", "signature": "s9"},
    {"type": "function_call", "id": "c1", "name": "f", "arguments": {"a": 1.0, "n": None}},
    {"type": "function_call", "id": "c2", "name": "f", "arguments": {}},
]
RESULTS: list[JSON] = [
    {"type": "function_result", "call_id": call["id"], "name": "f", "result": "r"}
    for call in CALLS[1:]
]
LATER = [{"type": "thought", "signature": "s10"}, model_text("So")]
WHOLE = [user("Hello"), *CALLS, *RESULTS, *LATER, user("More")]
Change = Callable[[list[JSON]], JSON]


def without(*places: int) -> Change:
    return lambda steps: [step for place, step in enumerate(steps) if place not in places]


def with_step(place: int, **fields: JSON) -> Change:
    return lambda steps: [
        {**step, **fields} if at == place else step for at, step in enumerate(steps)
    ]


ALTERED: dict[str, Change] = {
    "as it was": lambda steps: steps,
    "keys in another order": lambda steps: [dict(reversed(step.items())) for step in steps],
    "nulls added": lambda steps: [{**step, "extra": None} for step in steps],
    "results behind their calls": lambda steps: [
        *steps[:3],
        steps[4],
        steps[3],
        steps[5],
        *steps[6:],
    ],
    "number spelled otherwise": with_step(2, arguments={"a": 1}),
    "signature altered": with_step(1, signature="other"),
    "signature dropped": without(1),
    "user text altered": with_step(0, content="Goodbye"),
    "beginning cut off": lambda steps: steps[6:],
    "last answer dropped": without(6, 7),
    "last signature dropped": without(6),
    "answer rewritten": with_step(7, content="Rewritten"),
    "result altered": with_step(4, result="other"),
    "result dropped": without(5),
    "step invented": lambda steps: [*steps[:8], model_text("I said this, too"), *steps[8:]],
    "call reordered": lambda steps: [steps[0], steps[2], steps[1], *steps[3:]],
}


@pytest.mark.parametrize("name", ALTERED)
def test_altered_history_is_assigned_to_its_conversation(name: str) -> None:
    tape = Tape()
    for mark in ("", "x"):  # a second conversation that differs only in its ids and signatures
        calls, results, later = marked(CALLS, mark), marked(RESULTS, mark), marked(LATER, mark)
        tape.take(create([user("Hello")]), answer(calls))
        tape.take(create([user("Hello"), *calls, *results]), answer(later))
    assert tape.numbers == [0, 0, 1, 1]
    changed = ALTERED[name](copy.deepcopy(WHOLE))
    assert tape.take(create(changed), answer([model_text("Fine")])) == 0
    assert tape.take(create(ALTERED[name](marked(WHOLE, "x"))), answer([model_text("Fine")])) == 1


def marked(steps: list[JSON], mark: str) -> list[JSON]:
    return [
        {
            key: value + mark if key in ("signature", "id", "call_id") else value
            for key, value in step.items()
        }
        for step in steps
    ]


def test_longest_common_prefix_decides_without_ids_or_signatures() -> None:
    tape = Tape()
    tape.take(create([user("Hello")]), answer([model_text("Hi")]))
    tape.take(create([user("Hello"), model_text("Hi"), user("a")]), answer([model_text("A")]))
    assert (
        tape.take(
            create(
                [user("Hello"), model_text("Hi"), user("a"), model_text("A, altered"), user("b")]
            ),
            answer([model_text("B")]),
        )
        == 0
    )
    assert (
        tape.take(
            create([user("Hello"), model_text("Hi, altered"), user("a")]), answer([model_text("A")])
        )
        == 1
    )


# Any conversations, in any order


@dataclass
class Plan:
    """One conversation; ``turns`` lists for each turn the numbers of parallel calls per round."""

    first: str
    stateless: bool
    streamed: bool
    background: bool
    hop: bool
    after_calls: bool
    turns: list[list[int]]


@dataclass
class PlannedConversation:
    """Runs a planned conversation; ids and signatures of the service start with ``name``."""

    name: str
    plan: Plan
    answers: int = 0
    history: list[JSON] = field(default_factory=list)
    previous: str | None = None

    def exchanges(self) -> Iterator[tuple[Request, Response]]:
        for number, rounds in enumerate(self.plan.turns):
            yield from self._ask([user(self.plan.first if number == 0 else "go on")], rounds)

    def _ask(self, new: list[JSON], rounds: list[int]) -> Iterator[tuple[Request, Response]]:
        for calls in [*rounds, 0]:
            self.history += new
            steps: list[JSON] = [{"type": "thought", "signature": self._mark()}]
            steps += [
                {"type": "function_call", "id": self._mark(), "name": "f", "arguments": {"n": 1}}
                for _ in range(calls)
            ]
            steps += [] if calls else [model_text("Well.")]
            yield from self._exchange(new, steps)
            results = [
                {"type": "function_result", "call_id": step["id"], "result": "r"}
                for step in steps
                if "id" in step
            ]
            if self.plan.after_calls:
                for step in steps:
                    self.history.append(step)
                    self.history += [
                        result for result in results if result["call_id"] == step.get("id")
                    ]
                new = []
            else:
                self.history += steps
                new = results
            if not self.plan.stateless:
                new = results

    def _mark(self) -> str:
        self.answers += 1
        return f"{self.name}.{self.answers}"

    def _exchange(self, new: list[JSON], steps: list[JSON]) -> Iterator[tuple[Request, Response]]:
        plan = self.plan
        if plan.stateless:
            body: dict[str, JSON] = {"store": False, "input": copy.deepcopy(self.history)}
            if plan.hop:
                token = self._mark()
                yield (
                    Request("POST", PATH, body),
                    answer(steps[:1], status="requires_continuation", continuation_token=token),
                )
                yield (
                    Request("POST", PATH, {**body, "continuation_token": token}),
                    self._answer(steps[1:], None),
                )
            else:
                yield Request("POST", PATH, body), self._answer(steps, None)
            return
        body = {
            "input": new[0]["content"][0]["text"] if new[0]["type"] == "user_input" else new,
            "previous_interaction_id": self.previous,
        }
        self.previous = self._mark()
        if plan.background:
            yield (
                Request("POST", PATH, {**body, "background": True}),
                answer([], id=self.previous, status="in_progress"),
            )
            yield (
                Request("GET", f"{PATH}/{self.previous}"),
                answer([], id=self.previous, status="in_progress"),
            )
            yield (
                Request("GET", f"{PATH}/{self.previous}"),
                answer([*new, *steps], id=self.previous),
            )
        else:
            yield Request("POST", PATH, body), self._answer(steps, self.previous)

    def _answer(self, steps: list[JSON], name: str | None) -> Response:
        fields = {"id": name} if name else {}
        if not self.plan.streamed:
            return answer(steps, **fields)
        events = events_of(
            {"object": "interaction", "id": "", "status": "completed", "steps": steps, **fields}
        )
        return Response(200, {"content-type": "text/event-stream"}, "".join(sse_text(events)))


plans = st.builds(
    Plan,
    first=st.sampled_from(["Hello", "Hello", "Hi there"]),
    stateless=st.booleans(),
    streamed=st.booleans(),
    background=st.booleans(),
    hop=st.booleans(),
    after_calls=st.booleans(),
    turns=st.lists(st.lists(st.integers(1, 3), max_size=2), min_size=1, max_size=3),
)


@given(data=st.data(), chosen=st.lists(plans, min_size=1, max_size=6))
def test_any_interleaved_conversations_are_distinguished(
    data: st.DataObject, chosen: list[Plan]
) -> None:
    tape, owners = Tape(), []
    running = {
        number: PlannedConversation(f"c{number}", plan).exchanges()
        for number, plan in enumerate(chosen)
    }
    while running:
        number = data.draw(st.sampled_from(sorted(running)))
        exchange = next(running[number], None)
        if exchange is None:
            del running[number]
        else:
            owners.append(number)
            tape.take(*exchange)
    order = list(dict.fromkeys(owners))
    assert tape.conversations() == [
        [at for at, owner in enumerate(owners) if owner == number] for number in order
    ]
    assert tape.numbers == [order.index(owner) for owner in owners]


def test_cost_of_a_request_does_not_grow_with_the_number_of_conversations() -> None:
    def calls(count: int) -> float:
        """Return the function calls per request with ``count`` equal conversations at once."""
        tape = Tape()
        counted = 0

        def count_one(*_: object) -> None:
            nonlocal counted
            counted += 1

        sys.setprofile(count_one)
        try:
            for turn in range(3):
                for number in range(count):
                    history = [user("Hello")]
                    for earlier in range(turn):
                        history += [model_text("Hi"), user(f"{number if earlier else 'same'}")]
                    tape.take(create(history, store=False), answer([model_text("Hi")]))
        finally:
            sys.setprofile(None)
        assert tape.numbers == [*range(count)] * 3
        return counted / count

    assert calls(300) <= calls(10) * 1.1


def rewritten(step: dict[str, JSON]) -> dict[str, JSON] | None:
    return (
        {**step, "content": [{"type": "text", "text": "Rewritten"}]}
        if "content" in step
        else {**step, "arguments": {}, "result": "other"}
    )


def dropped(step: dict[str, JSON]) -> dict[str, JSON] | None:
    return None


def with_nulls(step: dict[str, JSON]) -> dict[str, JSON] | None:
    return {**dict(reversed(step.items())), "extra": None}


@given(data=st.data(), chosen=st.lists(plans, min_size=2, max_size=5))
def test_any_altered_history_is_assigned_to_its_conversation(
    data: st.DataObject, chosen: list[Plan]
) -> None:
    tape = Tape()
    conversations = [
        PlannedConversation(f"c{number}", replace(plan, stateless=True, hop=False))
        for number, plan in enumerate(chosen)
    ]
    for one in conversations:
        for exchange in one.exchanges():
            tape.take(*exchange)
    for number, one in enumerate(conversations):
        altered = []
        for step in one.history:  # thoughts are never altered
            change = data.draw(st.sampled_from([None, None, rewritten, dropped, with_nulls]))
            changed = step if change is None or step["type"] == "thought" else change(step)
            altered += [] if changed is None else [changed]
        assert (
            tape.take(create([*altered, user("more")], store=False), answer([model_text("Fine.")]))
            == number
        )


FIELDS = st.sampled_from(
    [
        "input",
        "steps",
        "type",
        "content",
        "id",
        "call_id",
        "signature",
        "previous_interaction_id",
        "continuation_token",
        "x",
    ]
)
ODD: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.sampled_from(["", "a", "user_input", "function_result", "thought"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=10,
)
PATHS = st.sampled_from(
    [PATH, f"{PATH}/a", f"{PATH}/a/cancel", "/", "", "/v1/agents", "/interactions/", "interactions"]
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["POST", "GET", "DELETE"]),
            PATHS,
            ODD,
            ODD,
            st.sampled_from([200, 404, 500]),
        ),
        max_size=6,
    )
)
def test_every_exchange_is_assigned_to_a_conversation(
    exchanges: list[tuple[str, str, JSON, JSON, int]],
) -> None:
    threads = Demultiplexer()
    for method, path, body, got, status in exchanges:
        request = Request(method, path, body)
        pending = threads.open(request)
        assert 0 <= pending.thread < len(threads)
        threads.complete(pending, Response(status, {}, dumps(got)))
