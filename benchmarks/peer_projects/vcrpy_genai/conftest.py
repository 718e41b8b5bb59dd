import os

import pytest
from google import genai
from weather import TOOL


@pytest.fixture(scope="session")
def vcr_config():
    return {
        "filter_headers": ["x-goog-api-key"],
        "match_on": ["method", "scheme", "host", "port", "path", "query", "body"],
    }


@pytest.fixture(scope="session")
def model():
    """Return a function that sends a history and returns the steps of the answer."""
    client = genai.Client(
        api_key=os.environ["GEMINI_API_KEY"],
        http_options={"base_url": os.environ["GOOGLE_GEMINI_BASE_URL"]},
    )

    def create(history):
        answer = client.interactions.create(
            model="gemini-3.5-flash", store=False, input=history, tools=[TOOL]
        )
        return [step.model_dump(exclude_none=True) for step in answer.steps]

    return create
