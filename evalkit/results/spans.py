"""Conversations of a run as OpenTelemetry spans and events, in the JSON of OTLP. Pure.

A result is one trace: a span for the variant, below it one for each exchange (``chat``, ``judge``
and ``simulate`` likewise) and one for each function that the client ran. A check is an event
``gen_ai.evaluation.result`` of the span it is about.

A result line has durations, and no clock times: a trace begins when its session began, and its
exchanges follow one another. Ids are digests of the run and the result, so that sending a run twice
does not double it.

Source: the semantic conventions for generative AI (in development) and for tests, and OTLP 1.9
(ids in hexadecimal, 64-bit integers as text).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from evalkit._lib.json import JSON, dumps
from evalkit._lib.version import VERSION
from evalkit.protocol.input_reader import input_steps
from evalkit.protocol.step_reader import RawStep, steps_of
from evalkit.results import genai_names as genai
from evalkit.results.genai_messages import genai_messages
from evalkit.results.records import CheckRecord, ManifestRecord, ResultLine
from evalkit.results.stored_transcript import stored_transcript
from evalkit.transcript import Exchange, Transcript

_CLIENT, _INTERNAL = 3, 1
_ERROR = 2
_SCOPE = {"name": "evalkit", "version": VERSION}
_STATUSES = {"passed": "pass", "failed": "fail"}
_SEVERITY = 9  # INFO


@dataclass(slots=True)
class Telemetry:
    """Spans, and the log records that are their events."""

    spans: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def requests(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the path and the body of each request of OTLP over HTTP."""
        resource = {"attributes": _attributes({"service.name": "evalkit"})}
        for path, group, records, kind, items in (
            ("/v1/traces", "resourceSpans", "scopeSpans", "spans", self.spans),
            ("/v1/logs", "resourceLogs", "scopeLogs", "logRecords", self.events),
        ):
            if items:
                scope = {"scope": _SCOPE, kind: items}
                yield path, {group: [{"resource": resource, records: [scope]}]}


def telemetry(manifest: ManifestRecord, lines: Iterable[ResultLine]) -> Telemetry:
    """Return the spans and events of results of one run."""
    sent = Telemetry()
    start = round(datetime.fromisoformat(manifest["started"]).timestamp() * 1e9)
    for line in lines:
        _Trace(manifest["started"], line, start, sent).add()
    return sent


class _Trace:
    """The spans of one result; ``now`` is the nanosecond at which the next one begins."""

    def __init__(self, run: str, line: ResultLine, start: int, sent: Telemetry) -> None:
        self._line = line
        self._name = f"{run} {line['id']}"
        self._sent = sent
        self._start = self._now = start
        self._root = _hex(f"{self._name} variant", 8)
        self._numbers = count(1)

    def add(self) -> None:
        """Add all spans, and an event for each check."""
        transcript = stored_transcript(self._line)
        position = len(self._sent.spans)
        last_of_turn = {}
        for turn in transcript.turns:
            calls = {
                step.raw.get("id"): step.raw for step in turn.steps if step.type == "function_call"
            }
            for exchange in turn.exchanges:
                for step in turn.steps:
                    if step.exchange == exchange.number and step.type == "function_result":
                        self._tool(step.raw, calls.get(step.raw.get("call_id"), {}))
                last_of_turn[turn.number] = self._exchange(exchange, "chat", transcript)
        for exchange in transcript.simulator_exchanges:
            self._exchange(exchange, "simulate", transcript)
        for exchange in transcript.judge_exchanges:
            self._exchange(exchange, "judge", transcript)
        line = self._line
        attributes = {
            "test.suite.name": line["suite"],
            "test.case.name": line["id"],
            "test.case.result.status": _STATUSES.get(line["verdict"]),
            "code.file.path": line["path"],
            "code.line.number": line["line"],
            "evalkit.verdict": line["verdict"],
            "evalkit.trial": line["trial"],
            "evalkit.tags": list(line["tags"]),
            "evalkit.cassette": line["cassette"],
            **{f"evalkit.variant.{name}": value for name, value in line["variant"].items()},
        }
        error = line["message"] if line["verdict"] in ("failed", "errored") else ""
        self._span(self._root, line["id"], _INTERNAL, self._start, attributes, error)
        # A trace begins with its root, whose end is known last.
        self._sent.spans.insert(position, self._sent.spans.pop())
        for check in line["checks"]:
            self._check(check, last_of_turn.get(check.get("turn", 0), self._root))

    def _span(
        self, id_: str, name: str, kind: int, start: int, attributes: Any, error: str
    ) -> None:
        span = {
            "traceId": _hex(self._name, 16),
            "spanId": id_,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(start),
            "endTimeUnixNano": str(self._now),
            "attributes": _attributes(attributes),
            "status": {"code": _ERROR, "message": error} if error else {},
        }
        if id_ != self._root:
            span["parentSpanId"] = self._root
        self._sent.spans.append(span)

    def _exchange(self, exchange: Exchange, operation: str, transcript: Transcript) -> str:
        id_, start = _hex(f"{self._name} {next(self._numbers)}", 8), self._now
        response = exchange.response
        self._now += round((response.elapsed_ms or 0) * 1e6) if response else 0
        model = transcript.settings.get("model") or transcript.settings.get("agent")
        body = exchange.request.body if isinstance(exchange.request.body, dict) else {}
        requested = body.get("model") or body.get("agent") or model
        error = exchange.failure or (exchange.error.message if exchange.error else "")
        attributes = {
            genai.OPERATION: operation,
            "gen_ai.provider.name": "gcp.gemini",
            genai.CONVERSATION: _hex(self._name, 16),
            genai.MODEL: requested,
            genai.OUTPUT_TYPE: _output_type(body),
            "http.request.method": exchange.request.method,
            "url.path": exchange.request.path,
            genai.HTTP_STATUS: response.status if response else None,
            genai.ERROR_TYPE: str(exchange.error.code)
            if exchange.error
            else "_OTHER"
            if error
            else None,
            **_configuration(body),
            **_input(body),
            **_answer(exchange.interaction or {}),
        }
        self._span(id_, f"{operation} {requested}", _CLIENT, start, attributes, error)
        return id_

    def _tool(self, result: RawStep, call: RawStep) -> None:
        name = result.get("name") or call.get("name")
        attributes = {
            genai.OPERATION: "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": result.get("call_id"),
            "gen_ai.tool.call.arguments": _json(call.get("arguments")),
            "gen_ai.tool.call.result": _json(result.get("result")),
            genai.ERROR_TYPE: "tool_error" if result.get("is_error") else None,
        }
        error = "the tool returned an error" if result.get("is_error") else ""
        id_ = _hex(f"{self._name} {next(self._numbers)}", 8)
        self._span(id_, f"execute_tool {name}", _INTERNAL, self._now, attributes, error)

    def _check(self, check: CheckRecord, span: str) -> None:
        scores = [
            one["score"] for one in check.get("judgments", ()) if one.get("score") is not None
        ]
        self._sent.events.append(
            {
                "timeUnixNano": str(self._now),
                "severityNumber": _SEVERITY,
                "eventName": "gen_ai.evaluation.result",
                "traceId": _hex(self._name, 16),
                "spanId": span,
                "attributes": _attributes(
                    {
                        "gen_ai.evaluation.name": check["name"],
                        "gen_ai.evaluation.score.label": _STATUSES.get(
                            check["verdict"], check["verdict"]
                        ),
                        "gen_ai.evaluation.score.value": scores[0] if len(scores) == 1 else None,
                        "gen_ai.evaluation.explanation": "\n".join(
                            finding["message"] for finding in check["findings"]
                        )
                        or None,
                        genai.ERROR_TYPE: next(
                            (finding["code"] for finding in check["findings"]), None
                        )
                        if check["verdict"] == "errored"
                        else None,
                        "evalkit.check.declared": check.get("declared"),
                    }
                ),
            }
        )


def _configuration(body: Mapping[str, JSON]) -> dict[str, JSON]:
    config = body.get("generation_config")
    config = config if isinstance(config, dict) else {}
    return {name: config.get(key) for name, key in genai.SETTINGS.items()}


def _output_type(body: Mapping[str, JSON]) -> str | None:
    format_ = body.get("response_format")
    is_json = isinstance(format_, dict) and (
        "schema" in format_ or format_.get("mime_type") == "application/json"
    )
    return "json" if is_json else None


def _input(body: Mapping[str, JSON]) -> dict[str, JSON]:
    instruction = body.get("system_instruction")
    parts: JSON = [{"type": "text", "content": instruction}] if instruction else None
    return {
        genai.SYSTEM: _json(parts),
        genai.INPUT: _json(genai_messages(input_steps(body.get("input")))),
        genai.TOOLS: _json(body.get("tools")),
    }


def _answer(interaction: Mapping[str, JSON]) -> dict[str, JSON]:
    usage = interaction.get("usage")
    usage = dict(usage) if isinstance(usage, dict) else {}
    both = [usage.get(name) for name in ("total_output_tokens", "total_thought_tokens")]
    if all(isinstance(count, int) for count in both):
        usage["total_output_tokens"] = sum(both)
    status = interaction.get("status")
    messages = genai_messages(steps_of(interaction))
    for message in messages[-1:]:
        message["finish_reason"] = status
    return {
        genai.RESPONSE_ID: interaction.get("id"),
        genai.RESPONSE_MODEL: interaction.get("model"),
        genai.FINISH: [status] if status else None,
        genai.OUTPUT: _json(messages),
        **{name: usage.get(key) for name, key in genai.USAGE.items()},
    }


def _hex(name: str, size: int) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[: 2 * size]


def _json(value: JSON) -> str | None:
    return dumps(value) if value else None


def _attributes(values: Mapping[str, JSON]) -> list[dict[str, Any]]:
    """Return attributes in OTLP's form, without those that have no value."""
    return [
        {"key": key, "value": _value(value)} for key, value in values.items() if value is not None
    ]


def _value(value: JSON) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int() if abs(value) < 2**63:
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case list():
            return {"arrayValue": {"values": [_value(item) for item in value]}}
        case _:
            return {"stringValue": dumps(value)}
