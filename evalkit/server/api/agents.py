"""Agents that clients create (docs/protocol.md section 1.4). Sans-IO.

Such an agent extends an agent of the API with its own instruction, tools and environment. A create
request may name it as ``agent``; it supplies what the request itself leaves out. The API's own
agents are not listed, and cannot be read or deleted.
"""

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, canonical, dumps
from evalkit._lib.text import did_you_mean
from evalkit.server.api.collection import ResourceCollection
from evalkit.server.calls import Call, Reply
from evalkit.server.requests.bodies import OBJECT, STRING, closed_object, read_object, validator
from evalkit.server.requests.create import AGENTS, ENVIRONMENT, check_function_names, tools_schema
from evalkit.server.requests.error_response import ErrorResponse, bad_request

_TOOLS = ("code_execution", "function", "google_search", "mcp_server", "url_context")
_CREATE = validator(
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


class Agents(ResourceCollection[dict[str, JSON]]):
    """``/agents``. ``bases`` are the names an agent may extend, besides the API's own."""

    def __init__(self, bases: tuple[str, ...] = ()) -> None:
        super().__init__("agent", "agents")
        self._bases = (*AGENTS, *bases)

    def create(self, call: Call) -> Reply:
        """``POST /agents``."""
        body = read_object(call.body, _CREATE)
        base = body.get("base_agent") or AGENTS[0]
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
