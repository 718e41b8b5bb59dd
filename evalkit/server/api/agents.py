"""Agents that clients create, and triggers that run agents. Sans-IO.

See docs/protocol.md section 1.4. A created agent extends an agent of the API with its own
instruction, tools and environment. A create request may name it as ``agent``; it supplies what the
request itself leaves out. The API's own agents are not listed, and cannot be read or deleted.

The schedule of a trigger is stored but never becomes due. A trigger runs when a client starts it
(``POST …/executions``), paused or not; a run is over when it is answered. After
``max_consecutive_failures`` failures in a row its status is ``error``, until it is set to
``active``.
"""

import math
from collections.abc import Mapping

from evalkit._lib import clock
from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, canonical, dumps
from evalkit._lib.text import did_you_mean
from evalkit.protocol.wire_facts import AGENTS
from evalkit.server.api.collection import ResourceCollection
from evalkit.server.api.interactions import Interactions
from evalkit.server.api.webhooks import check_page_targets
from evalkit.server.calls import Call, Reply
from evalkit.server.requests.bodies import (
    NUMBER,
    OBJECT,
    STRING,
    closed_object,
    read_object,
    validator,
)
from evalkit.server.requests.create import (
    ENVIRONMENT,
    check_function_names,
    short_name,
    tools_schema,
)
from evalkit.server.requests.error_response import ErrorResponse, bad_request

_TOOLS = ("code_execution", "function", "google_search", "mcp_server", "url_context")
_CREATE_AGENT = validator(
    closed_object(
        {
            "id": {
                "type": "string",
                "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}\Z",
                "description": "1 to 128 letters, digits, '-', '_' and '.'",
            },
            "base_agent": STRING,
            "base_environment": ENVIRONMENT,
            "system_instruction": STRING,
            "tools": tools_schema(_TOOLS),
            "agent_config": OBJECT,
            "description": STRING,
        }
    )
)
_CREATE_TRIGGER = validator(
    closed_object(
        {
            "display_name": STRING,
            "interaction": {"type": "object"},
            "schedule": {
                "type": "string",
                "pattern": r"^\s*[-0-9*/,A-Za-z?#]+(?: +[-0-9*/,A-Za-z?#]+){4}\s*\Z",
                "description": "the five fields of a cron schedule",
            },
            "time_zone": STRING,
            "environment_id": STRING,
            "execution_timeout_seconds": {"type": ["number", "string"]},
            "max_consecutive_failures": NUMBER,
        },
        "schedule",
        "time_zone",
        "interaction",
    )
)
_UPDATE_TRIGGER = validator(
    closed_object({"display_name": STRING, "status": {"enum": ["active", "paused", "error"]}})
)


class Agents(ResourceCollection[dict[str, JSON]]):
    """``/agents``. ``bases`` are the names an agent may extend, besides the API's own."""

    def __init__(self, bases: tuple[str, ...] = ()) -> None:
        super().__init__("agent", "agents")
        self._bases = (*AGENTS, *bases)

    def create(self, call: Call) -> Reply:
        """``POST /agents``."""
        body = read_object(call.body, _CREATE_AGENT)
        base = short_name(body.get("base_agent") or AGENTS[0])
        if base not in self._bases:
            hint = did_you_mean(base, self._bases)
            raise bad_request(f"'base_agent': '{base}' is not an agent to extend{hint}.")
        check_function_names(body)
        agent_id = body.get("id") or f"agent-{sha256(canonical({'base_agent': base, **body}))[:12]}"
        if agent_id in self.by_id or agent_id in self._bases:
            # Not 409, which the SDKs retry.
            raise bad_request(f"'id': agent '{agent_id}' already exists.", code="already_exists")
        agent = self.add(agent_id, {**body, "id": agent_id, "base_agent": base})
        return Reply(200, dumps(agent))

    def delete(self, call: Call, resource_id: str) -> Reply:
        """``DELETE /agents/{id}``; the agent's interactions are not deleted."""
        if resource_id in self._bases:
            raise ErrorResponse(403, f"Agent '{resource_id}' cannot be deleted.")
        return super().delete(call, resource_id)


class Triggers(ResourceCollection[dict[str, JSON]]):
    """``/triggers``. ``interactions`` answers the runs."""

    def __init__(self, interactions: Interactions) -> None:
        super().__init__("trigger", "triggers")
        self._interactions = interactions
        self._executions: dict[str, ResourceCollection[dict[str, JSON]]] = {}
        self._created = 0

    def create(self, call: Call) -> Reply:
        """``POST /triggers``."""
        body = read_object(call.body, _CREATE_TRIGGER)
        self._interactions.check_agent_request(_create_request(body), "interaction")
        check_page_targets(call, body["interaction"].get("webhook_config"))
        self._created += 1
        trigger_id, now = f"trigger_{self._created:08x}", clock.timestamp()
        trigger = {
            "id": trigger_id,
            **body,
            "status": "active",
            "consecutive_failure_count": 0,
            "create_time": now,
            "update_time": now,
        }
        self._executions[trigger_id] = ResourceCollection("execution", "trigger_executions")
        return Reply(200, dumps(self.add(trigger_id, trigger)))

    def update(self, call: Call, resource_id: str) -> Reply:
        """``PATCH /triggers/{id}``: change the name, pause or resume."""
        trigger = self.find(resource_id)
        body = read_object(call.body, _UPDATE_TRIGGER)
        now = clock.timestamp()
        if body.get("status") == "active":
            trigger |= {"last_resume_time": now, "consecutive_failure_count": 0}
        elif body.get("status") == "paused":
            trigger["last_pause_time"] = now
        trigger.update(body, update_time=now)
        return Reply(200, dumps(trigger))

    def delete(self, call: Call, resource_id: str) -> Reply:
        """``DELETE /triggers/{id}``; the interactions of its runs are not deleted."""
        reply = super().delete(call, resource_id)
        del self._executions[resource_id]
        return reply

    def run(self, call: Call, resource_id: str) -> Reply:
        """``POST /triggers/{id}/executions``: run it now.

        A run that is refused or fails is a failed execution, not an error response.
        """
        trigger = self.find(resource_id)
        executions = self._executions[resource_id]
        execution: dict[str, JSON] = {
            "id": f"{resource_id}_{len(executions.by_id) + 1}",
            "trigger_id": resource_id,
            "start_time": clock.timestamp(),
            "status": "completed",
        }
        try:
            interaction = self._interactions.run_to_end(_create_request(trigger))
        except ErrorResponse as error:
            execution |= {"status": "failed", "error": error.message}
        except (ValueError, KeyError, TypeError):
            # A fault that the script injects can make the response unreadable.
            execution |= {"status": "failed", "error": "the response was not readable"}
        else:
            trigger["previous_interaction_id"] = interaction["id"]
            execution["interaction_id"] = interaction["id"]
            if "environment_id" in interaction:
                execution["environment_id"] = interaction["environment_id"]
            if interaction["status"] == "failed":
                message = (interaction.get("error") or {}).get("message", "")
                execution |= {"status": "failed", "error": message}
        trigger["last_run_time"] = execution["end_time"] = clock.timestamp()
        has_failed = execution["status"] == "failed"
        failures = trigger["consecutive_failure_count"] + 1 if has_failed else 0
        trigger["consecutive_failure_count"] = failures
        if has_failed and failures >= trigger.get("max_consecutive_failures", math.inf):
            trigger["status"] = "error"
        return Reply(200, dumps(executions.add(execution["id"], execution)))

    def list_executions(self, call: Call, resource_id: str) -> Reply:
        """``GET /triggers/{id}/executions``."""
        self.find(resource_id)
        return self._executions[resource_id].list_page(call)


def _create_request(trigger: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the create request of a run: stored, not streamed, in the trigger's environment."""
    environment_id = trigger.get("environment_id")
    return {
        **trigger["interaction"],
        "stream": False,
        "store": True,
        **({"environment": environment_id} if environment_id is not None else {}),
    }
