import csv
from pathlib import Path
from typing import Literal

import pytest
from deepeval import assert_test
from deepeval.metrics import JsonCorrectnessMetric, PatternMatchMetric, ToolCorrectnessMetric
from deepeval.models import DeepEvalBaseLLM
from deepeval.test_case import LLMTestCase, ToolCall, ToolCallParams
from pydantic import BaseModel
from weather import SECOND, ask, calls, in_memory, output_text, question, types

with Path("cases.csv").open(encoding="utf-8") as file:
    CASES = list(csv.DictReader(file))


class Place(BaseModel, extra="forbid"):
    location: str
    unit: Literal["celsius", "fahrenheit"]


class NoModel(DeepEvalBaseLLM):
    """Stand where the metrics require a model, although they do not ask it."""

    def load_model(self):
        return self

    def get_model_name(self):
        return "none"

    def generate(self, *arguments, **options):
        raise AssertionError("a deterministic metric asked a model")

    async def a_generate(self, *arguments, **options):
        raise AssertionError("a deterministic metric asked a model")


MODEL = NoModel()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_weather(case):
    history = []

    steps = ask(in_memory, history, question(case), case["temperature"])
    assert types(steps) == ["function_call", "function_result", "model_output"]
    assert_test(
        LLMTestCase(
            input=question(case),
            actual_output=output_text(steps),
            tools_called=[
                ToolCall(name=name, input_parameters=arguments) for name, arguments in calls(steps)
            ],
            expected_tools=[
                ToolCall(
                    name="get_current_temperature", input_parameters={"location": case["city"]}
                )
            ],
        ),
        [
            ToolCorrectnessMetric(
                model=MODEL,
                threshold=1,
                evaluation_params=[ToolCallParams.INPUT_PARAMETERS],
                should_exact_match=True,
                include_reason=False,
                async_mode=False,
            ),
            PatternMatchMetric(rf".*\b{case['temperature']}\b.*"),
        ],
        run_async=False,
    )

    steps = ask(in_memory, history, SECOND, case["temperature"])
    assert types(steps) == ["model_output"]
    assert_test(
        LLMTestCase(input=SECOND, actual_output=output_text(steps)),
        [JsonCorrectnessMetric(Place, model=MODEL, include_reason=False, async_mode=False)],
        run_async=False,
    )
