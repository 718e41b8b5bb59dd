"""Triggers: stored, started, their failures counted; without HTTP, and with the official SDK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.server.talking import message

BASE = "antigravity-preview-05-2026"
DAILY = {
    "schedule": "0 9 * * 1-5",
    "time_zone": "Europe/Berlin",
    "interaction": {"agent": BASE, "input": "Count my words"},
}
RULES = """
  - {when: {text: refuse}, error: {status: 403, message: Not today.}}
  - {when: {text: fail}, status: failed, errors: [{code: api_error, message: It broke.}]}
  - {when: {text: garble}, reply: a, faults: [{malformed: true}]}
"""


def trigger(client: Any, text: str = "Count my words", **fields: Any) -> Any:
    return client(
        "POST",
        "/v1beta/triggers",
        {**DAILY, "interaction": {"agent": BASE, "input": text}, **fields},
    )


def test_a_trigger_runs_when_started(client: Any) -> None:
    created = trigger(client, display_name="daily")
    assert (
        created["status"],
        created["display_name"],
        created["schedule"],
        created["consecutive_failure_count"],
    ) == (
        "active",
        "daily",
        "0 9 * * 1-5",
        0,
    )
    assert created["interaction"] == DAILY["interaction"]
    first, second = (
        client("POST", f"/v1beta/triggers/{created['id']}/executions") for _ in range(2)
    )
    assert (first["status"], first["trigger_id"], "error" in first) == (
        "completed",
        created["id"],
        False,
    )
    assert client.get(first["interaction_id"])["status"] == "completed"
    assert first["interaction_id"] != second["interaction_id"]
    page = client("GET", f"/v1beta/triggers/{created['id']}/executions", page_size="1")
    rest = client(
        "GET", f"/v1beta/triggers/{created['id']}/executions", page_token=page["next_page_token"]
    )
    assert [*page["trigger_executions"], *rest["trigger_executions"]] == [first, second]
    listed = client("GET", f"/v1beta/triggers/{created['id']}")
    assert listed["previous_interaction_id"] == second["interaction_id"]
    assert [item["id"] for item in client("GET", "/v1beta/triggers")["triggers"]] == [created["id"]]
    assert client("DELETE", f"/v1beta/triggers/{created['id']}") == {}
    for path in ("", "/executions"):
        assert (
            message(client("GET", f"/v1beta/triggers/{created['id']}{path}"))
            == f"Trigger '{created['id']}' was not found."
        )
    assert client.get(first["interaction_id"])["status"] == "completed"


def test_a_trigger_works_in_its_environment_and_in_the_background(client: Any) -> None:
    id_ = client("POST", "/v1beta/environments", {})["id"]
    interaction = {
        "agent": BASE,
        "input": "Count",
        "background": True,
        "stream": True,
        "store": False,
    }
    assert "'interaction': 'background' needs 'store'" not in str(
        trigger(client, interaction=interaction, environment_id=id_)
    )
    (created,) = client("GET", "/v1beta/triggers")["triggers"]
    run = client("POST", f"/v1beta/triggers/{created['id']}/executions")
    assert (run["status"], run["environment_id"]) == ("completed", id_)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("refuse", "Not today."), ("fail", "It broke."), ("garble", "the response was not readable")],
)
def test_consecutive_failures_are_counted(
    scripted: Callable[[str], Any], text: str, reason: str
) -> None:
    client = scripted(RULES)
    created = trigger(client, text, max_consecutive_failures=2)
    path = f"/v1beta/triggers/{created['id']}"
    for count, status in ((1, "active"), (2, "error")):
        run = client("POST", f"{path}/executions")
        assert (client.last.status, run["status"], run["error"]) == (200, "failed", reason)
        listed = client("GET", path)
        assert (listed["consecutive_failure_count"], listed["status"]) == (count, status)
    resumed = client("PATCH", path, {"status": "active", "display_name": "again"})
    assert (resumed["status"], resumed["consecutive_failure_count"], resumed["display_name"]) == (
        "active",
        0,
        "again",
    )
    assert "last_resume_time" in resumed
    assert "last_pause_time" in client("PATCH", path, {"status": "paused"})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"schedule": None}, "'schedule' is required."),
        ({"interaction": None}, "'interaction' is required."),
        (
            {"schedule": "daily"},
            "'schedule' must be the five fields of a cron schedule, got \"daily\".",
        ),
        (
            {"interaction": {"model": "gemini-3.5-flash", "input": "a"}},
            "'interaction': 'agent' is required.",
        ),
        ({"interaction": {"agent": BASE}}, "'interaction': 'input' is required."),
        (
            {"interaction": {"agent": "nobody", "input": "a"}},
            "'interaction': Agent 'nobody' was not found.",
        ),
        ({"cron": "x"}, "Unknown parameter 'cron'."),
    ],
)
def test_an_invalid_trigger_is_refused(client: Any, fields: dict[str, Any], expected: str) -> None:
    assert message(client("POST", "/v1beta/triggers", {**DAILY, **fields})) == expected


def test_an_invalid_status_is_refused(client: Any) -> None:
    created = trigger(client)
    refusal = message(client("PATCH", f"/v1beta/triggers/{created['id']}", {"status": "on"}))
    assert refusal == "Unsupported value for 'status': \"on\". Supported: active, paused, error."


@pytest.mark.filterwarnings("ignore:.*experimental.*:UserWarning")
def test_triggers_with_the_sdk(url: str) -> None:
    genai = pytest.importorskip("google.genai")
    with genai.Client(api_key="any", http_options={"base_url": url}) as sdk:
        created = sdk.triggers.create(**DAILY, display_name="daily")
        assert (created.status, created.interaction.agent) == ("active", BASE)
        run = sdk.triggers.run(created.id)
        assert run.status == "completed"
        assert sdk.interactions.get(run.interaction_id).status == "completed"
        assert [
            item.id for item in sdk.triggers.list_executions(created.id).trigger_executions
        ] == [run.id]
        assert sdk.triggers.update(created.id, status="paused").status == "paused"
        assert sdk.triggers.get(created.id).display_name == "daily"
        assert created.id in [item.id for item in sdk.triggers.list().triggers]
        sdk.triggers.delete(created.id)
