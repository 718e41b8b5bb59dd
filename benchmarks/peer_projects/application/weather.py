"""The application that the Python tools test: a conversation with one tool, without a service."""

import json
import re

TOOL = {
    "type": "function",
    "name": "get_current_temperature",
    "description": "Gets the current temperature for a given location.",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "The city name"}},
        "required": ["location"],
    },
}
PLACE = {
    "type": "object",
    "properties": {"location": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["location", "unit"],
    "additionalProperties": False,
}
SECOND = "Thank you. Repeat location and unit as JSON."


def question(case):
    return f"Case {case['id']}: what is the temperature in {case['city']}?"


def ask(model, history, text, temperature):
    """Send a message and answer calls until there are none; return the new steps."""
    history.append({"type": "user_input", "content": [{"type": "text", "text": text}]})
    first = len(history)
    while True:
        steps = model(history)
        history += steps
        calls = [step for step in steps if step["type"] == "function_call"]
        if not calls:
            return history[first:]
        for call in calls:
            result = {**call["arguments"], "temperature": temperature, "unit": "celsius"}
            history.append(
                {
                    "type": "function_result",
                    "name": call["name"],
                    "call_id": call["id"],
                    "result": [{"type": "text", "text": json.dumps(result)}],
                }
            )


def types(steps):
    return [step["type"] for step in steps if step["type"] != "thought"]


def calls(steps):
    return [(step["name"], step["arguments"]) for step in steps if step["type"] == "function_call"]


def output_text(steps):
    outputs = [step for step in steps if step["type"] == "model_output"]
    return "".join(content["text"] for step in outputs for content in step["content"])


def in_memory(history):
    """Answer as the recorded model does, without a request."""
    last = history[-1]
    if last["type"] == "function_result":
        value = json.loads(last["result"][0]["text"])
        return [
            output(f"The temperature in {value['location']} is {value['temperature']} degrees.")
        ]
    city = re.search(r"temperature in (\w+)", history[0]["content"][0]["text"])[1]
    if "as JSON" in last["content"][0]["text"]:
        return [output(json.dumps({"location": city, "unit": "celsius"}))]
    return [
        {
            "type": "function_call",
            "id": "call-1",
            "name": TOOL["name"],
            "arguments": {"location": city},
        }
    ]


def output(text):
    return {"type": "model_output", "content": [{"type": "text", "text": text}]}
