"""A tape survives a new major version of an SDK, which sends to another version of the API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from evalkit.errors import CassetteMiss
from evalkit.server import serving
from tests.tape.tape_support import DOGS, MakeTape, create

KEY = {"x-goog-api-key": "a-key-of-the-tests"}


def converse(base: str) -> list[Any]:
    """Run an application: two turns, a poll, an environment with a file."""
    with httpx.Client(headers=KEY) as client:
        first = client.post(f"{base}/interactions", json=create(DOGS)).json()
        more = create("And cats?", previous_interaction_id=first["id"], stream=True)
        stream = client.post(f"{base}/interactions", json=more).text
        again = client.get(f"{base}/interactions/{first['id']}").json()
        agents = client.get(f"{base}/agents?page_size=5").json()
    return [first, stream, again, agents]


@pytest.mark.parametrize("versions", [("/v1beta", "/v1"), ("/v1", "/v1beta"), ("/v1alpha", "")])
def test_a_tape_is_replayed_at_another_version_and_host(
    make_tape: MakeTape, versions: tuple[str, str]
) -> None:
    recorded, replayed = versions
    with serving() as url, make_tape(mode="all"):
        answers = converse(url + recorded)
    with make_tape():
        assert converse(f"https://another.example{replayed}") == answers


def test_versions_of_other_services_differ(make_tape: MakeTape) -> None:
    with serving() as url, make_tape(mode="all"):
        httpx.get(f"{url}/v1/users")
    with pytest.raises(CassetteMiss), make_tape():
        httpx.get("https://another.example/v2/users")
