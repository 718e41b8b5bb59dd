"""Agents that clients make (protocol section 1.4): an agent of the API's with instruction, tools and environment of its own. Sans-IO.

A made agent's id may stand as ``agent`` in a create; what the request does not say itself, the agent says. Agents of the API's own are
not listed: they are nobody's to read or delete.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, canonical, dumps
from evalkit._lib.text import did_you_mean
from evalkit.server.api.collection import ResourceCollection
from evalkit.server.calls import Call, Reply
from evalkit.server.requests.bodies import read_object
from evalkit.server.requests.create import AGENTS
from evalkit.server.requests.create_parts import check_environment, check_tools
from evalkit.server.requests.error_response import ErrorResponse, bad_request

_FIELDS: dict[str, tuple[str, ...]] = {
    "id": ("string",), "base_agent": ("string",), "base_environment": ("string", "object"), "system_instruction": ("string",),
    "tools": ("array",), "agent_config": ("object",), "description": ("string",),
}  # fmt: skip
_TOOLS = ("code_execution", "function", "google_search", "mcp_server", "url_context")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}\Z")


class Agents:
    """``/agents``. ``bases`` are the names an agent may extend, beside the API's own."""

    def __init__(self, bases: tuple[str, ...] = ()) -> None:
        self._bases = (*AGENTS, *bases)
        self._shelf: ResourceCollection[dict[str, JSON]] = ResourceCollection("agent")
        self.held: dict[str, Mapping[str, JSON]] = {}

    def create(self, call: Call) -> Reply:
        """``POST /agents``."""
        body = read_object(call.body, _FIELDS)
        base = body.setdefault("base_agent", AGENTS[0]) or AGENTS[0]
        if base not in self._bases:
            raise bad_request(
                f"'base_agent': '{base}' is no agent that can be extended{did_you_mean(base, self._bases)}."
            )
        tools = body.get("tools", [])
        check_tools(tools)
        for index, tool in enumerate(tools):
            if tool["type"] not in _TOOLS:
                raise bad_request(
                    f"'tools[{index}].type': an agent has no {tool['type']}; there are {', '.join(_TOOLS)}."
                )
        check_environment(body.get("base_environment"), "base_environment")
        id_ = body.get("id") or f"agent-{sha256(canonical(body))[:12]}"
        if not _ID.match(id_):
            raise bad_request(
                "'id' must be letters, digits, '-', '_' and '.', at most 128 of them."
            )
        if id_ in self._shelf or id_ in self._bases:
            raise bad_request(
                f"'id': there is an agent '{id_}' already.", code="already_exists"
            )  # 409 would be tried again by the SDKs
        self.held[id_] = self._shelf.add(
            id_,
            {
                "id": id_,
                **{name: value for name, value in body.items() if name != "id"},
                "base_agent": base,
            },
        )
        return Reply(200, dumps(self.held[id_]))

    def listed(self, call: Call) -> Reply:
        """``GET /agents``."""
        return Reply(200, dumps(self._shelf.page("agents", call.query, lambda agent: agent)))

    def get(self, call: Call, id: str) -> Reply:  # noqa: A002 - the path's own name
        """``GET /agents/{id}``."""
        return Reply(200, dumps(self._shelf.get(id)))

    def delete(self, call: Call, id: str) -> Reply:  # noqa: A002
        """``DELETE /agents/{id}``; what it answered before stays."""
        if id in self._bases:
            raise ErrorResponse(403, f"Agent '{id}' is not yours to delete.")
        self._shelf.delete(id)
        del self.held[id]
        return Reply(200, "{}")
