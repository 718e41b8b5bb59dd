import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from pydantic_evals import Case, Dataset
from pydantic_evals.evaluators import Evaluator, EvaluatorContext
from weather import PLACE, SECOND, ask, calls, in_memory, output_text, question, types

VALIDATOR = Draft202012Validator(PLACE)


@dataclass
class Conversation:
    first: list[dict[str, Any]]
    second: list[dict[str, Any]]


def converse(case: dict[str, str]) -> Conversation:
    history = []
    first = ask(in_memory, history, question(case), case["temperature"])
    return Conversation(first, ask(in_memory, history, SECOND, case["temperature"]))


@dataclass
class Steps(Evaluator):
    def evaluate(self, context: EvaluatorContext) -> bool:
        return types(context.output.first) == [
            "function_call",
            "function_result",
            "model_output",
        ] and types(context.output.second) == ["model_output"]


@dataclass
class Calls(Evaluator):
    def evaluate(self, context: EvaluatorContext) -> bool:
        expected = [("get_current_temperature", {"location": context.inputs["city"]})]
        return calls(context.output.first) == expected


@dataclass
class Temperature(Evaluator):
    def evaluate(self, context: EvaluatorContext) -> bool:
        return context.inputs["temperature"] in output_text(context.output.first)


@dataclass
class JsonSchema(Evaluator):
    def evaluate(self, context: EvaluatorContext) -> bool:
        return VALIDATOR.is_valid(json.loads(output_text(context.output.second)))


with Path("cases.csv").open(encoding="utf-8") as file:
    dataset = Dataset(
        name="weather",
        cases=[Case(name=case["id"], inputs=case) for case in csv.DictReader(file)],
        evaluators=[Steps(), Calls(), Temperature(), JsonSchema()],
    )
report = dataset.evaluate_sync(converse, progress=False)
report.print(include_input=False, include_output=False)
passed = sum(
    all(assertion.value for assertion in case.assertions.values()) for case in report.cases
)
print(f"{passed} passed of {len(dataset.cases)}")
raise SystemExit(passed != len(dataset.cases))
