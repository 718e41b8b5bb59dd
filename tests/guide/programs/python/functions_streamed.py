import json
from pathlib import Path

from google import genai

client = genai.Client()

tool = json.loads(Path("weather.json").read_text())

send, previous = "What is the temperature in London?", None
while send:
    calls, arguments, text = {}, {}, ""
    for event in client.interactions.create(
        model="gemini-3.5-flash",
        input=send,
        tools=[tool],
        previous_interaction_id=previous,
        stream=True,
    ):
        if event.event_type == "interaction.created":
            previous = event.interaction.id
        elif event.event_type == "step.start" and event.step.type == "function_call":
            calls[event.index], arguments[event.index] = event.step, ""
        elif event.event_type == "step.delta" and event.delta.type == "arguments_delta":
            arguments[event.index] += event.delta.arguments
        elif event.event_type == "step.delta" and event.delta.type == "text":
            text += event.delta.text
        elif event.event_type == "interaction.completed":
            print(event.interaction.status)
    send = []
    for index, call in calls.items():
        result = {**json.loads(arguments[index]), "temperature": "22", "unit": "celsius"}
        send.append(
            {"type": "function_result", "name": call.name, "call_id": call.id, "result": result}
        )
print(text)
