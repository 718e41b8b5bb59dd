"""Google's SDK for Python: conversations, and every method of five resources."""

import asyncio
import inspect
import warnings

from google import genai
from shared import AGENT, MODEL, PNG, TOOL, Recipe, get_current_temperature, report

warnings.simplefilter("ignore")  # agents, environments and triggers are experimental, it says
# Public names of the generated classes below the SDK's own.
NOT_METHODS = {"do_request"} | {
    f"{name}_{noun}"
    for noun in ("environment", "environments")
    for name in ("create", "delete", "get", "list")
}
client = genai.Client()
create = client.interactions.create


class Methods:
    """A resource that remembers which of its methods were called."""

    def __init__(self, resource):
        self._resource = resource
        self._uncalled = {
            name
            for name, _ in inspect.getmembers(type(resource), inspect.isfunction)
            if not name.startswith("_") and name not in NOT_METHODS
        }

    def __getattr__(self, name):
        self._uncalled.discard(name)
        return getattr(self._resource, name)

    def all_called(self) -> None:
        """Fail where the SDK has a method that this program does not call."""
        if self._uncalled:
            raise RuntimeError(f"not called: {type(self._resource).__name__}.{self._uncalled}")


def streamed(prompt, **settings) -> str:
    return "".join(
        event.delta.text
        for event in create(model=MODEL, input=prompt, stream=True, **settings)
        if event.event_type == "step.delta" and event.delta.type == "text"
    )


async def streamed_async(prompt) -> str:
    text = ""
    async for event in await client.aio.interactions.create(model=MODEL, input=prompt, stream=True):
        if event.event_type == "step.delta" and event.delta.type == "text":
            text += event.delta.text
    return text


def results(steps):
    return [
        {
            "type": "function_result",
            "name": step.name,
            "call_id": step.id,
            "result": get_current_temperature(**step.arguments),
        }
        for step in steps
        if step.type == "function_call"
    ]


def tools() -> str:
    first = create(model=MODEL, input="What is the temperature in London?", tools=[TOOL])
    return create(
        model=MODEL, input=results(first.steps), tools=[TOOL], previous_interaction_id=first.id
    ).output_text


def tools_stateless() -> str:
    question = {"type": "text", "text": "What is the temperature in Paris?"}
    history = [{"type": "user_input", "content": [question]}]
    steps = create(model=MODEL, input=history, tools=[TOOL], store=False).steps
    history += [step.model_dump() for step in steps] + results(steps)
    return create(model=MODEL, input=history, tools=[TOOL], store=False).output_text


def second_turn() -> str:
    first = create(model=MODEL, input="I have 2 dogs in my house.")
    return create(
        model=MODEL, input="How many paws are in my house?", previous_interaction_id=first.id
    ).output_text


def structured() -> str:
    schema = {"type": "text", "mime_type": "application/json"}
    return create(
        model=MODEL,
        input="Give me a recipe for banana bread",
        response_format={**schema, "schema": Recipe.model_json_schema()},
    ).output_text


def media() -> str:
    image = {"type": "image", "data": PNG, "mime_type": "image/png"}
    question = {"type": "text", "text": "What is in this picture?"}
    return create(model=MODEL, input=[question, image]).output_text


def search() -> str:
    answer = create(model=MODEL, input="Who won the euro 2024?", tools=[{"type": "google_search"}])
    return answer.output_text


def agent() -> str:
    first = create(
        agent=AGENT,
        input="Write the first 20 Fibonacci numbers to fibonacci.txt.",
        environment="remote",
    )
    create(
        agent=AGENT,
        input="Now count its lines.",
        environment=first.environment_id,
        previous_interaction_id=first.id,
    )
    return first.output_text


def background() -> str:
    prompt = "Describe the impact of artificial intelligence on modern healthcare."
    run = create(model=MODEL, input=prompt, background=True)
    while run.status == "in_progress":
        run = client.interactions.get(run.id)
    return run.output_text


def interactions() -> str:
    methods = Methods(client.interactions)
    run = methods.create(model=MODEL, input="Take your time", background=True)
    statuses = [run.status, methods.cancel(run.id).status, methods.get(run.id).status]
    methods.delete(run.id)
    answer = create(model=MODEL, input="Explain how AI works")
    events = list(methods.get(answer.id, stream=True))
    rest = list(methods.get(answer.id, stream=True, last_event_id=events[3].event_id))
    methods.all_called()
    return f"{statuses} {len(events) - len(rest)}"


def agents() -> str:
    methods = Methods(client.agents)
    made = methods.create(
        id="poet", base_agent=AGENT, system_instruction="Rhyme.", base_environment="remote"
    )
    poem = create(agent="poet", input="Write a line")
    listed = [agent.id for agent in methods.list().agents]
    facts = [made.id, listed, methods.get("poet").base_agent, poem.status]
    methods.delete("poet")
    methods.all_called()
    return str(facts)


def environments() -> str:
    methods, files = Methods(client.environments), Methods(client.environments.files)
    source = {"type": "inline", "target": "main.py", "content": "print(1)"}
    made = methods.create(sources=[source], network="disabled")
    worked = create(agent=AGENT, input="Go on", environment=made.id)
    up = files.upload(environment=made.id, path="data/numbers.txt", file=b"1 2 3")
    facts = [
        made.status,
        made.file_count,
        worked.environment_id == made.id,
        made.id in [one.id for one in methods.list().environments],
        methods.get(made.id).file_count,
        [file.path for file in up.files],
        sorted(file.path for file in files.list(made.id, "data").files),
        files.download(environment=made.id, path="data/numbers.txt").decode(),
    ]
    methods.delete(made.id)
    methods.all_called()
    files.all_called()
    return str(facts)


def webhooks() -> str:
    methods = Methods(client.webhooks)
    hook = methods.create(
        uri="https://example.com/hook", subscribed_events=["interaction.completed"], name="mine"
    )
    facts = [
        hook.state,
        methods.get(hook.id).name,
        methods.update(hook.id, name="yours").name,
        [one.name for one in methods.list().webhooks],
        bool(methods.rotate_signing_secret(hook.id).secret),
    ]
    try:
        methods.ping(hook.id)
    except Exception as error:  # noqa: BLE001 - a server on loopback pings nobody else
        facts.append(error.status_code)
    methods.delete(hook.id)
    methods.all_called()
    return str(facts)


def triggers() -> str:
    methods = Methods(client.triggers)
    made = methods.create(
        schedule="0 9 * * 1-5",
        time_zone="Europe/Berlin",
        display_name="daily",
        interaction={"agent": AGENT, "input": "Count my words"},
    )
    facts = [
        made.status,
        methods.get(made.id).display_name,
        methods.update(made.id, status="paused").status,
        made.id in [one.id for one in methods.list().triggers],
        methods.run(made.id).status,
        [one.status for one in methods.list_executions(made.id).trigger_executions],
    ]
    methods.delete(made.id)
    methods.all_called()
    return str(facts)


def auth_tokens() -> str:
    methods = Methods(client.interactions.auth_tokens)
    answer = create(model=MODEL, input="Explain how AI works")
    token = methods.create(answer.id)
    methods.delete(answer.id, token.auth_token)
    methods.all_called()
    return str(bool(token.auth_token))


report(
    {
        "plain": lambda: (
            create(model=MODEL, input="Explain how AI works in a few words").output_text
        ),
        "stream": lambda: streamed("Explain how AI works"),
        "stream asynchronous": lambda: asyncio.run(streamed_async("Explain how AI works")),
        "tools": tools,
        "tools stateless": tools_stateless,
        "second turn": second_turn,
        "structured": structured,
        "media": media,
        "search": search,
        "agent": agent,
        "background": background,
        "interactions": interactions,
        "auth tokens": auth_tokens,
        "agents": agents,
        "environments": environments,
        "webhooks": webhooks,
        "triggers": triggers,
    }
)
