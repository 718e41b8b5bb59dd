import csv
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from weather import PLACE, SECOND, ask, calls, output_text, question, types

VALIDATOR = Draft202012Validator(PLACE)
with Path("cases.csv").open(encoding="utf-8") as file:
    CASES = list(csv.DictReader(file))


@pytest.mark.vcr
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_weather(model, case):
    history = []

    steps = ask(model, history, question(case), case["temperature"])
    assert types(steps) == ["function_call", "function_result", "model_output"]
    assert calls(steps) == [("get_current_temperature", {"location": case["city"]})]
    assert case["temperature"] in output_text(steps)

    steps = ask(model, history, SECOND, case["temperature"])
    assert types(steps) == ["model_output"]
    VALIDATOR.validate(json.loads(output_text(steps)))
