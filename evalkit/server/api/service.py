"""The local API without HTTP: calls and replies are values (docs/protocol.md section 1).

Sans-IO: it opens nothing and never sleeps. A reply contains its delays, ``deliveries`` returns the
webhook notifications to send. So the same service answers over a socket, in a test, or in a loop.
Errors are raised as ErrorResponse and returned as replies. One Service has the memory of one
server; it is not thread-safe.
"""

import hmac
import re
from collections import Counter
from collections.abc import Callable

from evalkit.protocol.wire_facts import (
    API_KEY_HEADER,
    API_KEY_PARAMETER,
    API_VERSIONS,
    RESOURCES,
)
from evalkit.server.api.agents import Agents, Triggers
from evalkit.server.api.credentials import AuthTokens, Credentials
from evalkit.server.api.decisions import Decisions
from evalkit.server.api.environments import Environments
from evalkit.server.api.interactions import Interactions
from evalkit.server.api.voices import Voices
from evalkit.server.api.webhooks import WebhookDelivery, Webhooks
from evalkit.server.calls import Call, Reply, error_reply
from evalkit.server.fault_injection.plans import FaultSelector
from evalkit.server.history_seals import DEFAULT_KEY
from evalkit.server.requests.error_response import (
    ErrorResponse,
    bad_request,
    raise_known_violation,
    raise_violation,
)
from evalkit.server.scripting.script import Script


class Service:
    """Answers calls by a script.

    ``key`` signs thoughts and webhooks. ``api_key`` is the only accepted API key; without one, any
    key is accepted. A ``lenient`` service tolerates violations of the protocol, a ``strict`` one
    none; otherwise those are refused that the real service is known to refuse. What is tolerated
    is a line to ``warn``. ``seed`` decides which requests get the faults of rules.
    """

    def __init__(
        self,
        script: Script,
        *,
        key: bytes = DEFAULT_KEY,
        api_key: str | None = None,
        lenient: bool = False,
        strict: bool = False,
        warn: Callable[[str], object] = lambda line: None,
        seed: int = 0,
    ) -> None:
        self._api_key = api_key
        self._warn = warn
        self._lenient = lenient
        self.agents = Agents(script.known.agents)
        self.environments = Environments(key)
        self.webhooks = Webhooks(key)
        rule_uses: Counter[str] = Counter()
        selector = FaultSelector(seed)
        self.decisions = Decisions(script, rule_uses, selector)
        self.interactions = Interactions(
            script,
            rule_uses=rule_uses,
            key=key,
            created_agents=self.agents.by_id,
            environments=self.environments,
            webhooks=self.webhooks,
            on_violation=raise_violation if strict else self._on_violation,
            selector=selector,
        )
        self.triggers = Triggers(self.interactions)
        self.credentials = Credentials()
        self.voices = Voices(key)
        self.auth_tokens = AuthTokens(key, self.interactions.by_id)

    def handle(self, call: Call) -> Reply:
        """Answer one call; never raises for anything a client sends."""
        try:
            methods, names = _find_route(call.path)
            operation = methods.get(call.method)
            if operation is None:
                allowed = ", ".join(methods)
                raise ErrorResponse(
                    405,
                    f"{call.method} is not allowed here; allowed: {allowed}.",
                    headers={"allow": allowed},
                )
            self._check_key(call)
            return operation(self)(call, **names)
        except ErrorResponse as error:
            return error_reply(error)
        except RecursionError:
            return error_reply(bad_request("The body is nested too deeply."))

    def deliveries(self) -> list[WebhookDelivery]:
        """Return the webhook notifications since the last call of this method."""
        deliveries, self.webhooks.outbox = self.webhooks.outbox, []
        return deliveries

    def _on_violation(self, error: ErrorResponse) -> None:
        if not self._lenient:
            raise_known_violation(error)
        self._warn(f"tolerated: {error.message}")

    def _check_key(self, call: Call) -> None:
        bearer = call.headers.get("authorization", "").removeprefix("Bearer ").strip()
        sent = (call.headers.get(API_KEY_HEADER), call.query.get(API_KEY_PARAMETER), bearer)
        keys = [key.encode() for key in sent if key]
        if not keys:
            raise ErrorResponse(401)
        if self._api_key is not None:
            expected = self._api_key.encode()
            is_token = any(self.auth_tokens.accepts(key) for key in sent if key)
            if not is_token and not any(hmac.compare_digest(key, expected) for key in keys):
                raise ErrorResponse(401, "The API key is not the one this server was started with.")


Operation = Callable[[Service], Callable[..., Reply]]

_VERSION = f"/(?:{'|'.join(API_VERSIONS)})"
_PROJECT = "(?:/projects/[^/]+/locations/[^/]+)?"
_PREFIX = f"(?:(?:(?!{_VERSION}/)/[^/]+)*{_VERSION})?{_PROJECT}/?"
"""The path prefix of a base URL, an API version, and a project of the cloud platform, all optional.

One SDK sends ``//interactions``.
"""
_ID = r"(?P<resource_id>[^/:]+)"
_ROUTES: dict[str, dict[str, Operation]] = {
    # Uploads have their version in another position. They come first, because their path also ends
    # like that of an environment's file.
    rf"(?:/[^/]+)*?/upload(?:{_VERSION})?/environments/{_ID}/files/(?P<path>.+)": {
        "PUT": lambda service: service.environments.start_upload
    },
    r"(?:/[^/]+)*?/upload/sessions/(?P<token>[0-9a-f]+)": {
        "POST": lambda service: service.environments.receive_upload
    },
    f"{_PREFIX}/interactions/?": {"POST": lambda service: service.interactions.create},
    f"{_PREFIX}/interactions/{_ID}": {
        "GET": lambda service: service.interactions.get,
        "DELETE": lambda service: service.interactions.delete,
    },
    f"{_PREFIX}/interactions/{_ID}/cancel": {"POST": lambda service: service.interactions.cancel},
    f"{_PREFIX}/interactions/{_ID}/auth_tokens": {
        "POST": lambda service: service.auth_tokens.create
    },
    # A client may send the token as it received it, with its collection.
    f"{_PREFIX}/interactions/{_ID}/auth_tokens(?:/auth_tokens)?/(?P<token>[^/]+)": {
        "DELETE": lambda service: service.auth_tokens.delete
    },
    f"{_PREFIX}/decisions": {"POST": lambda service: service.decisions.create},
    f"{_PREFIX}/credentials/?": {
        "POST": lambda service: service.credentials.create,
        "GET": lambda service: service.credentials.list_page,
    },
    f"{_PREFIX}/credentials/{_ID}": {
        "GET": lambda service: service.credentials.get,
        "PATCH": lambda service: service.credentials.update,
        "DELETE": lambda service: service.credentials.delete,
    },
    f"{_PREFIX}/voices/?": {
        "POST": lambda service: service.voices.create,
        "GET": lambda service: service.voices.list_page,
    },
    f"{_PREFIX}/voices/{_ID}": {
        "GET": lambda service: service.voices.get,
        "DELETE": lambda service: service.voices.delete,
    },
    f"{_PREFIX}/agents/?": {
        "POST": lambda service: service.agents.create,
        "GET": lambda service: service.agents.list_page,
    },
    f"{_PREFIX}/agents/{_ID}": {
        "GET": lambda service: service.agents.get,
        "DELETE": lambda service: service.agents.delete,
    },
    f"{_PREFIX}/environments/?": {
        "POST": lambda service: service.environments.create,
        "GET": lambda service: service.environments.list_page,
    },
    f"{_PREFIX}/environments/{_ID}": {
        "GET": lambda service: service.environments.get,
        "DELETE": lambda service: service.environments.delete,
    },
    f"{_PREFIX}/environments/{_ID}/files(?:/(?P<path>.*))?": {
        "GET": lambda service: service.environments.files
    },
    f"{_PREFIX}/webhooks/?": {
        "POST": lambda service: service.webhooks.create,
        "GET": lambda service: service.webhooks.list_page,
    },
    f"{_PREFIX}/webhooks/{_ID}": {
        "GET": lambda service: service.webhooks.get,
        "PATCH": lambda service: service.webhooks.update,
        "DELETE": lambda service: service.webhooks.delete,
    },
    f"{_PREFIX}/webhooks/{_ID}:ping": {"POST": lambda service: service.webhooks.ping},
    f"{_PREFIX}/webhooks/{_ID}:rotateSigningSecret": {
        "POST": lambda service: service.webhooks.rotate
    },
    f"{_PREFIX}/triggers/?": {
        "POST": lambda service: service.triggers.create,
        "GET": lambda service: service.triggers.list_page,
    },
    f"{_PREFIX}/triggers/{_ID}": {
        "GET": lambda service: service.triggers.get,
        "PATCH": lambda service: service.triggers.update,
        "DELETE": lambda service: service.triggers.delete,
    },
    f"{_PREFIX}/triggers/{_ID}/executions": {
        "POST": lambda service: service.triggers.run,
        "GET": lambda service: service.triggers.list_executions,
    },
}
_PATTERNS = [(re.compile(pattern + r"\Z"), methods) for pattern, methods in _ROUTES.items()]


def _find_route(path: str) -> tuple[dict[str, Operation], dict[str, str]]:
    """Return the operations of a path by method, and the values in the path."""
    for pattern, methods in _PATTERNS:
        if match := pattern.match(path):
            return methods, match.groupdict(default="")
    raise ErrorResponse(
        404,
        f"{path} was not found; under /v1beta this server has: {', '.join(RESOURCES)}.",
    )
