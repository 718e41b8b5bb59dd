import json
from pathlib import Path

from google import genai

client = genai.Client()

tool = json.loads(Path("weather.json").read_text())
degrees = {"London": "22", "Paris": "25"}

send, previous = "What are the temperatures in London and Paris?", None
while send:
    answer = client.interactions.create(
        model="gemini-3.5-flash", input=send, tools=[tool], previous_interaction_id=previous
    )
    print(answer.status)
    send, previous = [], answer.id
    for step in answer.steps:
        if step.type == "function_call":
            city = step.arguments["location"]
            result = {"location": city, "temperature": degrees[city], "unit": "celsius"}
            send.append(
                {"type": "function_result", "name": step.name, "call_id": step.id, "result": result}
            )
print(answer.output_text)
