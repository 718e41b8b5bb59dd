"""``junit.xml``: a run for the CI systems that read JUnit's XML, one ``testsuite`` per suite, one ``testcase`` per variant.

A verdict is what it is: ``failed`` a ``failure``, ``errored`` an ``error``, ``skipped`` a ``skipped``; a warning fails nothing. Names are
unique in a file, for there are readers that drop the second of two (GitLab); text is valid XML whatever a model said: characters that XML
1.0 has no room for are made visible. What led to a failure stands in ``system-out``; passing variants have none, for readers refuse large
files. Lines are read once and a suite's cases are put aside until its counts are known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit._lib.fast_json import loads
from evalkit._lib.files import atomic_writer
from evalkit._lib.text import show, visible
from evalkit.reports.formatting import clipped, found, headline, place
from evalkit.reports.line_reports import LineReport, Maker
from evalkit.reports.overview import Tally
from evalkit.reports.text_spool import Piece, Spool
from evalkit.results import Run
from evalkit.results.records import ResultHead

OUTCOMES = {"failed": "failure", "errored": "error", "skipped": "skipped"}
"""Verdict to the element that tells it; a passed case has none."""

COUNTED = {"failures": "failed", "errors": "errored", "skipped": "skipped"}
"""Attribute of ``testsuite`` to the verdict it counts."""

OUT_LIMIT = 4_000
"""Characters of one text in ``system-out``."""

_TOGETHER = 8 << 10
"""Characters of neighbouring cases of a suite from which on they are put aside."""

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\t": "&#9;"}
_IN_TEXT, _IN_ATTRIBUTE = "[&<>]", re.compile('[&<>"\n\t]')


class _Suite:
    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.names: dict[str, int] = {}
        self.milliseconds = 0.0
        self.cases: list[Piece] = []


@LineReport
@contextmanager
def write(run: Run) -> Iterator[Maker]:
    """Write ``junit.xml`` into the run's directory and return its path. Raises UsageError naming a result line that cannot be read."""
    with Spool() as spool:
        yield _JUnit(run, spool)


class _JUnit:
    def __init__(self, run: Run, spool: Spool) -> None:
        self._run = run
        self._spool = spool
        self._suites: dict[str, _Suite] = {}
        self._last = _Suite()
        self._waiting: list[str] = []  # cases of the last suite, and their size
        self._size = 0
        self._digests = {
            one["path"]: digest
            for one in run.manifest.get("cassettes", ())
            if (digest := one["digest"])
        }

    def take(self, head: ResultHead, line: str, number: int) -> None:
        suite = self._suites.get(head["suite"])
        if suite is None:
            suite = self._suites[head["suite"]] = _Suite()
        suite.verdicts[head["verdict"]] += 1
        elapsed = float(head["metrics"].get("elapsed_ms", 0))
        suite.milliseconds += elapsed
        if suite is not self._last or self._size > _TOGETHER:
            self._put()
            self._last = suite
        case = _case(head, line, elapsed, suite.names, self._digests)
        self._waiting.append(case)
        self._size += len(case)

    def _put(self) -> None:
        if self._waiting:
            self._spool.put_on(self._last.cases, "".join(self._waiting))
            self._waiting.clear()
            self._size = 0

    def finish(self, suites: Mapping[str, Tally]) -> Path:
        self._put()
        path = self._run.directory / "junit.xml"
        with atomic_writer(path) as file:
            for text in _document(
                self._suites, self._spool, str(self._run.manifest.get("started") or "")
            ):
                file.write(text.encode())
        return path


def _document(suites: Mapping[str, _Suite], spool: Spool, started: str) -> Iterator[str]:
    total = _Suite()
    for suite in suites.values():
        total.verdicts += suite.verdicts
        total.milliseconds += suite.milliseconds
    yield f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites name="evalkit"{_counts(total)}>\n'
    timestamp = f' timestamp="{_attribute(started.removesuffix("Z"))}"' if started else ""
    for name, suite in suites.items():
        yield f'<testsuite name="{_attribute(name)}"{_counts(suite)}{timestamp}>\n'
        for piece in suite.cases:
            yield spool.get(piece)
        yield "</testsuite>\n"
    yield "</testsuites>\n"


def _counts(suite: _Suite) -> str:
    numbers = {
        "tests": suite.verdicts.total(),
        **{name: suite.verdicts[verdict] for name, verdict in COUNTED.items()},
    }
    return (
        "".join(f' {name}="{number}"' for name, number in numbers.items())
        + f' time="{suite.milliseconds / 1000:.3f}"'
    )


def _case(
    head: Mapping[str, Any],
    line: str,
    elapsed: float,
    names: dict[str, int],
    digests: Mapping[str, str],
) -> str:
    suite, verdict, path = head["suite"], head["verdict"], head["path"]
    name = head["id"].removeprefix(f"{suite}::")
    seen = names[name] = names.get(name, 0) + 1
    if seen > 1:
        name = f"{name} ({seen})"
    properties = _properties(head, digests)
    # Most have nothing that XML reads in another way: one look at all of them together tells.
    together = "".join([suite, name, path, *properties.values()])
    if not together.isprintable() or _IN_ATTRIBUTE.search(together):
        suite, name, path = _attribute(suite), _attribute(name), _attribute(path)
        properties = {key: _attribute(value) for key, value in properties.items()}
    told = "".join(
        [f'<property name="{key}" value="{value}"/>' for key, value in properties.items()]
    )
    case = (
        f'<testcase classname="{suite}" name="{name}" time="{elapsed / 1000:.3f}" file="{path}" line="{head["line"]}">\n'
        f"<properties>{told}</properties>\n"
    )
    if verdict in OUTCOMES:
        case += _outcome(OUTCOMES[verdict], head)
    if verdict in ("failed", "errored"):
        whole = head if "turns" in head else loads(line)
        case += f"<system-out>{_text(_transcript(whole))}</system-out>\n"
    return f"{case}</testcase>\n"


def _properties(head: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, str]:
    variant, cassette = head["variant"], head["cassette"]
    properties = {"scenario": head["scenario"]}
    if model := variant.get("model") or variant.get("agent"):
        properties["model"] = str(model)
    properties["trial"] = str(head["trial"])
    properties["tokens"] = str(head["metrics"].get("tokens", {}).get("total_tokens", 0))
    if cassette:
        properties["cassette"] = cassette
        if digest := digests.get(cassette):
            properties["cassette_digest"] = digest
    return properties


def _outcome(element: str, head: Mapping[str, Any]) -> str:
    all_found = found(head)
    message = _attribute(headline(head, all_found))
    if element == "skipped":
        return f'<skipped message="{message}"/>\n'
    findings = [(check, finding) for check, finding in all_found if finding["severity"] == "error"]
    code = findings[0][1]["code"] if findings else "incomplete"
    text = "\n".join(_finding(check, finding) for check, finding in findings) or head["message"]
    return f'<{element} type="{_attribute(code)}" message="{message}">{_text(text)}</{element}>\n'


def _finding(check: Mapping[str, Any], finding: Mapping[str, Any]) -> str:
    where = finding["where"]
    there = place({"turn": check["turn"], **where} if "turn" in check else where)
    lines = [f"{check['name']}: {finding['message']}" + (f" ({there})" if there else "")]
    lines += [
        f"  {name}: {show(finding[name], 400)}" for name in ("expected", "got") if name in finding
    ]
    if detail := finding.get("detail"):
        lines += [f"  {line}" for line in clipped(detail, OUT_LIMIT).split("\n")]
    return "\n".join(lines)


def _transcript(result: Mapping[str, Any]) -> str:
    lines = []
    for turn in result["turns"]:
        words = (turn["outcome"].replace("_", " "), turn["status"])
        state = ", ".join(dict.fromkeys(filter(None, words)))
        lines.append(f"turn {turn['number']} ({state})")
        lines += [
            f"  user: {_cut(block.get('text', block.get('type')) if isinstance(block, dict) else block)}"
            for block in turn["user"]
        ]
        lines += [
            f"  {number}. {entry['step'].get('type')}: {_cut(_gist(entry['step']))}"
            for number, entry in enumerate(turn["steps"], 1)
        ]
        if "error" in turn:
            lines.append(
                f"  API error: HTTP {turn['error']['status']} {turn['error']['code']}: {_cut(turn['error']['message'])}"
            )
        if "reason" in turn:
            lines.append(f"  {_cut(turn['reason'])}")
    return "\n".join(lines) or "no turn was run"


def _gist(step: Mapping[str, Any]) -> Any:
    content = step.get("content")
    if isinstance(content, list):
        texts = [
            block["text"]
            for block in content
            if isinstance(block, dict) and isinstance(block.get("text"), str)
        ]
        return " ".join(texts) if texts else f"{len(content)} blocks"
    if "arguments" in step:
        return f"{step.get('name', '')} {show(step['arguments'], OUT_LIMIT)}"
    return show(step["result"], OUT_LIMIT) if "result" in step else ""


def _cut(value: Any) -> str:
    return clipped(value if isinstance(value, str) else show(value, OUT_LIMIT), OUT_LIMIT).replace(
        "\n", "\n     "
    )


def _text(text: str) -> str:
    return re.sub(_IN_TEXT, _entity, visible(text))


def _attribute(text: str) -> str:
    return _IN_ATTRIBUTE.sub(_entity, visible(text))


def _entity(match: re.Match[str]) -> str:
    return _ENTITIES[match.group()]
