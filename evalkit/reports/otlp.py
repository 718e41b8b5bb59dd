"""Send the conversations of a run to a collector of OpenTelemetry."""

from collections.abc import Mapping
from itertools import islice

from evalkit.results import Run
from evalkit.results.spans import telemetry
from evalkit.transports.address import collector_headers
from evalkit.transports.otlp import send_otlp

_RESULTS_AT_ONCE = 50


def send_run(run: Run, endpoint: str, environment: Mapping[str, str]) -> tuple[int, list[str]]:
    """Return how many results were sent, and what the collector rejected.

    ``endpoint`` is the collector's address for OTLP over HTTP. Raises UsageError and transport
    errors.
    """
    headers = collector_headers(environment)
    results, sent, rejected = run.results(), 0, list[str]()
    while lines := list(islice(results, _RESULTS_AT_ONCE)):
        rejected += send_otlp(endpoint, telemetry(run.manifest, lines).requests(), headers)
        sent += len(lines)
    return sent, rejected
