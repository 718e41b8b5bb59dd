"""litellm's Interactions endpoints: create, get, cancel and delete; streamed, stored and not."""

import litellm
from shared import AGENT, MODEL, PNG, TOOL, Recipe, get_current_temperature, report


def create(prompt, **settings):
    return litellm.interactions.create(model=f"gemini/{MODEL}", input=prompt, **settings)


def text_of(interaction) -> str:
    """Return the text of a response; litellm has no output_text."""
    outputs = [step for step in interaction.steps if step["type"] == "model_output"]
    return "".join(block["text"] for step in outputs for block in step["content"])


def streamed(prompt, **settings) -> str:
    text = ""
    for event in create(prompt, stream=True, **settings):
        if event.event_type == "error":
            raise RuntimeError(event)
        delta = getattr(event, "delta", None) or {}
        if delta.get("type") == "text":
            text += delta["text"]
    return text


def results(steps):
    return [
        {
            "type": "function_result",
            "name": step["name"],
            "call_id": step["id"],
            "result": get_current_temperature(**step["arguments"]),
        }
        for step in steps
        if step["type"] == "function_call"
    ]


def tools() -> str:
    first = create("What is the temperature in London?", tools=[TOOL])
    answer = create(results(first.steps), tools=[TOOL], previous_interaction_id=first.id)
    return text_of(answer)


def tools_stateless() -> str:
    question = {"type": "text", "text": "What is the temperature in Paris?"}
    history = [{"type": "user_input", "content": [question]}]
    history += create(history, tools=[TOOL], store=False).steps
    return text_of(create(history + results(history), tools=[TOOL], store=False))


def second_turn() -> str:
    first = create("I have 2 dogs in my house.")
    return text_of(create("How many paws are in my house?", previous_interaction_id=first.id))


def media() -> str:
    image = {"type": "image", "data": PNG, "mime_type": "image/png"}
    return text_of(create([{"type": "text", "text": "What is in this picture?"}, image]))


def agent() -> str:
    first = litellm.interactions.create(
        agent=AGENT,
        input="Write the first 20 Fibonacci numbers to fibonacci.txt.",
        environment="remote",
    )
    litellm.interactions.create(
        agent=AGENT,
        input="Now count its lines.",
        environment=first.environment_id,
        previous_interaction_id=first.id,
    )
    return text_of(first)


def background() -> str:
    prompt = "Describe the impact of artificial intelligence on modern healthcare."
    run = create(prompt, background=True)
    while run.status == "in_progress":
        run = litellm.interactions.get(interaction_id=run.id)
    return text_of(run)


def agents() -> str:
    api, provider = litellm.interactions.agents, {"custom_llm_provider": "gemini"}
    made = api.create(id="poet", base_agent=AGENT, system_instruction="Rhyme.", **provider)
    facts = [made.id, api.get(name="poet", **provider).base_agent]
    facts.append([one["id"] for one in api.list(**provider).agents])
    api.delete(name="poet", **provider)
    return str(facts)


def lifecycle() -> str:
    run = create("Take your time", background=True)
    facts = [run.status, litellm.interactions.cancel(interaction_id=run.id).status]
    facts.append(litellm.interactions.get(interaction_id=run.id).status)
    facts.append(litellm.interactions.delete(interaction_id=run.id).success)
    return " ".join(map(str, facts))


def structured() -> str:
    schema = {"type": "text", "mime_type": "application/json"}
    schema["schema"] = Recipe.model_json_schema()
    return text_of(create("Give me a recipe for banana bread", response_format=schema))


report(
    {
        "plain": lambda: text_of(create("Explain how AI works in a few words")),
        "stream": lambda: streamed("Explain how AI works"),
        "tools": tools,
        "tools stateless": tools_stateless,
        "second turn": second_turn,
        "structured": structured,
        "media": media,
        "search": lambda: text_of(
            create("Who won the euro 2024?", tools=[{"type": "google_search"}])
        ),
        "agent": agent,
        "background": background,
        "interactions": lifecycle,
        "agents": agents,
    }
)
