"""One result line: everything a report, a comparison or an auditor may want to know of one variant, as one JSON object.

No clock is read here and nothing depends on the machine: the same suite, cassette and evalkit give the same bytes (times in a line are the
recorded ones). ``digest`` is the SHA-256 of the line without its ``digest`` member.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON
from evalkit.transcript import Transcript
from evalkit.verdict import CheckResult, Severity, Verdict

SCHEMA_VERSION = 1
_DIGEST, _HEX = b',"digest":"', b"0123456789abcdef"


class Identity(NamedTuple):
    """Who a result speaks of; field names are those of the result line."""

    id: str
    suite: str
    scenario: str
    title: str
    variant: Mapping[str, JSON]
    parts: Sequence[str]
    trial: int
    tags: Sequence[str]
    path: str
    line: int
    cassette: str | None


def result_line(
    who: Identity,
    verdict: Verdict,
    message: str,
    checks: Sequence[CheckResult],
    transcript: Transcript | None,
    unplayed: Sequence[str] = (),
    clean: Callable[[str], str] = str,
    sums: Mapping[str, Any] | None = None,
) -> str:
    """Return the result as one line of ASCII JSON, without a newline, its digest last. ``clean`` takes secrets out of the text first.

    ``sums`` are the transcript's :func:`metrics`, where they are at hand.
    """
    from evalkit._lib.quickjson import (
        dumps,
    )  # here, because those who only read results need not load what it loads

    turns = transcript.turns if transcript is not None else []
    value: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "id": who.id,
        "suite": who.suite,
        "scenario": who.scenario,
        "title": who.title,
        "variant": dict(who.variant),
        "parts": list(who.parts),
        "trial": who.trial,
        "tags": list(who.tags),
        "path": who.path,
        "line": who.line,
        "verdict": str(verdict),
        "message": message,
        "checks": [check.to_json() for check in checks],
        "metrics": sums if sums is not None else metrics(transcript),
        "unplayed": list(unplayed),
        "cassette": who.cassette,
        "settings": transcript.settings if transcript is not None else {},
        "turns": [turn.to_json() for turn in turns],
    }
    if transcript is not None and transcript.judge_exchanges:
        value["judge_exchanges"] = [exchange.to_json() for exchange in transcript.judge_exchanges]
    text = clean(dumps(value))
    return f'{text[:-1]},"digest":"{sha256(text)}"}}'


def tally(
    verdict: Verdict,
    checks: Sequence[CheckResult],
    transcript: Transcript | None,
    unplayed: Sequence[str] = (),
    sums: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the few numbers of a result that totals are made of, so that nobody parses a line again to count it; and its first warning.

    ``sums`` are the transcript's :func:`metrics`, where they are at hand.
    """
    sums = sums if sums is not None else metrics(transcript)
    warned = [
        f"{check.name}: {finding.message}"
        for check in checks
        for finding in check.findings
        if finding.severity is Severity.WARN
    ]
    return {
        "verdict": str(verdict),
        "checks": len(checks),
        "warnings": len(warned),
        "warned": warned[:1],
        "unplayed": len(unplayed),
        "tokens": sums.get("tokens", {}).get("total_tokens", 0),
    }


def tally_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same numbers (:func:`tally`) of a result that was read. Raises KeyError, TypeError, AttributeError, ValueError: it is none."""
    found = [
        (check["name"], finding)
        for check in result["checks"]
        for finding in check["findings"]
        if finding["severity"] == "warn"
    ]
    return {
        "verdict": str(Verdict(result["verdict"])),
        "checks": len(result["checks"]),
        "warnings": len(found),
        "warned": [f"{name}: {finding['message']}" for name, finding in found[:1]],
        "unplayed": len(result["unplayed"]),
        "tokens": result["metrics"].get("tokens", {}).get("total_tokens", 0),
    }


def digests(line: bytes) -> tuple[str, str] | None:
    """Return a line's digest as it is stated, and as the rest of the line gives it; None where the line does not end with one."""
    rest, found, tail = line.rpartition(_DIGEST)
    if not found or len(tail) != 66 or not tail.endswith(b'"}') or tail[:64].strip(_HEX):
        return None
    return tail[:64].decode(), sha256(rest + b"}")


def metrics(transcript: Transcript | None) -> dict[str, Any]:
    """Sum a conversation up: tokens by the API's field names, recorded or live milliseconds, exchanges, tool calls, where answers came from.

    ``elapsed_ms`` is absent where no exchange has a time; without a transcript there is nothing to sum up. What checks asked is summed up apart,
    as ``judge``, and absent where none did.
    """
    if transcript is None:
        return {}
    tokens: dict[str, int] = {}
    times = []
    sources = set()
    exchanges = calls = 0
    for turn in transcript.turns:
        for step in turn.steps:
            if step.type.endswith("_call"):
                calls += 1
        for exchange in turn.exchanges:
            exchanges += 1
            response, interaction = exchange.response, exchange.interaction
            if response is not None:
                sources.add(response.source)
                if response.elapsed_ms is not None:
                    times.append(response.elapsed_ms)
            if interaction is not None:
                _add(tokens, interaction.get("usage"))
    out: dict[str, Any] = {
        "tokens": tokens,
        "exchanges": exchanges,
        "tool_calls": calls,
        "source": sources.pop() if len(sources) == 1 else "mixed" if sources else None,
    }
    if times:
        out["elapsed_ms"] = round(sum(times), 3)
    if transcript.judge_exchanges:
        apart: dict[str, int] = {}
        for exchange in transcript.judge_exchanges:
            _add(apart, (exchange.interaction or {}).get("usage"))
        out["judge"] = {"tokens": apart, "exchanges": len(transcript.judge_exchanges)}
    return out


def _add(tokens: dict[str, int], usage: JSON) -> None:
    if isinstance(usage, dict):
        for key, count in usage.items():
            if isinstance(count, int) and key.startswith("total_"):
                tokens[key] = tokens.get(key, 0) + count
