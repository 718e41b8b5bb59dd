"""Injects faults in front of any back end, and decides which requests they strike.

The decision depends on the seed, the plan, the request, and how often the same request was received
before; not on the clock, nor on the order of different requests. So the same requests get the same
faults, however many clients send them at once. ``every``, ``first`` and ``times`` count replies in
the order of their requests.

A fault that needs no reply *replaces* it: the back end is not called, so a cassette loses no
recording and an upstream receives no request. If several such faults strike, the first one counts;
all others are applied to the reply one after the other.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

from evalkit.protocol.wire_facts import API_KEY_PARAMETER
from evalkit.server.calls import Backend, Call, Reply
from evalkit.server.fault_injection.kinds import KINDS, Values, apply_fault, is_applicable
from evalkit.server.fault_injection.plans import FaultPlan
from evalkit.server.fault_injection.stream_changes import close

_MAX_REQUESTS = 100_000
"""How many different requests are counted; beyond that, the oldest counts as new again."""


class FaultSelector:
    """Decides for one server which faults strike which requests."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._requests: OrderedDict[bytes, int] = OrderedDict()
        self._chances: Counter[str] = Counter()
        self._strikes: Counter[str] = Counter()

    def for_call(self, plans: Sequence[FaultPlan], call: Call) -> "RequestFaults":
        """Return the faults of one request."""
        if not plans:
            return RequestFaults(self, (), b"")
        digest = _digest(call)
        number = self._requests[digest] = self._requests.pop(digest, 0) + 1
        if len(self._requests) > _MAX_REQUESTS:
            self._requests.popitem(last=False)
        return RequestFaults(self, plans, digest + number.to_bytes(8))

    def draw(self, plan: FaultPlan, request: bytes) -> Values | None:
        """Return the fault's values if it strikes this request, else None."""
        self._chances[plan.origin] = chance = self._chances[plan.origin] + 1
        seed = b"%d %s %s" % (self._seed, plan.origin.encode(), request)
        random = Random(blake2b(seed, digest_size=16).digest())  # noqa: S311 - not for secrets
        strikes = (
            random.random() < plan.probability
            and (plan.first is None or chance <= plan.first)
            and (plan.times is None or self._strikes[plan.origin] < plan.times)
            and chance % plan.every == 0
        )
        if not strikes:
            return None
        self._strikes[plan.origin] += 1
        return plan.draw_values(random)


@dataclass(frozen=True, slots=True)
class RequestFaults:
    """The faults of one request: call ``replacement`` first, then ``apply`` on the reply."""

    selector: FaultSelector
    plans: Sequence[FaultPlan]
    request: bytes

    def replacement(self) -> Reply | None:
        """Return the reply of a fault that makes the back end's reply unnecessary, if any."""
        for plan in self.plans:
            if plan.replaces_reply and (reply := self._apply_one(plan, Reply(200))) is not None:
                return reply
        return None

    def apply(self, reply: Reply) -> Reply:
        """Return the reply with the other faults applied."""
        for plan in self.plans:
            if not plan.replaces_reply and is_applicable(KINDS[plan.kind], reply):
                reply = self._apply_one(plan, reply) or reply
        return reply

    def _apply_one(self, plan: FaultPlan, reply: Reply) -> Reply | None:
        values = self.selector.draw(plan, self.request)
        return None if values is None else apply_fault(plan.kind, values, reply)


class FaultInjector:
    """A back end with faults in front of it."""

    def __init__(self, backend: Backend, plans: Sequence[FaultPlan], seed: int = 0) -> None:
        self.title = backend.title
        self._backend = backend
        self._plans = tuple(plans)
        self._selector = FaultSelector(seed)

    async def handle(self, call: Call) -> Reply:
        """Reply as the back end does, with the faults that strike this call."""
        faults = self._selector.for_call(self._plans, call)
        original = faults.replacement() or await self._backend.handle(call)
        reply = faults.apply(original)
        if original.live is not None and reply.live is None:
            await close(original.live)
        return reply

    async def close(self) -> None:
        """Close the back end."""
        await self._backend.close()


def _digest(call: Call) -> bytes:
    # The key must not change which requests are struck.
    query = sorted(item for item in call.query.items() if item[0] != API_KEY_PARAMETER)
    parts = (call.method, call.path, "&".join(f"{name}={value}" for name, value in query))
    text = "\0".join(parts).encode() + b"\0" + call.body
    return blake2b(text, digest_size=16).digest()
