"""The local API without HTTP: a call comes in as values, a reply goes out as values (protocol section 1).

Sans-IO: it opens nothing and sleeps never (a reply tells its delays, ``deliveries`` what webhooks are to be told), so the same service
answers over a socket, in a test, or in a loop. The routes are a table; every refusal is an ErrorResponse and leaves as an error body. One Service
is one server's memory; it is not for several threads at once.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable

from evalkit.protocol.wire_facts import API_KEY_HEADER, API_KEY_PARAMETER, API_VERSIONS
from evalkit.server.api.agents import Agents
from evalkit.server.api.deliveries import WebhookDelivery
from evalkit.server.api.environments import Environments
from evalkit.server.api.interactions import Interactions
from evalkit.server.api.triggers import Triggers
from evalkit.server.api.uploads import Uploads
from evalkit.server.api.webhooks import Webhooks
from evalkit.server.calls import Call, Reply, error_reply
from evalkit.server.fault_injection.injector import FaultSelector
from evalkit.server.history_integrity import DEFAULT_KEY
from evalkit.server.requests.error_response import ErrorResponse, bad_request, raise_violation
from evalkit.server.scripting.script import Script


class Service:
    """Answers calls by a script.

    ``key`` signs thoughts and webhooks. ``api_key`` is the only key that will do; without one any will. A ``lenient`` service lets breaches
    of the protocol pass that it would refuse, and hands each as a line to ``warn``. ``seed`` decides which requests the faults of rules befall.
    """

    def __init__(
        self,
        script: Script,
        *,
        key: bytes = DEFAULT_KEY,
        api_key: str | None = None,
        lenient: bool = False,
        warn: Callable[[str], object] = lambda line: None,
        seed: int = 0,
    ) -> None:
        self._api_key = api_key
        self._warn = warn
        self.agents = Agents(script.known.agents)
        self.environments = Environments()
        self.uploads = Uploads(key, self.environments)
        self.webhooks = Webhooks(key)
        self.interactions = Interactions(
            script,
            key,
            self.agents,
            self.environments,
            self.webhooks,
            self._let_pass if lenient else raise_violation,
            FaultSelector(seed),
        )
        self.triggers = Triggers(self.interactions)

    def handle(self, call: Call) -> Reply:
        """Answer one call; never raises for anything a client sends."""
        try:
            methods, names = _route(call.path)
            operation = methods.get(call.method)
            if operation is None:
                raise ErrorResponse(
                    405,
                    f"{call.method} is not allowed here; allowed: {', '.join(methods)}.",
                    headers={"allow": ", ".join(methods)},
                )
            self._check_key(call)
            return operation(self)(call, **names)
        except ErrorResponse as fault:
            return error_reply(fault)
        except RecursionError:
            return error_reply(bad_request("The body is nested too deep."))

    def deliveries(self) -> list[WebhookDelivery]:
        """Return what webhooks are to be told since the last time this was asked."""
        made, self.webhooks.outbox = self.webhooks.outbox, []
        return made

    def _let_pass(self, fault: ErrorResponse) -> None:
        self._warn(f"let pass: {fault.message}")

    def _check_key(self, call: Call) -> None:
        bearer = call.headers.get("authorization", "").removeprefix("Bearer ").strip()
        given = [
            key
            for key in (call.headers.get(API_KEY_HEADER), call.query.get(API_KEY_PARAMETER), bearer)
            if key
        ]
        if not given:
            raise ErrorResponse(401)
        if self._api_key is not None and not any(
            hmac.compare_digest(key.encode(), self._api_key.encode()) for key in given
        ):
            raise ErrorResponse(401, "The API key is not the one this server was started with.")


Operation = Callable[[Service], Callable[..., Reply]]

_NUMBER = f"/(?:{'|'.join(API_VERSIONS)})"
_VERSION = f"(?:(?:(?!{_NUMBER}/)/[^/]+)*{_NUMBER})?/?"
"""An API version with what a base URL may have before it (``http://host/prefix``), or nothing; one SDK then sends ``//interactions``."""
_ID = r"(?P<id>[^/:]+)"
_TABLE: tuple[tuple[str, dict[str, Operation]], ...] = (
    ("/interactions/?", {"POST": lambda service: service.interactions.create}),
    (
        f"/interactions/{_ID}",
        {
            "GET": lambda service: service.interactions.get,
            "DELETE": lambda service: service.interactions.delete,
        },
    ),
    (f"/interactions/{_ID}/cancel", {"POST": lambda service: service.interactions.cancel}),
    (
        "/agents/?",
        {
            "POST": lambda service: service.agents.create,
            "GET": lambda service: service.agents.listed,
        },
    ),
    (
        f"/agents/{_ID}",
        {
            "GET": lambda service: service.agents.get,
            "DELETE": lambda service: service.agents.delete,
        },
    ),
    (
        "/environments/?",
        {
            "POST": lambda service: service.environments.create,
            "GET": lambda service: service.environments.listed,
        },
    ),
    (
        f"/environments/{_ID}",
        {
            "GET": lambda service: service.environments.get,
            "DELETE": lambda service: service.environments.delete,
        },
    ),
    (
        f"/environments/{_ID}/files(?:/(?P<path>.*))?",
        {"GET": lambda service: service.environments.files},
    ),
    (
        "/webhooks/?",
        {
            "POST": lambda service: service.webhooks.create,
            "GET": lambda service: service.webhooks.listed,
        },
    ),
    (
        f"/webhooks/{_ID}",
        {
            "GET": lambda service: service.webhooks.get,
            "PATCH": lambda service: service.webhooks.update,
            "DELETE": lambda service: service.webhooks.delete,
        },
    ),
    (
        "/triggers/?",
        {
            "POST": lambda service: service.triggers.create,
            "GET": lambda service: service.triggers.listed,
        },
    ),
    (
        f"/triggers/{_ID}",
        {
            "GET": lambda service: service.triggers.get,
            "PATCH": lambda service: service.triggers.update,
            "DELETE": lambda service: service.triggers.delete,
        },
    ),
    (
        f"/triggers/{_ID}/executions",
        {
            "POST": lambda service: service.triggers.run,
            "GET": lambda service: service.triggers.executions,
        },
    ),
    (f"/webhooks/{_ID}:ping", {"POST": lambda service: service.webhooks.ping}),
    (f"/webhooks/{_ID}:rotateSigningSecret", {"POST": lambda service: service.webhooks.rotate}),
)
_UPLOADS: tuple[tuple[str, dict[str, Operation]], ...] = (
    (
        rf"/upload(?:{_NUMBER})?/environments/{_ID}/files/(?P<path>.+)",
        {"PUT": lambda service: service.uploads.start},
    ),
    (r"/upload/sessions/(?P<token>[0-9a-f]+)", {"POST": lambda service: service.uploads.more}),
)
"""Uploads have their version in another place."""

_ROUTES = tuple(
    (re.compile(before + path + r"\Z"), methods)
    for before, table in ((r"(?:/[^/]+)*?", _UPLOADS), (_VERSION, _TABLE))
    for path, methods in table
)


def _route(path: str) -> tuple[dict[str, Operation], dict[str, str]]:
    for pattern, methods in _ROUTES:
        if found := pattern.match(path):
            return methods, found.groupdict(default="")
    raise ErrorResponse(
        404,
        f"There is nothing at {path}; this server has interactions, agents, environments, triggers and webhooks under /v1beta.",
    )
