"""``junit.xml``: a run for CI systems that read JUnit's XML.

One ``testsuite`` per suite, one ``testcase`` per variant; ``failed`` is a ``failure``, ``errored``
an ``error``, ``skipped`` a ``skipped``, and warnings fail nothing. A suite that could not be
collected is an ``error`` too. Names are unique in a file,
because some readers drop the second of two equal ones (GitLab). Characters that XML 1.0 does not
allow are made visible. Only failures have the conversation, in ``system-out``: readers refuse large
files.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from evalkit._lib.files import atomic_writer
from evalkit._lib.text import escape_log_commands, visible
from evalkit.reports.formatting import findings_of, headline, test_name
from evalkit.reports.line_reports import LineReport
from evalkit.reports.overview import ResultCounts
from evalkit.reports.plain_text import conversation_text, findings_text
from evalkit.reports.text_spool import TextSpan, TextSpool
from evalkit.results import Run
from evalkit.results.records import ResultHead
from evalkit.results.result_line import counts_as_test, outcome_of

ELEMENTS = {
    "failed": "failure",
    "errored": "error",
    "skipped": "skipped",
    "xfailed": "skipped",  # as in pytest's own file
}
"""As what pytest counts a case to its element; a passed case has none."""

COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}
"""Attribute of ``testsuite`` to the element it counts."""

_AT_ONCE = 8 << 10
"""Characters of the cases of a suite that are stored together."""

_TEXT_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_ENTITIES = _TEXT_ENTITIES | str.maketrans({'"': "&quot;", "\n": "&#10;", "\t": "&#9;"})


class _SuiteCases:
    """The test cases of a suite, stored until its counts are known."""

    def __init__(self) -> None:
        self.elements: Counter[str] = Counter()
        self.names: Counter[str] = Counter()
        self.milliseconds = 0.0
        self.spans: list[TextSpan] = []
        self.waiting = ""


class JUnit(LineReport):
    """Writes ``junit.xml`` into the run directory."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._spool = TextSpool()
        self._suites: dict[str, _SuiteCases] = {}
        self._digests = {one["path"]: one["digest"] for one in run.manifest.get("cassettes", ())}

    def add(self, head: ResultHead, line: str, number: int) -> None:
        """Add a test case; trials that are one test have one, with the trial that represents it."""
        suite = self._suites.setdefault(head["suite"], _SuiteCases())
        if not counts_as_test(head):
            suite.milliseconds += head["metrics"].get("elapsed_ms", 0)
            return
        outcome = outcome_of(head)
        suite.elements[ELEMENTS.get(outcome, "")] += 1
        suite.milliseconds += head["metrics"].get("elapsed_ms", 0)
        name = test_name(head)
        suite.names[name] += 1
        if suite.names[name] > 1:
            name = f"{name} ({suite.names[name]})"
        digest = self._digests.get(head["cassette"] or "")
        has_conversation = outcome in ("failed", "errored")
        conversation = conversation_text(line, number) if has_conversation else ""
        suite.waiting += _case(head, name, digest, conversation)
        if len(suite.waiting) > _AT_ONCE:
            self._store(suite)

    def _store(self, suite: _SuiteCases) -> None:
        suite.spans.append(self._spool.put(suite.waiting))
        suite.waiting = ""

    def finish(self, suites: Mapping[str, ResultCounts], total: ResultCounts) -> Path:
        """Write the file."""
        path = self.run.directory / "junit.xml"
        with atomic_writer(path) as file:
            for text in self._document():
                file.write(text.encode())
        return path

    def _document(self) -> Iterator[str]:
        for name in self.run.manifest.get("not_collected", ()):
            broken = self._suites.setdefault(name, _SuiteCases())
            broken.elements["error"] += 1
            broken.waiting += (
                f'<testcase classname="{_escaped(name)}" name="collection" time="0.000">'
                '<error type="not_collected" message="could not be collected"/></testcase>\n'
            )
        total = _SuiteCases()
        for suite in self._suites.values():
            total.elements += suite.elements
            total.milliseconds += suite.milliseconds
        yield '<?xml version="1.0" encoding="utf-8"?>\n'
        yield f'<testsuites name="evalkit"{_counts(total)}>\n'
        started = str(self.run.manifest.get("started") or "").removesuffix("Z")
        timestamp = f' timestamp="{_escaped(started)}"' if started else ""
        for name, suite in self._suites.items():
            yield f'<testsuite name="{_escaped(name)}"{_counts(suite)}{timestamp}>\n'
            yield from map(self._spool.get, suite.spans)
            yield f"{suite.waiting}</testsuite>\n"
        yield "</testsuites>\n"

    def close(self) -> None:
        """Drop temporary files."""
        self._spool.close()


def _counts(suite: _SuiteCases) -> str:
    numbers = {"tests": suite.elements.total()}
    numbers |= {name: suite.elements[element] for name, element in COUNTED.items()}
    attributes = "".join(f' {name}="{number}"' for name, number in numbers.items())
    return f'{attributes} time="{suite.milliseconds / 1000:.3f}"'


def _case(head: ResultHead, name: str, cassette_digest: str | None, conversation: str) -> str:
    seconds = head["metrics"].get("elapsed_ms", 0) / 1000
    properties = "".join(
        f'<property name="{key}" value="{_escaped(value)}"/>'
        for key, value in _properties(head, cassette_digest).items()
    )
    case = (
        f'<testcase classname="{_escaped(head["suite"])}" name="{_escaped(name)}"'
        f' time="{seconds:.3f}" file="{_escaped(head["path"])}"'
        f' line="{_escaped(str(head["line"]))}">\n'
        f"<properties>{properties}</properties>\n"
    )
    outcome = outcome_of(head)
    if outcome in ELEMENTS:
        case += _outcome(ELEMENTS[outcome], head)
    if conversation:
        case += f"<system-out>{_text(conversation)}</system-out>\n"
    return f"{case}</testcase>\n"


def _properties(head: ResultHead, cassette_digest: str | None) -> dict[str, str]:
    variant = head["variant"]
    properties = {
        "scenario": head["scenario"],
        "model": str(variant.get("model") or variant.get("agent") or ""),
        "trial": str(head["trial"]),
        "tokens": str(head["metrics"].get("tokens", {}).get("total_tokens", 0)),
        "cassette": head["cassette"] or "",
        "cassette_digest": cassette_digest or "",
    }
    return {name: value for name, value in properties.items() if value}


def _outcome(element: str, head: ResultHead) -> str:
    findings = findings_of(head)
    message = _escaped(headline(head, findings))
    if element == "skipped":
        return f'<skipped message="{message}"/>\n'
    errors = [(check, finding) for check, finding in findings if finding["severity"] == "error"]
    code = errors[0][1]["code"] if errors else "pytest" if "pytest" in head else "incomplete"
    text = _text(findings_text(errors) or head["message"])
    return f'<{element} type="{_escaped(code)}" message="{message}">{text}</{element}>\n'


def _text(text: str) -> str:
    """Return text for an element, which a CI system may print into its log."""
    return escape_log_commands(visible(text)).translate(_TEXT_ENTITIES)


def _escaped(text: str) -> str:
    """Return text for an attribute."""
    return visible(text).translate(_ENTITIES)
