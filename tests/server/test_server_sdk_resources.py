"""Agents, environments, webhooks, continued answers and the API key with the official SDK."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from evalkit.server import Script, create_app, serving
from evalkit.server.script_backend import ScriptBackend

genai = pytest.importorskip("google.genai")

MODEL = "gemini-3.5-flash"
BASE = "antigravity-preview-05-2026"
EVENTS = ["interaction.completed", "interaction.failed"]
STORY = """script: story
rules:
  - {when: {text: story, continued: false}, reply: "Once ", status: requires_continuation, usage: {total_tokens: 5}}
  - {when: {text: story, continued: 1}, reply: "upon ", status: requires_continuation, usage: {total_tokens: 7}}
  - {when: {text: story, continued: 2}, reply: "a time.", usage: {total_tokens: 11}}
  - {when: {text: gateway}, error: {status: 429, message: Slow down., retry_after: 3, shape: gateway}}
"""

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*experimental.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:Interaction stopped before completion:UserWarning"),
]


def client_of(url: str, key: str = "any") -> Any:
    return genai.Client(
        api_key=key, http_options={"base_url": url, "retry_options": {"attempts": 1}}
    )


@pytest.fixture(scope="module")
def sdk(url: str) -> Iterator[Any]:
    client = client_of(url)
    yield client
    client.close()


@pytest.fixture(scope="module")
def story() -> Iterator[Any]:
    """A client of a server that answers in parts and accepts one key only."""
    with serving(
        create_app(ScriptBackend(Script.load(STORY, "story.yaml"), api_key="right"))
    ) as url:
        client = client_of(url, "right")
        yield client
        client.close()


def not_found() -> Any:
    from google.genai._gaos.lib.compat_errors import NotFoundError

    return pytest.raises(NotFoundError)


def test_agents(sdk: Any) -> None:
    tools = [{"type": "code_execution"}]
    created = sdk.agents.create(
        id="sentinel",
        base_agent=BASE,
        system_instruction="Be brief.",
        tools=tools,
        base_environment="remote",
    )
    assert (
        created.id,
        created.base_agent,
        created.system_instruction,
        created.base_environment,
    ) == (
        "sentinel",
        BASE,
        "Be brief.",
        "remote",
    )
    assert [tool.type for tool in created.tools] == ["code_execution"]
    sdk.agents.create(id="second", base_agent=BASE)
    first = sdk.agents.list(page_size=1)
    rest = sdk.agents.list(page_token=first.next_page_token)
    assert [agent.id for agent in (*first.agents, *rest.agents)] == ["sentinel", "second"]
    assert rest.next_page_token is None
    assert sdk.agents.get("sentinel") == created
    answer = sdk.interactions.create(agent="sentinel", input="Count my words")
    assert (answer.agent, answer.status) == ("sentinel", "completed")
    assert answer.environment_id in answer.output_text
    sdk.agents.delete("sentinel")
    with not_found():
        sdk.agents.get("sentinel")
    with not_found():
        sdk.interactions.create(agent="sentinel", input="Count my words")


def test_environments(sdk: Any) -> None:
    source = {"type": "inline", "target": "main.py", "content": "print(1)"}
    created = sdk.environments.create(sources=[source], network="disabled")
    assert (created.status, created.file_count, created.size_bytes, created.network) == (
        "active",
        1,
        8,
        "disabled",
    )
    copy = sdk.environments.create(from_environment=created.id)
    worked = sdk.interactions.create(agent=BASE, input="Do it", environment=created.id)
    assert worked.environment_id == created.id
    fresh = sdk.interactions.create(agent=BASE, input="Do it", environment="remote").environment_id
    listed = {environment.id for environment in sdk.environments.list().environments}
    assert {created.id, copy.id, fresh} <= listed
    assert sdk.environments.get(copy.id).sources[0].target == "main.py"
    sdk.environments.delete(created.id)
    with not_found():
        sdk.environments.get(created.id)


def test_files_of_an_environment(sdk: Any) -> None:
    created = sdk.environments.create(
        sources=[{"type": "inline", "target": "src/main.py", "content": "print(1)"}]
    )
    for path in ("src", "src/main.py"):
        (entry,) = sdk.environments.files.list(created.id, path).files
        assert (entry.path, entry.type, entry.size_bytes) == ("src/main.py", "file", 8)


def test_files_are_uploaded_and_downloaded(sdk: Any) -> None:
    created = sdk.environments.create()
    data = bytes(range(256)) * 40_000  # more than one piece
    up = sdk.environments.files.upload(environment=created.id, path="/data/all.bin", file=data)
    assert [(file.path, file.size_bytes) for file in up.files] == [("data/all.bin", len(data))]
    assert sdk.environments.files.download(environment=created.id, path="data/all.bin") == data
    assert sdk.environments.get(created.id).size_bytes == len(data)
    sdk.environments.files.upload(
        environment=created.id, path="data/all.bin", file=b"", overwrite=True
    )
    assert sdk.environments.files.download(environment=created.id, path="data/all.bin") == b""


@pytest.fixture
def received() -> Iterator[tuple[str, queue.Queue[Any]]]:
    """The address of a listener on loopback, and the headers and bodies it received."""
    got: queue.Queue[Any] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.put(
                (
                    dict(self.headers.items()),
                    self.rfile.read(int(self.headers["content-length"])).decode(),
                )
            )
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", got
    server.shutdown()
    server.server_close()


def test_webhooks(sdk: Any, received: tuple[str, queue.Queue[Any]]) -> None:
    address, got = received
    created = sdk.webhooks.create(uri=address, subscribed_events=EVENTS, name="mine")
    assert created.new_signing_secret.startswith("whsec_")
    assert (
        created.state,
        created.subscribed_events,
        created.signing_secrets[0].truncated_secret[-4:],
    ) == (
        "enabled",
        EVENTS,
        created.new_signing_secret[-4:],
    )
    assert sdk.webhooks.get(created.id).new_signing_secret is None
    assert [hook.id for hook in sdk.webhooks.list().webhooks] == [created.id]
    assert sdk.webhooks.update(created.id, name="yours").name == "yours"
    assert sdk.webhooks.rotate_signing_secret(created.id).secret not in (
        "",
        created.new_signing_secret,
    )
    sdk.webhooks.ping(created.id)
    assert '"type":"ping"' in got.get(timeout=10)[1]
    started = sdk.interactions.create(model=MODEL, input="Hello", background=True)
    headers, body = got.get(timeout=10)
    assert started.status == "in_progress"
    assert '"type":"interaction.completed"' in body
    assert started.id in body
    assert headers["webhook-signature"].count("v1,") == 2
    sdk.webhooks.delete(created.id)
    with not_found():
        sdk.webhooks.get(created.id)


def test_a_webhook_of_one_request(sdk: Any, received: tuple[str, queue.Queue[Any]]) -> None:
    address, got = received
    config = {"uris": [address], "user_metadata": {"job": "nightly"}}
    started = sdk.interactions.create(
        model=MODEL, input="Hello", background=True, webhook_config=config
    )
    _, body = got.get(timeout=10)
    assert started.id in body
    assert '"user_metadata":{"job":"nightly"}' in body
    assert sdk.interactions.get(started.id).status == "completed"


@pytest.mark.parametrize("store", [True, False], ids=["stored", "not stored"])
def test_an_answer_in_parts_is_assembled_by_the_sdk(story: Any, store: bool) -> None:
    whole = story.interactions.create(model=MODEL, input="story", store=store)
    assert (whole.status, whole.usage.total_tokens) == ("completed", 23)
    assert [step.type for step in whole.steps] == ["thought", "model_output"] * 3
    assert (
        "".join(step.content[0].text for step in whole.steps if step.type == "model_output")
        == "Once upon a time."
    )
    history = [
        {"type": "user_input", "content": [{"type": "text", "text": "story"}]},
        *(step.model_dump() for step in whole.steps),
    ]
    again = [*history, {"type": "user_input", "content": [{"type": "text", "text": "And?"}]}]
    assert story.interactions.create(model=MODEL, store=False, input=again).status == "completed"


def test_a_stream_in_parts_is_continued_by_the_sdk(story: Any) -> None:
    events = list(story.interactions.create(model=MODEL, input="story", stream=True))
    text = "".join(
        event.delta.text
        for event in events
        if event.event_type == "step.delta" and event.delta.type == "text"
    )
    assert text == "Once upon a time."


def test_automatic_continuation_can_be_disabled(story: Any) -> None:
    first = story.interactions.create(model=MODEL, input="story", automatic_continuation=False)
    assert (first.status, first.output_text) == ("requires_continuation", "Once ")


def test_an_error_in_the_gateways_shape(story: Any) -> None:
    from google.genai._gaos.lib.compat_errors import RateLimitError

    with pytest.raises(RateLimitError) as caught:
        story.interactions.create(model=MODEL, input="gateway")
    body: Any = caught.value.body
    assert body["error"] == {
        "code": 429,
        "message": "Slow down.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [],
    }
    assert caught.value.response.headers["retry-after"] == "3"


def test_another_key_than_the_servers_is_refused(story: Any) -> None:
    from google.genai._gaos.lib.compat_errors import AuthenticationError

    url = str(story._api_client._http_options.base_url)
    wrong = client_of(url, "wrong")
    with pytest.raises(AuthenticationError, match="not the one this server was started with"):
        wrong.interactions.create(model=MODEL, input="Hello")
    wrong.close()


def test_voices(sdk: Any) -> None:
    prebuilt = [voice.id for voice in sdk.voices.list().voices]
    assert "Puck" in prebuilt
    described = {"type": "prompted", "display_name": "Warm", "prompted": {"input": "A warm voice."}}
    created = sdk.voices.create(store=True, voice=described)
    assert (created.display_name, created.prompted.input) == ("Warm", "A warm voice.")
    assert sdk.voices.get(id=created.id).id == created.id
    assert created.id in [voice.id for voice in sdk.voices.list().voices]
    sdk.voices.delete(id=created.id)
    with not_found():
        sdk.voices.get(id=created.id)
    audio = {"data": "AAEC", "mime_type": "audio/wav"}
    replicated = {"type": "replicated", "replicated": dict.fromkeys(AUDIO, audio)}
    key = sdk.voices.create(voice=replicated)
    assert (key.id, key.key.startswith("voicekey_")) == (None, True)


AUDIO = ("consent_audio", "source_audio")


def test_credentials(sdk: Any) -> None:
    created = sdk.credentials.create(id="c1", type="bearer_token", token="not-returned")
    assert (created.status, created.type) == ("active", "bearer_token")
    sdk.credentials.create(
        id="c2", type="environment_variable", value="not-returned", injection_location="header"
    )
    listed = sdk.credentials.list(page_size=1)
    assert [one.id for one in listed.credentials] == ["c1"]
    assert sdk.credentials.list(page_token=listed.next_page_token).credentials[0].id == "c2"
    updated = sdk.credentials.update(id="c1", type="bearer_token", token="other")
    assert "other" not in updated.model_dump_json()
    sdk.credentials.delete(id="c1")
    with not_found():
        sdk.credentials.get(id="c1")


def test_decisions(sdk: Any) -> None:
    asked = "The parcel arrived broken and the customer wants a refund."
    decision = sdk.decisions.create(
        model="gemini-decision-1",
        input=asked,
        questions={
            "refund": {"type": "noul", "instructions": "Does the customer want a refund?"},
            "topic": {
                "type": "choice",
                "instructions": "What is it about?",
                "criteria": {"invoice": "an invoice", "parcel": "a broken parcel", "other": ""},
            },
            "anger": {
                "type": "score",
                "instructions": "How angry?",
                "criteria": ["calm", "the customer wants something", "shouting"],
            },
        },
    )
    refund, topic, anger = (decision.answers[name] for name in ("refund", "topic", "anger"))
    assert refund.noul > 0.5
    assert refund.confidence == refund.noul
    assert topic.choice == "parcel"
    assert topic.confidence == max(topic.probabilities.values())
    assert sum(topic.probabilities.values()) == pytest.approx(1, abs=0.001)
    assert anger.legend == {"0": "calm", "1": "the customer wants something", "2": "shouting"}
    assert anger.score == pytest.approx(
        sum(int(level) * value for level, value in anger.probabilities.items())
    )
    assert decision.usage.total_input_tokens > 10


@pytest.mark.parametrize("with_collection", [False, True])
def test_auth_tokens_are_keys_until_they_are_deleted(story: Any, with_collection: bool) -> None:
    url = str(story._api_client._http_options.base_url)
    interaction = story.interactions.create(model=MODEL, input="Hello")
    token = story.interactions.auth_tokens.create(interaction.id)
    assert token.auth_token.startswith("auth_tokens/")
    assert token.expires_at is not None
    name = token.auth_token if with_collection else token.auth_token.rpartition("/")[2]
    with client_of(url, name) as other:
        assert other.interactions.get(interaction.id).status == "completed"
        story.interactions.auth_tokens.delete(interaction.id, name)
        with pytest.raises(Exception, match="not the one this server was started with"):
            other.interactions.get(interaction.id)


def test_new_fields_of_environments(sdk: Any) -> None:
    created = sdk.environments.create(mode="self_hosted", custom_config={"zone": "a"})
    assert created.environment_key
    listed = sdk.environments.list(mode="self_hosted").environments
    assert created.id in [one.id for one in listed]
    (same,) = (one for one in listed if one.id == created.id)
    assert (same.custom_config, same.environment_key) == ({"zone": "a"}, None)
