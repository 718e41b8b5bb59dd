import json
from pathlib import Path

from google import genai

client = genai.Client()

tool = json.loads(Path("weather.json").read_text())
degrees = {"London": "22", "Paris": "25"}

history = [
    {
        "type": "user_input",
        "content": [{"type": "text", "text": "What are the temperatures in London and Paris?"}],
    }
]
called = True
while called:
    answer = client.interactions.create(
        model="gemini-3.5-flash", store=False, input=history, tools=[tool]
    )
    called = False
    for step in answer.steps:
        history.append(step.model_dump())
        if step.type == "function_call":
            called = True
            city = step.arguments["location"]
            text = json.dumps({"location": city, "temperature": degrees[city], "unit": "celsius"})
            history.append(
                {
                    "type": "function_result",
                    "name": step.name,
                    "call_id": step.id,
                    "result": [{"type": "text", "text": text}],
                }
            )
print(*(step["type"] for step in history))
print(answer.output_text)
