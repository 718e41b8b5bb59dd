"""Requests as widely used clients send them: agent kits, other SDKs, the cloud platform, curl."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from evalkit.checks.media.files import examine
from evalkit.protocol.sse import read_events
from evalkit.protocol.step_reader import output_text
from evalkit.protocol.stream_assembler import assemble
from tests.server.talking import message

Steps = list[dict[str, Any]]
PIXEL = b"\x89PNG\r\n\x1a\n\xff\xfe\xfd\xfb\x3e"
BOOK = {
    "type": "function",
    "name": "book_table",
    "description": "Books a table in a restaurant.",
    "parameters": {
        "type": "object",
        "properties": {"guests": {"type": "integer"}, "town": {"type": "string"}},
        "required": ["guests", "town"],
    },
}
ASKED = "Book a table for 4 in Lisbon."


def user(*texts: str) -> dict[str, Any]:
    return {"type": "user_input", "content": [{"type": "text", "text": text} for text in texts]}


# --- results inside a message


def booked(call: dict[str, Any], value: Any = "table 7") -> dict[str, Any]:
    return {"type": "function_result", "call_id": call["id"], "name": call["name"], "result": value}


@pytest.mark.parametrize("store", [True, False])
def test_results_in_a_message_are_results(strict: Any, store: bool) -> None:
    first = strict.create([user(ASKED)], tools=[BOOK], store=store)
    call = first["steps"][1]
    results = {"type": "user_input", "content": [booked(call)]}
    history = [] if store else [user(ASKED), *first["steps"]]
    more = {"previous_interaction_id": first["id"]} if store else {}
    body = strict.create([*history, results], tools=[BOOK], store=store, **more)
    assert output_text(body["steps"]) == "book_table returned: table 7."


def test_parallel_results_in_one_message(scripted: Callable[..., Any]) -> None:
    client = scripted(
        """
  - when: {results: {name: book_table}}
    reply: "{{ results | map(attribute='text') | join(' and ') }}"
  - steps: [{call: book_table}, {call: book_table}]
""",
        strict=True,
    )
    steps = client.create(ASKED, tools=[BOOK])["steps"]
    history = [user(ASKED), *steps]
    results = [booked(steps[2], "second"), booked(steps[1], "first")]
    body = client.create([*history, {"type": "user_input", "content": results}], tools=[BOOK])
    assert output_text(body["steps"]) == "first and second"


def test_a_message_beside_its_results_is_a_message(strict: Any) -> None:
    first = strict.create([user(ASKED)], tools=[BOOK])
    results = {
        "type": "user_input",
        "content": [booked(first["steps"][1]), {"type": "text", "text": "Thank you!"}],
    }
    body = strict.create([results], previous_interaction_id=first["id"])
    assert "Thank you!" in output_text(body["steps"])


def test_the_position_of_a_result_in_a_message_is_named(client: Any) -> None:
    wrong = {"type": "function_result", "call_id": "c", "result": "x"}
    body = client.create(
        [{"type": "user_input", "content": [{"type": "text", "text": "a"}, wrong]}]
    )
    assert message(body).startswith(
        "input[0].content[1]: this function_result answers the call 'c'"
    )
    body = client.create([{"type": "user_input", "content": [{"type": "function_result"}]}])
    assert message(body) == "'input[0].content[0].result' is required."


# --- one message as several steps


def test_the_parts_of_a_message_may_be_steps(strict: Any) -> None:
    picture = {"type": "image", "data": "iVBORw0KGgo=", "mime_type": "image/png"}
    parts = [user("What is this?"), {"type": "user_input", "content": [picture]}, user("Quickly!")]
    text = output_text(strict.create(parts)["steps"])
    assert text.startswith("I received 1 image file. You said: “What is this? Quickly!”")


def test_messages_of_two_requests_stay_two(scripted: Callable[..., Any]) -> None:
    client = scripted('  - reply: "{{ turn }}: {{ text }}"')
    first = client.create([user("a"), user("b")], background=True)
    client("POST", f"/v1/interactions/{first['id']}/cancel")
    body = client.create([user("c"), user("d")], previous_interaction_id=first["id"])
    assert output_text(body["steps"]) == "2: c\nd"


def test_contents_among_steps_are_a_message(client: Any, strict: Any) -> None:
    mixed = [user("a"), {"type": "text", "text": "b"}]
    assert "a b" in output_text(client.create(mixed)["steps"])
    assert client.warnings == [
        "tolerated: 'input' mixes steps and contents; "
        "put the contents into a step of type user_input."
    ]
    assert message(strict.create(mixed)).startswith("'input' mixes steps and contents")


# --- turns of the model that the application wrote


@pytest.mark.parametrize(
    "turn",
    [
        [{"type": "model_output", "content": [{"type": "text", "text": "Oslo"}]}],
        [{"type": "model_output", "content": "Oslo"}],
        [
            {"type": "function_call", "id": "x", "name": "f", "arguments": {}},
            {"type": "function_result", "call_id": "x", "result": "Oslo"},
            {"type": "model_output", "content": "Oslo"},
        ],
        [
            {"type": "google_search_call", "id": "s", "arguments": {"queries": ["capital"]}},
            {"type": "google_search_result", "call_id": "s", "result": []},
        ],
    ],
    ids=["answer", "answer as text", "call", "search"],
)
@pytest.mark.parametrize("store", [True, False])
def test_examples_before_the_question(client: Any, turn: Steps, store: bool) -> None:
    asked = [user("Norway?"), *turn, user("Sweden?")]
    first = client.create(asked, store=store)
    assert "Sweden?" in output_text(first["steps"])
    more = {"previous_interaction_id": first["id"]} if store else {}
    history = [] if store else [*asked, *first["steps"]]
    body = client.create([*history, user("Denmark?")], store=store, **more)
    assert "Denmark?" in output_text(body["steps"])


def test_a_sentinel_marks_a_turn_that_no_model_wrote(strict: Any) -> None:
    thought = {"type": "thought", "signature": "skip_thought_signature_validator"}
    turn = {"type": "model_output", "content": [{"type": "text", "text": "Oslo"}]}
    asked = [user("Norway?"), thought, turn, user("Sweden?")]
    body = strict.create(asked, store=False)
    assert "Sweden?" in output_text(body["steps"])
    body = strict.create([*asked, *body["steps"], user("Denmark?")], store=False)
    assert "Denmark?" in output_text(body["steps"])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_window_over_the_history_is_accepted(client: Any, count: int) -> None:
    history = [user("one")]
    for word in ("two", "three"):
        history += [*client.create(history, store=False)["steps"], user(word)]
    body = client.create(history[-count:], store=False)
    assert "three" in output_text(body["steps"])


def test_a_rebuilt_answer_is_accepted(client: Any) -> None:
    asked = [user("Who wrote Faust?")]
    steps = client.create(asked, store=False, tools=[{"type": "google_search"}])["steps"]
    rebuilt = [
        steps[0],
        {"type": "model_output", "content": [{"type": "text", "text": output_text(steps)}]},
    ]
    body = client.create([*asked, *rebuilt, user("And Egmont?")], store=False)
    assert "Egmont" in output_text(body["steps"])
    assert len(client.warnings) == 1


# --- schemas of Google's Schema type

CAPITALS: dict[str, Any] = {
    "type": "OBJECT",
    "properties": {
        "town": {"type": "STRING", "min_length": "2", "nullable": True},
        "guests": {"type": "INTEGER", "format": "int32"},
        "type": {"type": "STRING", "enum": ["STRING", "OTHER"]},
        "dishes": {
            "type": "ARRAY",
            "minItems": "1",
            "items": {"any_of": [{"type": "STRING"}, {"type": "NUMBER"}]},
        },
    },
    "property_ordering": ["town", "guests"],
    "required": ["town", "guests", "type", "dishes"],
}


def test_types_in_capitals_declare_the_same_functions(strict: Any) -> None:
    body = strict.create(ASKED, tools=[{**BOOK, "parameters": CAPITALS}])
    assert body["steps"][1]["arguments"] == {
        "town": "Lisbon",
        "guests": 4,
        "type": "STRING",
        "dishes": ["dishes"],
    }


@pytest.mark.parametrize(
    "response_format",
    [
        {"type": "text", "mime_type": "application/json", "schema": CAPITALS},
        [{"type": "text", "schema": CAPITALS}],
        CAPITALS,
    ],
)
def test_types_in_capitals_describe_answers(strict: Any, response_format: Any) -> None:
    body = strict.create(ASKED, response_format=response_format)
    assert '"town": "Lisbon"' in output_text(body["steps"])


@pytest.mark.parametrize("schema", [{"type": "TEXT"}, {"type": "STRING", "min_length": "two"}])
def test_an_unknown_type_is_still_refused(client: Any, schema: Any) -> None:
    body = client.create("x", tools=[{**BOOK, "parameters": schema}])
    assert message(body).startswith("'tools[0].parameters': not a JSON Schema")


# --- base64


@pytest.mark.parametrize(
    "data",
    [
        base64.urlsafe_b64encode(PIXEL).decode(),
        base64.b64encode(PIXEL).decode().rstrip("="),
        base64.encodebytes(PIXEL * 9).decode(),
        " " + base64.b64encode(PIXEL).decode() + "\n",
    ],
    ids=["url-safe", "unpadded", "lines", "white space"],
)
def test_unusual_base64_is_accepted_with_a_warning(client: Any, strict: Any, data: str) -> None:
    block = {"type": "image", "data": data, "mime_type": "image/png"}
    assert "1 image file" in output_text(client.create([block])["steps"])
    (warning,) = client.warnings
    assert warning.startswith("tolerated: 'input[0].data' must be base64 in the standard alphabet")
    assert message(strict.create([block])) == warning.removeprefix("tolerated: ")


@pytest.mark.parametrize("data", ["a", "iVBO!", "iVBOR", "data:image/png;base64,iVBO"])
def test_what_is_not_base64_is_refused(client: Any, data: str) -> None:
    body = client.create([{"type": "image", "data": data, "mime_type": "image/png"}])
    assert message(body).startswith("'input[0].data' must be base64, got")


def test_files_of_an_environment_may_be_url_safe(client: Any) -> None:
    data = base64.urlsafe_b64encode(PIXEL).decode().rstrip("=")
    source = {"type": "inline", "target": "a.png", "content": data, "encoding": "base64"}
    environment = client("POST", "/v1/environments", {"sources": [source]})
    client("GET", f"/v1/environments/{environment['id']}/files/a.png")
    assert environment["size_bytes"] == str(len(PIXEL))


# --- names and paths


@pytest.mark.parametrize(
    "model",
    [
        "gemini-4-argon",
        "gemini-4-neon",
        "gemini-nano-banana-2.1",
        "gemini-robotics-er-2-preview",
        "gemma-4-31b-it",
        "lyria-3.5",
        "nano-banana-pro-preview",
        "models/gemini-3.8-flash",
        "publishers/google/models/gemini-3.8-flash",
        "projects/p/locations/l/publishers/google/models/gemini-3.8-flash",
    ],
)
def test_every_model_of_the_sdks_answers(strict: Any, model: str) -> None:
    body = strict.create("Hello", model=model)
    assert (body["status"], body["model"]) == ("completed", model.split("/")[-1])


def test_every_model_that_the_installed_sdk_lists_answers(strict: Any) -> None:
    pytest.importorskip("google.genai")
    from typing import get_args

    from google.genai._gaos.types.interactions.model import Model

    names = [name for part in get_args(Model) for name in get_args(part)]
    assert len(names) > 20
    assert [name for name in names if "error" in strict.create("Hello", model=name)] == []


@pytest.mark.parametrize("model", ["gpt-5", "gemini", "models/", "gemini-3/x", "agents/gemini-x"])
def test_other_models_are_unknown(client: Any, model: str) -> None:
    body = client.create("Hello", model=model)
    expected = "model_not_found" if model != "agents/gemini-x" else None
    assert expected is None or body["error"]["code"] == expected


@pytest.mark.parametrize("prefix", ["agents/", "projects/p/locations/l/agents/", ""])
def test_agents_may_be_named_with_their_collection(strict: Any, prefix: str) -> None:
    name = "antigravity-preview-09-2026"
    assert strict.create("Hello", agent=prefix + name)["agent"] == name
    created = strict("POST", "/v1/agents", {"id": "mine", "base_agent": prefix + name})
    assert created["base_agent"] == name
    assert strict.create("Hello", agent=f"{prefix}mine")["agent"] == "mine"


@pytest.mark.parametrize(
    "base",
    [
        "/v1beta1/projects/p/locations/us-central1",
        "/v1/projects/1234/locations/global",
        "/gateway/v1beta1/projects/p/locations/eu",
        "/projects/p/locations/eu",
        "/v1beta1",
    ],
)
def test_paths_of_the_cloud_platform(strict: Any, base: str) -> None:
    body = strict("POST", f"{base}/interactions", {"model": "gemini-3.5-flash", "input": "Hello"})
    assert strict("GET", f"{base}/interactions/{body['id']}")["status"] == "completed"
    assert strict("GET", f"{base}/agents") == {"agents": []}


# --- settings


def test_top_k_is_accepted_and_penalties_are_not(strict: Any) -> None:
    config = {"top_k": 40, "top_p": 0.9, "temperature": 0}
    assert strict.create("Hello", generation_config=config)["status"] == "completed"
    for name in ("presence_penalty", "frequency_penalty"):
        body = strict.create("Hello", generation_config={name: 0.5})
        assert body["error"]["status"] == "INVALID_ARGUMENT"


def test_a_deferred_run_waits_in_the_queue(strict: Any) -> None:
    body = strict.create("Hello", service_tier="deferred")
    assert message(body).startswith("'service_tier' deferred needs 'background'")
    started = strict.create("Hello", service_tier="deferred", background=True)
    assert (started["status"], started["service_tier"]) == ("queued", "deferred")
    assert "is still queued" in message(strict.create("b", previous_interaction_id=started["id"]))
    polls = [strict.get(started["id"])["status"] for _ in range(2)]
    assert polls == ["queued", "completed"]


def test_a_deferred_run_with_more_polls_starts(scripted: Callable[..., Any]) -> None:
    client = scripted("  - {reply: done, polls: 3}")
    started = client.create("Hello", service_tier="deferred", background=True)
    polls = [client.get(started["id"])["status"] for _ in range(4)]
    assert polls == ["queued", "in_progress", "in_progress", "completed"]


# --- answers that are media


@pytest.mark.parametrize(
    ("fields", "mime_type"),
    [
        ({"response_format": {"type": "video", "aspect_ratio": "16:9"}}, "video/mp4"),
        ({"response_format": [{"type": "video"}, {"type": "text"}]}, "video/mp4"),
        ({"response_modalities": ["video"]}, "video/mp4"),
        ({"model": "gemini-omni-1.2-flash"}, "video/mp4"),
        ({"model": "gemini-3.8-flash-tts"}, "audio/wav"),
        ({"model": "gemini-3.1-flash-tts-preview"}, "audio/wav"),
        ({"model": "lyria-3.5"}, "audio/wav"),
        ({"response_modalities": ["text", "audio"]}, "audio/wav"),
        ({"model": "nano-banana-pro-preview"}, "image/png"),
        ({"response_modalities": ["image"]}, "image/png"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_media_are_real_files(
    strict: Any, fields: dict[str, Any], mime_type: str, stream: bool
) -> None:
    body = strict.create("A lighthouse at night", stream=stream, **fields)
    if stream:
        events = read_events("".join(body)).events
        interaction: Any = assemble(events).interaction
    else:
        interaction = body
    (block,) = interaction["steps"][-1]["content"]
    assert (block["type"], block["mime_type"]) == (mime_type.split("/")[0], mime_type)
    found, problem, structure = examine(base64.b64decode(block["data"]), mime_type)
    assert (found, problem, structure.damage) == (mime_type, "", "")


def test_a_video_may_be_stored_elsewhere(strict: Any) -> None:
    video = {"type": "video", "delivery": "uri", "gcs_uri": "gs://bucket/video.mp4"}
    body = strict.create("A lighthouse at night", response_format=video)
    (block,) = body["steps"][-1]["content"]
    assert block == {"type": "video", "mime_type": "video/mp4", "uri": "gs://bucket/video.mp4"}
