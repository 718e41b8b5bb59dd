"""Agents that clients create (docs/protocol.md section 1.4). Sans-IO.

Such an agent extends an agent of the API with its own instruction, tools and environment. A create
request may name it as ``agent``; it supplies what the request itself leaves out. The API's own
agents are not listed, and cannot be read or deleted.
"""

from __future__ import annotations

import re

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, canonical, dumps
from evalkit._lib.text import did_you_mean
from evalkit.server.api.collection import ResourceCollection
from evalkit.server.calls import Call, Reply
from evalkit.server.requests.bodies import Fields, read_object
from evalkit.server.requests.create import AGENTS
from evalkit.server.requests.create_parts import check_environment, check_tools
from evalkit.server.requests.error_response import ErrorResponse, bad_request

_FIELDS: Fields = {
    "id": ("string",),
    "base_agent": ("string",),
    "base_environment": ("string", "object"),
    "system_instruction": ("string",),
    "tools": ("array",),
    "agent_config": ("object",),
    "description": ("string",),
}
_TOOLS = ("code_execution", "function", "google_search", "mcp_server", "url_context")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}\Z")


class Agents(ResourceCollection[dict[str, JSON]]):
    """``/agents``. ``bases`` are the names an agent may extend, besides the API's own."""

    def __init__(self, bases: tuple[str, ...] = ()) -> None:
        super().__init__("agent", "agents")
        self._bases = (*AGENTS, *bases)

    def create(self, call: Call) -> Reply:
        """``POST /agents``."""
        body = read_object(call.body, _FIELDS)
        base = body.get("base_agent") or AGENTS[0]
        if base not in self._bases:
            hint = did_you_mean(base, self._bases)
            raise bad_request(f"'base_agent': '{base}' is not an agent to extend{hint}.")
        tools = body.get("tools", [])
        check_tools(tools)
        for index, tool in enumerate(tools):
            if tool["type"] not in _TOOLS:
                raise bad_request(
                    f"'tools[{index}].type': {tool['type']} is not a tool of agents; "
                    f"valid: {', '.join(_TOOLS)}."
                )
        check_environment(body.get("base_environment"), "base_environment")
        agent_id = body.get("id") or f"agent-{sha256(canonical({'base_agent': base, **body}))[:12]}"
        if not _ID.match(agent_id):
            raise bad_request("'id' must be 1 to 128 letters, digits, '-', '_' and '.'.")
        if agent_id in self or agent_id in self._bases:
            # Not 409, which the SDKs retry.
            raise bad_request(f"'id': agent '{agent_id}' already exists.", code="already_exists")
        agent = self.add(agent_id, {**body, "id": agent_id, "base_agent": base})
        return Reply(200, dumps(agent))

    def delete(self, call: Call, resource_id: str) -> Reply:
        """``DELETE /agents/{id}``; the agent's interactions are not deleted."""
        if resource_id in self._bases:
            raise ErrorResponse(403, f"Agent '{resource_id}' cannot be deleted.")
        return super().delete(call, resource_id)
