"""A service that answers at random: it is the same service on every day until somebody changes it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

RIGHT, WRONG = "It is open until six.", "I do not know."


@dataclass
class SampledService:
    """Answers questions, and is right at a rate; ``bodies`` are the requests that it got.

    A question about a *route* is answered by a call of ``find_route`` first, one for *JSON* by a
    document.
    """

    rate: float = 1.0
    model: str = "gemini-3.5-flash-06-2026"
    words: float = 1.0
    mode: str = "walk"
    extra: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    bodies: list[Any] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1beta/interactions", self.answer, methods=["POST"])])

    async def answer(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        if self.status != 200:
            return JSONResponse({"error": {"code": self.status, "message": "no"}}, self.status)
        steps = body["input"]
        last = steps[-1] if isinstance(steps, list) else {"content": steps}
        question = str(last.get("content"))
        is_right = self.chance.random() < self.rate
        tokens = max(1, round(self.words * self.chance.lognormvariate(4, 0.3)))
        if "route" in question and last.get("type") != "function_result":
            arguments = {"mode": self.mode if is_right else "swim", "to": "the harbor"}
            call: dict[str, Any] = {
                "type": "function_call",
                "id": f"c{len(self.bodies)}",
                "name": "find_route",
            }
            made, status = [{**call, "arguments": arguments}], "requires_action"
        else:
            text = RIGHT if is_right else WRONG
            if "JSON" in question:
                text = '{"open": true, "until": 6}' if is_right else '{"open": "yes"}'
            content = [{"type": "text", "text": f"{text}"}]
            made, status = [{"type": "model_output", "content": content}], "completed"
        usage = {"total_input_tokens": 9, "total_output_tokens": tokens, "total_tokens": 9 + tokens}
        return JSONResponse(
            {
                "id": f"v1_{len(self.bodies)}",
                "object": "interaction",
                "status": status,
                "model": self.model,
                "steps": made,
                "usage": usage,
                **self.extra,
            }
        )
