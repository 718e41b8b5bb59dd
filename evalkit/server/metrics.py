"""What a server tells those who watch it: Prometheus metrics, one registry for each application. No clock: durations are handed in.

Labels come from closed sets (routes are templates, methods and kinds of faults are known words), so no id, key or path of a client is ever
in one, and no client can make their number grow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BEFORE = re.compile(r"(?:/[^/]+)*?/v1(?:beta|alpha)?(?=/)")
_COLLECTIONS = frozenset({"interactions", "agents", "environments", "webhooks", "triggers"})
_BELOW = frozenset({"cancel", "files", "executions"})
_VERB = re.compile(r":(ping|rotateSigningSecret)\Z")
_COUNT = re.compile(r"[a-z][a-z0-9_]*\Z")
OTHER = "other"


def route_of(path: str) -> str:
    """Return the template of an API path, without its version and what is before that: ``/interactions/{id}/cancel``.

    What the API does not have is ``other``.
    """
    before = _BEFORE.match(path)
    parts = path[before.end() if before else 0 :].strip("/").split("/")
    if parts[0] not in _COLLECTIONS:
        return OTHER
    collection, *rest = parts
    if not rest:
        return f"/{collection}"
    verb = _VERB.search(rest[0])
    if len(rest) == 1:
        return f"/{collection}/{{id}}{verb[0] if verb else ''}"
    if rest[1] not in _BELOW:
        return OTHER
    return f"/{collection}/{{id}}/{rest[1]}" + ("/{path}" if len(rest) > 2 else "")


class Metrics:
    """Counts one application's requests. ``backend_counts`` gives what its back end counts itself, by name, whenever it is asked."""

    def __init__(self, backend_counts: Callable[[], Mapping[str, int]] = dict) -> None:
        self._registry = registry = CollectorRegistry()
        by_route = ("route", "method", "status")
        self._requests = Counter(
            "evalkit_requests",
            "Requests answered, by route, method and status.",
            by_route,
            registry=registry,
        )
        self._in_flight = Gauge(
            "evalkit_requests_in_flight", "Requests being answered.", registry=registry
        )
        self._streams = Gauge("evalkit_streams_open", "Streams being sent.", registry=registry)
        self._events = Counter(
            "evalkit_stream_events", "Events sent in streams.", registry=registry
        )
        self._faults = Counter(
            "evalkit_faults_injected",
            "Faults put into answers, by kind.",
            ("kind",),
            registry=registry,
        )
        self._left = Counter(
            "evalkit_clients_gone", "Answers whose client left before their end.", registry=registry
        )
        times = ("route", "stream")
        self._first_byte = Histogram(
            "evalkit_time_to_first_byte_seconds",
            "From a request's arrival to the first byte of its answer's body.",
            times,
            buckets=_SECONDS,
            registry=registry,
        )
        self._duration = Histogram(
            "evalkit_request_duration_seconds",
            "From a request's arrival to its answer's end.",
            times,
            buckets=_SECONDS,
            registry=registry,
        )
        registry.register(_BackendCounts(backend_counts))
        self.events_sent = self._events.inc
        # labels() costs more than what it finds, and there are few of them.
        self._children: dict[tuple[str, str, str], Counter] = {}
        self._timers: dict[tuple[str, bool], tuple[Histogram, Histogram]] = {}

    def begun(self) -> None:
        """A request is being answered."""
        self._in_flight.inc()

    def streaming(self) -> None:
        """A stream begins."""
        self._streams.inc()

    def ended(
        self,
        path: str,
        method: str,
        status: int,
        *,
        stream: bool,
        duration: float,
        first_byte: float | None,
        gone: bool = False,
    ) -> None:
        """A request's answer is over. ``status`` 0: nothing was sent. ``first_byte`` None: no byte of a body was."""
        route = route_of(path)
        key = route, method if method in _METHODS else OTHER, str(status) if status else "none"
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._requests.labels(*key)
        child.inc()
        timers = self._timers.get((route, stream))
        if timers is None:
            labels = route, "true" if stream else "false"
            timers = self._timers[route, stream] = (
                self._first_byte.labels(*labels),
                self._duration.labels(*labels),
            )
        if first_byte is not None:
            timers[0].observe(first_byte)
        timers[1].observe(duration)
        self._in_flight.dec()
        if stream:
            self._streams.dec()
        if gone:
            self._left.inc()

    def faulty(self, kind: str) -> None:
        """A fault of a kind went out."""
        self._faults.labels(kind).inc()

    def text(self) -> bytes:
        """Return everything in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)


class _BackendCounts(Collector):
    def __init__(self, counts: Callable[[], Mapping[str, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[CounterMetricFamily]:
        for name, value in self._counts().items():
            if _COUNT.match(name):
                yield CounterMetricFamily(
                    f"evalkit_{name}",
                    f"{name.replace('_', ' ').capitalize()}, as the back end counts them.",
                    value=value,
                )
