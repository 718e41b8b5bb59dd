import os

import httpx
import pytest
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
    with httpx.Client(
        base_url=os.environ["GOOGLE_GEMINI_BASE_URL"],
        headers={"x-goog-api-key": os.environ["GEMINI_API_KEY"]},
    ) as client:

        def create(history):
            body = {
                "model": "gemini-3.5-flash",
                "store": False,
                "input": history,
                "tools": [TOOL],
            }
            response = client.post("/v1beta/interactions", json=body)
            response.raise_for_status()
            return response.json()["steps"]

        yield create
