"""What the SDK does beyond the guide; prints what it saw as one JSON object."""

import asyncio
import json
import os
import time
import warnings

from google import genai

MODEL = "gemini-3.5-flash"
URL = os.environ["GOOGLE_GEMINI_BASE_URL"]
client = genai.Client()
warnings.simplefilter("ignore")  # agents and environments say that they are experimental
seen = {}


def refused(ask):
    try:
        ask()
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        return [type(error).__name__, error.status_code, error.body["error"]["code"]]


wrong = genai.Client(api_key="wrong")
seen["bad request"] = refused(
    lambda: client.interactions.create(model=MODEL, input="Hi", tools=[{"type": "telepathy"}])
)
seen["wrong key"] = refused(lambda: wrong.interactions.create(model=MODEL, input="Hi"))
seen["unknown model"] = refused(lambda: client.interactions.create(model="gpt", input="Hi"))
seen["unknown interaction"] = refused(lambda: client.interactions.get("v1_unknown"))

started = time.monotonic()
seen["after a retry"] = client.interactions.create(
    model=MODEL, input="overload me once"
).output_text
seen["waited"] = time.monotonic() - started

events = list(client.interactions.create(model=MODEL, input="Answer with error 504", stream=True))
seen["error in a stream"] = [events[-1].event_type, events[-1].error.code]


async def streamed():
    text = ""
    async for event in await client.aio.interactions.create(
        model=MODEL, input="Explain how AI works", stream=True
    ):
        if event.event_type == "step.delta" and event.delta.type == "text":
            text += event.delta.text
    return text


seen["streamed"] = asyncio.run(streamed()).split("\n")[0]

made = client.interactions.create(
    model=MODEL, input=[{"type": "text", "text": "Hi"}], previous_interaction_id=None
)
kept = client.interactions.get(made.id, include_input=True)
seen["with input"] = [[step.type for step in kept.steps], kept.input[0].content[0].text]
seen["without input"] = client.interactions.get(made.id).input is None

for version in ("v1", "v1beta", "v1alpha", ""):
    with genai.Client(http_options={"api_version": version}) as other:
        seen[f"version {version}"] = other.interactions.create(model=MODEL, input="Hi").status
with genai.Client(http_options={"base_url": URL + "/some/prefix/"}) as other:
    seen["prefix"] = other.interactions.create(model=MODEL, input="Hi").status
with genai.Client(http_options={"headers": {"Api-Revision": "2026-05-20"}}) as other:
    seen["revision"] = other.interactions.create(model=MODEL, input="Hi").status

told = client.interactions.create(model=MODEL, input="Tell me a story in parts")
seen["continued"] = [
    told.status,
    told.output_text,
    told.usage.total_tokens,
    len(told.continuation_ids),
]

base = "antigravity-preview-05-2026"
agent = client.agents.create(
    id="poet", base_agent=base, system_instruction="Rhyme.", base_environment="remote"
)
poem = client.interactions.create(agent="poet", input="Write a line")
seen["agent"] = [
    agent.id,
    [one.id for one in client.agents.list().agents],
    client.agents.get("poet").base_agent,
    poem.agent,
    poem.status,
]
client.agents.delete("poet")
seen["agent deleted"] = refused(lambda: client.agents.get("poet"))

source = {"type": "inline", "target": "main.py", "content": "print(1)"}
place = client.environments.create(sources=[source], network="disabled")
worked = client.interactions.create(agent=base, input="Go on", environment=place.id)
seen["environment"] = [
    place.status,
    place.file_count,
    place.size_bytes,
    worked.environment_id == place.id,
]
seen["environments"] = sorted(one.id for one in client.environments.list().environments) == sorted(
    [place.id, poem.environment_id]
)
client.environments.delete(place.id)
seen["environment deleted"] = refused(lambda: client.environments.get(place.id))

hook = client.webhooks.create(
    uri="https://example.com/hook", subscribed_events=["interaction.completed"], name="mine"
)
seen["webhook"] = [
    hook.state,
    hook.new_signing_secret[:6],
    client.webhooks.update(hook.id, name="yours").name,
]
seen["rotated"] = client.webhooks.rotate_signing_secret(hook.id).secret != hook.new_signing_secret
seen["webhooks"] = [one.name for one in client.webhooks.list().webhooks]
client.webhooks.delete(hook.id)
seen["webhook deleted"] = refused(lambda: client.webhooks.get(hook.id))

print(json.dumps(seen))
