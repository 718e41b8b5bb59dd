"""Faults on demand around any back end: which requests they befall is drawn here, what they do is ``fault_kinds``'.

Drawing depends on the seed, the plan, and what is asked (and how often the same was asked before), not on the clock nor on the order of
different requests: the same requests meet the same faults, however many clients send them at once. ``every``, ``first`` and ``times`` count
answers as they come.

A fault that needs no answer comes *instead* of one: the back end is not asked, so a cassette loses no recording and an upstream sees no
request. Where several such faults strike, the first one does; all others are put into the reply one after the other.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from random import Random

from evalkit.server.calls import Backend, Call, Reply
from evalkit.server.fault_injection.kinds import KINDS, InjectedFault, apply_fault, is_applicable
from evalkit.server.fault_injection.plans import FaultPlan
from evalkit.server.fault_injection.stream_changes import close

_REMEMBERED = 100_000
"""How many different requests are counted; of more, the oldest is forgotten and counts as new."""


class FaultSelector:
    """Decides for one server. ``seed`` decides how."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._asked: OrderedDict[bytes, int] = OrderedDict()
        self._seen: Counter[str] = Counter()
        self._struck: Counter[str] = Counter()

    def throw(self, plans: Sequence[FaultPlan], call: Call) -> RequestFaults:
        """Return what decides for one request."""
        if not plans:
            return RequestFaults(self, (), b"")
        who = _digest(call)
        number = self._asked[who] = self._asked.pop(who, 0) + 1
        if len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        return RequestFaults(self, plans, who + number.to_bytes(8))

    def strikes(self, plan: FaultPlan, who: bytes) -> InjectedFault | None:
        """Decide for one plan and one request it could strike."""
        self._seen[plan.place] = seen = self._seen[plan.place] + 1
        random = Random(  # noqa: S311
            blake2b(b"%d %s %s" % (self._seed, plan.place.encode(), who), digest_size=16).digest()
        )
        drawn = random.random() < plan.probability
        late = plan.first is not None and seen > plan.first
        often = plan.times is not None and self._struck[plan.place] >= plan.times
        if not drawn or late or often or seen % plan.every:
            return None
        self._struck[plan.place] += 1
        return plan.fault(random)


class RequestFaults:
    """The faults of one request: first those instead of an answer, then those put into it."""

    def __init__(self, dice: FaultSelector, plans: Sequence[FaultPlan], who: bytes) -> None:
        self._dice = dice
        self._plans = plans
        self._who = who

    def instead(self) -> Reply | None:
        """Return the reply that comes instead of an answer, if one does."""
        for plan in self._plans:
            if plan.instead and (fault := self._dice.strikes(plan, self._who)) is not None:
                return apply_fault(fault, Reply(200))
        return None

    def onto(self, reply: Reply) -> Reply:
        """Return the reply with the faults that strike it."""
        for plan in self._plans:
            if (
                not plan.instead
                and is_applicable(KINDS[plan.kind], reply)
                and (fault := self._dice.strikes(plan, self._who))
            ):
                reply = apply_fault(fault, reply)
        return reply


class FaultInjector:
    """A back end with faults in front of it."""

    def __init__(self, backend: Backend, plans: Sequence[FaultPlan], seed: int = 0) -> None:
        self._backend = backend
        self._plans = tuple(plans)
        self._dice = FaultSelector(seed)

    @property
    def title(self) -> str:
        """What is behind the faults."""
        return self._backend.title

    async def handle(self, call: Call) -> Reply:
        """Answer as the back end does, but for the faults."""
        throw = self._dice.throw(self._plans, call)
        made = throw.instead() or await self._backend.handle(call)
        reply = throw.onto(made)
        if made.live is not None and reply.live is None:
            await close(made.live)
        return reply

    async def close(self) -> None:
        """Close the back end."""
        await self._backend.close()


def _digest(call: Call) -> bytes:
    query = "&".join(
        f"{name}={value}" for name, value in sorted(call.query.items()) if name != "key"
    )
    return blake2b(
        b"\0".join((call.method.encode(), call.path.encode(), query.encode(), call.body)),
        digest_size=16,
    ).digest()
