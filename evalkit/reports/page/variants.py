"""A result line as the page shows it: one row, and the body that opens below it. Values only; ``templates/variant.html`` prints them.

What a step shows is ``steps``'s business, where a finding stands is ``findings``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from evalkit._lib.json import JSON, dumps
from evalkit._lib.text import shorten
from evalkit.protocol.step_reader import output_text, steps_of
from evalkit.reports.formatting import Found, count, duration, headline
from evalkit.reports.page.media import MediaBook
from evalkit.reports.page.steps import Card, cards, user_card

if TYPE_CHECKING:
    from evalkit.reports.page.findings import Finding


TOKENS = {
    "total_tokens": "total",
    "total_input_tokens": "input",
    "total_output_tokens": "output",
    "total_thought_tokens": "thought",
    "total_cached_tokens": "cached",
    "total_tool_use_tokens": "tool use",
}
JUDGED = 1000
OUTCOMES = {
    "completed": "",
    "api_error": "API error",
    "incomplete": "incomplete",
    "not_run": "not run",
}


class Row(NamedTuple):
    """What is seen of a variant while it is closed. ``address``: where its raw line lies in the page; ``number``: its line in the file."""

    anchor: str
    verdict: str
    warned: bool
    name: str
    title: str
    tags: Sequence[str]
    tokens: str
    exchanges: str
    time: str
    message: str
    address: str
    number: int


class CheckLine(NamedTuple):
    """One check that was made."""

    anchor: str
    verdict: str
    name: str
    scope: str
    declared: str
    findings: str


class ExchangeLine(NamedTuple):
    """One exchange; its raw JSON is fetched from the page's data by the script."""

    number: int
    anchor: str
    request: str
    facts: str
    failed: bool
    problems: Sequence[str]
    findings: Sequence[Finding]


class TurnView(NamedTuple):
    """One turn: the user's message, the cards of its steps, its exchanges."""

    number: int
    anchor: str
    status: str
    outcome: str
    problem: str
    cards: Sequence[Card]
    findings: Sequence[Finding]
    exchanges: Sequence[ExchangeLine]


class Body(NamedTuple):
    """What is seen of a variant when it is open."""

    facts: Sequence[tuple[str, str]]
    findings: Sequence[Finding]
    checks: Sequence[CheckLine]
    checks_title: str
    turns: Sequence[TurnView]
    unplayed: Sequence[str]
    judged: Sequence[str] = ()


def row(
    head: Mapping[str, JSON],
    findings: Found,
    anchor: str,
    address: str,
    number: int,
    *,
    told: bool,
    drawn: bool,
) -> Row:
    """Return the row of a result (its head is enough) with these findings; ``told``: one of them :func:`warned`. Numbers are put in words only
    where it is ``drawn``."""
    metrics = head["metrics"]
    tokens = metrics.get("tokens", {}).get("total_tokens")
    exchanges = metrics.get("exchanges")
    return Row(
        anchor,
        head["verdict"],
        told,
        head["id"].removeprefix(f"{head['suite']}::"),
        head["title"],
        head["tags"],
        count(tokens, "token") if drawn and tokens is not None else "",
        count(exchanges, "exchange") if drawn and exchanges is not None else "",
        duration(metrics.get("elapsed_ms")) if drawn else "",
        headline(head, findings),
        address,
        number,
    )


def warned(findings: Found) -> bool:
    """Whether one of a result's findings is a warning."""
    return any(finding["severity"] == "warn" for _, finding in findings)


def body(result: Mapping[str, JSON], anchor: str, number: int, book: MediaBook) -> Body:
    """Return the body of a whole result."""
    findings: list[Finding] = []
    beside: dict[str, list[Finding]] = {}
    if any(check["findings"] for check in result["checks"]):
        from evalkit.reports.page.findings import (
            find,  # here, because most runs have nothing to find
        )

        findings, beside = find(result["checks"], result["turns"], anchor)
    lines = [_check(check, f"{anchor}.k{place}") for place, check in enumerate(result["checks"], 1)]
    checks = sorted(lines, key=lambda check: check.verdict == "passed")
    return Body(
        _facts(result, number),
        findings,
        checks,
        _checks_title(checks),
        [
            _turn(turn, f"{anchor}.t{turn['number']}", anchor, beside, book)
            for turn in result["turns"]
        ],
        result["unplayed"],
        [_judged(exchange) for exchange in result.get("judge_exchanges", ())],
    )


def _judged(exchange: Mapping[str, JSON]) -> str:
    """Return what a judge answered, reasons and all, or why it did not."""
    interaction = exchange.get("response", {}).get("body")
    text = output_text(steps_of(interaction)) if isinstance(interaction, dict) else ""
    problem = _api_error(exchange["error"]) if "error" in exchange else exchange.get("failure", "")
    return shorten(" ".join(filter(None, (problem, text))) or "nothing", JUDGED)


def _check(check: Mapping[str, JSON], anchor: str) -> CheckLine:
    scope = f"turn {check['turn']}" if "turn" in check else "conversation"
    findings = count(len(check["findings"]), "finding") if check["findings"] else ""
    return CheckLine(
        anchor,
        check["verdict"],
        check["name"],
        scope,
        check.get("declared", "on by default"),
        findings,
    )


def _checks_title(checks: Sequence[CheckLine]) -> str:
    counts = {
        verdict: sum(check.verdict == verdict for check in checks)
        for verdict in ("failed", "errored", "passed", "skipped")
    }
    return f"{count(len(checks), 'check')}: " + (
        ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n) or "none made"
    )


def _facts(result: Mapping[str, JSON], number: int) -> list[tuple[str, str]]:
    metrics = result["metrics"]
    tokens = metrics.get("tokens", {})
    facts = [
        ("Declared", f"{result['path']}:{result['line']}"),
        (
            "Variant",
            ", ".join(
                f"{name} {value if isinstance(value, str) else dumps(value)}"
                for name, value in result["variant"].items()
            ),
        ),
        ("Tokens", _tokens(tokens)),
        ("Judges", _judges(metrics.get("judge"))),
        ("Tool calls", str(metrics.get("tool_calls", ""))),
        (
            "Answers",
            ", ".join(filter(None, (metrics.get("source") or "", result["cassette"] or ""))),
        ),
        ("Raw data", f"results.jsonl, line {number}"),
    ]
    return [fact for fact in facts if fact[1]]


def _judges(sums: Mapping[str, JSON] | None) -> str:
    return (
        f"{count(sums['exchanges'], 'exchange')}, {_tokens(sums['tokens']) or 'no'} tokens, in no other sum"
        if sums
        else ""
    )


def _tokens(tokens: Mapping[str, int]) -> str:
    names = sorted(
        (name for name, number in tokens.items() if number), key=lambda name: name != "total_tokens"
    )
    return ", ".join(f"{tokens[name]:,} {TOKENS.get(name, name)}" for name in names)


def _turn(
    turn: Mapping[str, JSON],
    anchor: str,
    variant: str,
    beside: Mapping[str, Sequence[Finding]],
    book: MediaBook,
) -> TurnView:
    findings = {
        number: beside.get(f"{anchor}.s{number}", ()) for number in range(1, len(turn["steps"]) + 1)
    }
    problem = _api_error(turn["error"]) if "error" in turn else turn.get("reason", "")
    return TurnView(
        turn["number"],
        anchor,
        turn["status"] or "",
        OUTCOMES[turn["outcome"]],
        problem,
        [user_card(turn["user"], anchor, book), *cards(turn["steps"], anchor, book, findings)],
        beside.get(anchor, ()),
        [_exchange(exchange, variant, beside) for exchange in turn["exchanges"]],
    )


def _api_error(error: Mapping[str, JSON]) -> str:
    return f"HTTP {error['status']} {error['code']}: {error['message']}"


def _exchange(
    exchange: Mapping[str, JSON], variant: str, beside: Mapping[str, Sequence[Finding]]
) -> ExchangeLine:
    request, response = exchange["request"], exchange.get("response")
    anchor = f"{variant}.x{exchange['number']}"
    query = "&".join(f"{name}={value}" for name, value in request.get("query", ()))
    facts = []
    problems = [
        f"{problem['code']}: {problem['message']} (event {problem['event']})"
        for problem in exchange.get("problems", ())
    ]
    if response is not None:
        facts += [
            f"HTTP {response['status']}",
            duration(response.get("elapsed_ms")),
            response["source"],
        ]
        if "events" in response:
            facts.append(count(len(response["events"]), "event"))
        if "broken" in response:
            problems.append(f"the answer broke off: {response['broken']}")
    if "error" in exchange:
        problems.append(_api_error(exchange["error"]))
    if "failure" in exchange:
        problems.append(exchange["failure"])
    failed = response is None or response["status"] >= 400 or bool(problems)
    told = ", ".join(filter(None, facts))
    line = f"{request['method']} {request['path']}" + (f"?{query}" if query else "")
    return ExchangeLine(
        exchange["number"], anchor, line, told, failed, problems, beside.get(anchor, ())
    )
