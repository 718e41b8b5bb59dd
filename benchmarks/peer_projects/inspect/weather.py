import json
import re

from inspect_ai import Task, task
from inspect_ai.dataset import Sample, csv_dataset
from inspect_ai.model import ChatMessageTool, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import CORRECT, INCORRECT, Score, accuracy, scorer
from inspect_ai.solver import generate, use_tools, user_message
from inspect_ai.tool import tool
from jsonschema import Draft202012Validator

PLACE = Draft202012Validator(
    {
        "type": "object",
        "properties": {
            "location": {"type": "string"},
            "unit": {"enum": ["celsius", "fahrenheit"]},
        },
        "required": ["location", "unit"],
        "additionalProperties": False,
    }
)
TEMPERATURES = {}


@tool
def get_current_temperature():
    async def execute(location: str) -> str:
        """Gets the current temperature for a given location.

        Args:
            location: The city name
        """
        value = {"location": location, "temperature": TEMPERATURES[location], "unit": "celsius"}
        return json.dumps(value)

    return execute


def answer(messages, tools, tool_choice, config):
    """Answer as the recorded model does, without a request."""
    last = messages[-1]
    if isinstance(last, ChatMessageTool):
        value = json.loads(last.text)
        text = f"The temperature in {value['location']} is {value['temperature']} degrees."
        output = ModelOutput.from_content("mockllm", text)
    else:
        city = re.search(r"temperature in (\w+)", messages[0].text)[1]
        if "as JSON" in last.text:
            text = json.dumps({"location": city, "unit": "celsius"})
            output = ModelOutput.from_content("mockllm", text)
        else:
            output = ModelOutput.for_tool_call(
                "mockllm", "get_current_temperature", {"location": city}
            )
    output.usage = ModelUsage(input_tokens=20, output_tokens=10, total_tokens=30)
    return output


def verdict(passed):
    return Score(value=CORRECT if passed else INCORRECT)


@scorer(metrics=[accuracy()])
def roles():
    async def score(state, target):
        found = [message.role for message in state.messages]
        return verdict(found == ["user", "assistant", "tool", "assistant", "user", "assistant"])

    return score


@scorer(metrics=[accuracy()])
def calls():
    async def score(state, target):
        found = [
            (call.function, call.arguments)
            for message in state.messages
            if message.role == "assistant"
            for call in message.tool_calls or []
        ]
        expected = [("get_current_temperature", {"location": state.metadata["city"]})]
        return verdict(found == expected)

    return score


@scorer(metrics=[accuracy()])
def temperature():
    async def score(state, target):
        return verdict(target.text in state.messages[3].text)

    return score


@scorer(metrics=[accuracy()])
def json_schema():
    async def score(state, target):
        return verdict(PLACE.is_valid(json.loads(state.output.completion)))

    return score


def sample(record):
    TEMPERATURES[record["city"]] = record["temperature"]
    return Sample(
        id=record["id"],
        input=f"Case {record['id']}: what is the temperature in {record['city']}?",
        target=record["temperature"],
        metadata={"city": record["city"]},
    )


@task
def weather():
    return Task(
        dataset=csv_dataset("cases.csv", sample),
        solver=[
            use_tools(get_current_temperature()),
            generate(),
            user_message("Thank you. Repeat location and unit as JSON."),
            generate(),
        ],
        scorer=[roles(), calls(), temperature(), json_schema()],
        model=get_model("mockllm/model", custom_outputs=answer),
    )
