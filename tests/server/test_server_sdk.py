"""The guide's examples with the official SDK and another base URL, with the guide's results."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel, Field

from evalkit.server import create_app, load_script, serving
from evalkit.server.script_backend import ScriptBackend
from tests.weather import WEATHER

genai = pytest.importorskip("google.genai")

MODEL = "gemini-3.5-flash"
PNG = base64.b64encode(b"\x89PNG").decode()


@pytest.fixture(scope="module")
def sdk(url: str) -> Iterator[Any]:
    """A client that does not retry, so that errors are raised at once."""
    client = genai.Client(
        api_key="any", http_options={"base_url": url, "retry_options": {"attempts": 1}}
    )
    yield client
    client.close()


def temperature(location: str) -> dict[str, str]:
    return {"location": location, "temperature": "22", "unit": "celsius"}


def result_of(step: Any) -> dict[str, Any]:
    text = json.dumps(temperature(**step.arguments))
    return {
        "type": "function_result",
        "name": step.name,
        "call_id": step.id,
        "result": [{"type": "text", "text": text}],
    }


def test_first_call(sdk: Any) -> None:
    interaction = sdk.interactions.create(model=MODEL, input="Explain how AI works in a few words")
    assert (
        interaction.output_text
        == "AI learns patterns from data, then uses those patterns to make predictions or "
        "decisions on new data."
    )
    assert interaction.status == "completed"
    assert (
        interaction.usage.total_tokens
        > interaction.usage.total_input_tokens + interaction.usage.total_output_tokens
    )
    assert [step.type for step in interaction.steps] == ["thought", "model_output"]


def test_streaming(sdk: Any) -> None:
    events = list(sdk.interactions.create(model=MODEL, input="Explain how AI works", stream=True))
    kinds = [event.event_type for event in events]
    assert kinds[0] == "interaction.created"
    assert kinds[-1] == "interaction.completed"
    assert "UNKNOWN" not in kinds
    text = "".join(
        event.delta.text
        for event in events
        if event.event_type == "step.delta" and event.delta.type == "text"
    )
    assert text.startswith("AI works by learning from examples")
    assert events[-1].interaction.status == "completed"
    assert sdk.interactions.get(events[0].interaction.id).output_text == text


def test_stateful_conversation(sdk: Any) -> None:
    first = sdk.interactions.create(model=MODEL, input="I have 2 dogs in my house.")
    second = sdk.interactions.create(
        model=MODEL, input="How many paws are in my house?", previous_interaction_id=first.id
    )
    assert second.output_text == "There are 8 paws in your house. 2 dogs × 4 paws = 8 paws."


def dumped(step: Any) -> Any:
    return step.model_dump()


def dumped_without_nulls(step: Any) -> Any:
    return step.model_dump(exclude_none=True)


def itself(step: Any) -> Any:
    return step


@pytest.mark.parametrize("sent", [dumped, dumped_without_nulls, itself])
def test_stateless_conversation(sdk: Any, sent: Callable[[Any], Any]) -> None:
    history: list[Any] = [
        {"type": "user_input", "content": [{"type": "text", "text": "I have 2 dogs in my house."}]}
    ]
    first = sdk.interactions.create(model=MODEL, store=False, input=history)
    history += [sent(step) for step in first.steps]
    history.append(
        {
            "type": "user_input",
            "content": [{"type": "text", "text": "How many paws are in my house?"}],
        }
    )
    second = sdk.interactions.create(model=MODEL, store=False, input=history)
    assert (
        second.steps[-1].content[0].text
        == "There are 8 paws in your house. 2 dogs × 4 paws = 8 paws."
    )


def test_a_strict_server_refuses_an_altered_history(sdk: Any) -> None:
    from google.genai._gaos.lib.compat_errors import BadRequestError

    history: list[Any] = [
        {"type": "user_input", "content": [{"type": "text", "text": "I have 2 dogs in my house."}]}
    ]
    history += [
        step.model_dump()
        for step in sdk.interactions.create(model=MODEL, store=False, input=history).steps
    ]
    history[2]["content"][0]["text"] = "I have never heard of dogs."
    history.append(
        {
            "type": "user_input",
            "content": [{"type": "text", "text": "How many paws are in my house?"}],
        }
    )
    backend = ScriptBackend(load_script(), strict=True)
    with (
        serving(create_app(backend)) as url,
        genai.Client(api_key="any", http_options={"base_url": url}) as client,
        pytest.raises(
            BadRequestError, match=r"input\[2\]: this model_output is not as this server sent it"
        ),
    ):
        client.interactions.create(model=MODEL, store=False, input=history)


def test_image_and_audio(sdk: Any) -> None:
    text = {"type": "text", "text": "Compare this local image and this remote audio file."}
    image = {"type": "image", "data": PNG, "mime_type": "image/jpeg"}
    audio = {
        "type": "audio",
        "uri": "https://storage.googleapis.com/generativeai-downloads/data/sample.mp3",
        "mime_type": "audio/mp3",
    }
    both = sdk.interactions.create(model=MODEL, input=[text, image, audio])
    assert both.output_text.startswith(
        "The local image displays a pipe organ while the remote audio file is a sample MP3 clip"
    )
    assert (
        "I received image." in sdk.interactions.create(model=MODEL, input=[text, image]).output_text
    )
    assert "I received neither." in sdk.interactions.create(model=MODEL, input=[text]).output_text


def test_image_generation(sdk: Any) -> None:
    interaction = sdk.interactions.create(
        model="gemini-3.1-flash-image",
        input="Generate an image of a futuristic city skyline at sunset",
    )
    assert interaction.output_image.mime_type == "image/png"
    assert base64.b64decode(interaction.output_image.data).startswith(b"\x89PNG\r\n\x1a\n")


class Recipe(BaseModel):
    recipe_name: str = Field(description="Name of the recipe.")
    ingredients: list[str] = Field(description="List of ingredients.")
    prep_time_minutes: int | None = Field(description="Prep time in minutes.")


class Menu(Recipe):
    servings: int = Field(ge=4, le=6)


@pytest.mark.parametrize("model", [Recipe, Menu])
def test_structured_output(sdk: Any, model: type[Recipe]) -> None:
    interaction = sdk.interactions.create(
        model=MODEL,
        input="Give me a recipe for banana bread",
        response_format={
            "type": "text",
            "mime_type": "application/json",
            "schema": model.model_json_schema(),
        },
    )
    recipe = model.model_validate_json(interaction.output_text)
    assert (recipe.recipe_name, len(recipe.ingredients), recipe.prep_time_minutes) == (
        "Classic Banana Bread",
        8,
        15,
    )
    assert recipe.ingredients[0] == "3 ripe bananas, mashed"


def test_google_search(sdk: Any) -> None:
    interaction = sdk.interactions.create(
        model=MODEL, input="Who won the euro 2024?", tools=[{"type": "google_search"}]
    )
    assert interaction.output_text == "Spain won Euro 2024, defeating England 2-1 in the final."
    assert [step.type for step in interaction.steps] == [
        "thought",
        "google_search_call",
        "google_search_result",
        "model_output",
    ]
    (citation,) = interaction.steps[-1].content[0].annotations
    assert (citation.title, citation.url) == ("uefa.com", "https://www.uefa.com/euro2024")
    assert (citation.start_index, citation.end_index) == (0, len(interaction.output_text))
    unsearched = sdk.interactions.create(model=MODEL, input="Who won the euro 2024?")
    assert [step.type for step in unsearched.steps] == ["thought", "model_output"]


@pytest.mark.parametrize(
    ("question", "answer", "calls"),
    [
        ("What is the temperature in London?", "The temperature in London is currently 22°C.", 1),
        (
            "What are the temperatures in London and San Francisco?",
            "The temperature in London is currently 22°C. The temperature in San Francisco is "
            "currently 22°C.",
            2,
        ),
    ],
)
def test_function_calling_stateful(sdk: Any, question: str, answer: str, calls: int) -> None:
    user_input: Any = question
    previous_id = None
    created = 0
    for _ in range(5):
        interaction = sdk.interactions.create(
            model=MODEL, input=user_input, tools=[WEATHER], previous_interaction_id=previous_id
        )
        results = [result_of(step) for step in interaction.steps if step.type == "function_call"]
        if not results:
            break
        assert interaction.status == "requires_action"
        created += len(results)
        user_input, previous_id = results, interaction.id
    assert (interaction.output_text, interaction.status, created) == (answer, "completed", calls)


@pytest.mark.parametrize(
    "question",
    [
        "What is the temperature in London?",
        "What are the temperatures in London and San Francisco?",
    ],
)
def test_function_calling_stateless(sdk: Any, question: str) -> None:
    history: list[Any] = [{"type": "user_input", "content": [{"type": "text", "text": question}]}]
    for _ in range(5):
        interaction = sdk.interactions.create(
            model=MODEL, store=False, input=history, tools=[WEATHER]
        )
        results = []
        for step in interaction.steps:
            history.append(step.model_dump())
            if step.type == "function_call":
                results.append(result_of(step))
                history.append(results[-1])
        if not results:
            break
    assert interaction.output_text.startswith("The temperature in London is currently 22°C.")
    assert ("San Francisco is currently 22°C" in interaction.output_text) is (
        "San Francisco" in question
    )


def test_managed_agent(sdk: Any) -> None:
    interaction = sdk.interactions.create(
        agent="antigravity-preview-05-2026",
        input="Write a Python script that generates the first 20 Fibonacci numbers and saves them "
        "to fibonacci.txt."
        " Then read the file and print its contents.",
        environment="remote",
    )
    assert interaction.environment_id
    assert "0, 1, 1, 2, 3, 5, 8" in interaction.output_text
    assert interaction.output_text.endswith("4181")
    calls = [step for step in interaction.steps if step.type == "code_execution_call"]
    results = [step for step in interaction.steps if step.type == "code_execution_result"]
    assert [call.id for call in calls] == [result.call_id for result in results]
    printed: dict[str, Any] = {}
    code = calls[0].arguments.code.split("with open")[0]
    exec(code, printed)
    assert results[1].result.split("\n") == [str(number) for number in printed["numbers"]]


@pytest.mark.parametrize(
    ("task", "ends"),
    [
        (
            "Write a detailed analysis of the impact of artificial intelligence on modern "
            "healthcare.",
            "completed",
        ),
        ("Fail this task.", "failed"),
    ],
)
def test_background(sdk: Any, task: str, ends: str) -> None:
    started = sdk.interactions.create(model=MODEL, input=task, background=True)
    assert (started.status, started.steps) == ("in_progress", None)
    for _ in range(5):
        result = sdk.interactions.get(started.id)
        if result.status in ("completed", "failed"):
            break
    assert result.status == ends
    if ends == "completed":
        assert result.output_text.startswith(
            "Artificial intelligence has transformed modern healthcare in several"
        )
    else:
        assert result.error["code"] == result.errors[0].code == "api_error"


def test_cancel_and_delete(sdk: Any) -> None:
    from google.genai._gaos.lib.compat_errors import NotFoundError

    started = sdk.interactions.create(model=MODEL, input="Hello", background=True)
    assert sdk.interactions.cancel(started.id).status == "cancelled"
    sdk.interactions.delete(started.id)
    with pytest.raises(NotFoundError):
        sdk.interactions.get(started.id)


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
def test_every_version(url: str, version: str) -> None:
    with genai.Client(
        api_key="any", http_options={"base_url": url, "api_version": version}
    ) as client:
        assert client.interactions.create(model=MODEL, input="Hello").status == "completed"


def test_resumed_stream(sdk: Any) -> None:
    events = list(sdk.interactions.create(model=MODEL, input="Explain how AI works", stream=True))
    id_ = events[0].interaction.id
    rest = list(sdk.interactions.get(id_, stream=True, last_event_id=events[9].event_id))
    assert rest == events[10:]
