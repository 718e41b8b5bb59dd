"""Run all rules over all files.

An unreadable file is a finding and does not keep other files from being checked; a rule that
crashes is a finding too. Findings are sorted by file, then by exchange, those about a whole file
first. Whatever a finding quotes is masked and shortened here, once for all rules.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit._lib.files import display_path, read_file
from evalkit._lib.json import MISSING
from evalkit._lib.progress import tracked
from evalkit._lib.text import plural
from evalkit.cassette.journal import SUFFIX, read_journal
from evalkit.checks.core.formatting import excerpt
from evalkit.errors import CassetteError
from evalkit.lint.age_rules import check_age
from evalkit.lint.call_rules import check_calls
from evalkit.lint.cassette_view import CassetteView
from evalkit.lint.file_search import LintFiles, find_files
from evalkit.lint.history_rules import check_history
from evalkit.lint.media_rules import check_media
from evalkit.lint.protocol_rules import check_protocol
from evalkit.lint.rules import RULES, LintFinding, LintOptions, RuleFinding
from evalkit.lint.secret_rules import check_secrets, mask, mask_json
from evalkit.lint.stream_rules import check_streams
from evalkit.lint.suite_rules import (
    SuiteFiles,
    UnplayedRecordings,
    check_orphan,
    check_unplayed,
    find_missing_cassettes,
    find_orphan_snapshots,
    load_suite_files,
    load_unplayed,
)

_LOCATED = re.compile(r".*?:([0-9]+) (.*)", re.DOTALL)
_MEDIA_REFERENCE = re.compile(rb"evalkit-media:sha256:([0-9a-f]{64}\.[a-z0-9]{1,8})")

_RULES_BY_TOPIC: tuple[
    tuple[tuple[str, ...], Callable[[CassetteView], Iterable[RuleFinding]]], ...
] = (
    (("secrets",), check_secrets),
    (("history",), check_history),
    (("stream",), check_streams),
    (("protocol", "new"), check_protocol),
    (("calls",), check_calls),
    (("media",), check_media),
)
"""The rules that need nothing but the cassette."""


@dataclass(slots=True)
class LintOutcome:
    """The findings, and how much was read: cassettes, their exchanges, skipped YAML files."""

    findings: list[LintFinding] = field(default_factory=list)
    cassettes: int = 0
    exchanges: int = 0
    skipped: int = 0

    @property
    def damaged(self) -> bool:
        """Whether a finding makes a file unusable."""
        return any(RULES[finding.code].integrity for finding in self.findings)


def lint(paths: Sequence[Path], options: LintOptions | None = None) -> LintOutcome:
    """Check cassettes: files, and all cassettes, journals and media of folders.

    Suite files among the paths join ``options.suites``. Raises UsageError for a path that does not
    exist, and for a folder or run that cannot be read.
    """
    options = options or LintOptions()
    files = find_files(paths)
    linter = _Linter(options, LintOutcome(skipped=files.skipped))
    suites = [*files.suites, *(find_files(options.suites).suites if options.suites else ())]
    suite_files = None
    located: list[tuple[str, RuleFinding]] = []
    if suites:
        suite_files, located = load_suite_files(dict.fromkeys(suites), options.root)
    unplayed = load_unplayed(options.run) if options.run is not None else {}
    for path in tracked(files.cassettes, "reading cassettes", len(files.cassettes)):
        linter.check_cassette(path, suite_files, unplayed)
    for path in files.journals:
        linter.report(display_path(path), _check_journal(path))
    if suite_files is not None:
        located += find_missing_cassettes(files, suite_files)
        located += find_orphan_snapshots(suite_files) if files.folders else ()
    for path in _unused_media(files) if options.selects("media_orphan") else ():
        finding = RuleFinding("media_orphan", "no cassette here uses it")
        located.append((display_path(path), finding))
    for name, finding in located:
        linter.report(name, [finding])
    linter.outcome.findings.sort(key=lambda finding: (finding.file, finding.exchange or 0))
    return linter.outcome


class _Linter:
    def __init__(self, options: LintOptions, outcome: LintOutcome) -> None:
        self.outcome = outcome
        self._options = options
        self._rules = [
            rule
            for topics, rule in _RULES_BY_TOPIC
            if options.selects(*(code for code in RULES if RULES[code].topic in topics))
        ]

    def check_cassette(
        self, path: Path, suite_files: SuiteFiles | None, unplayed: UnplayedRecordings
    ) -> None:
        """Run the rules over one file."""
        self.outcome.cassettes += 1
        try:
            view = CassetteView(path)
        except CassetteError as error:
            self.report(display_path(path), [_located("cassette_unreadable", str(error))])
            return
        self.outcome.exchanges += len(view.recordings)
        findings = [
            RuleFinding(
                "media_altered" if "was changed" in message else "media_missing",
                message,
                exchange=index + 1,
            )
            for index, message in view.lost_media
        ]
        findings += self._run_rule("check_age", check_age(view, self._options))
        for rule in self._rules:
            findings += self._run_rule(rule.__name__, rule(view))
        if suite_files is not None:
            findings += check_orphan(view, suite_files)
        findings += check_unplayed(view, unplayed)
        self.report(view.name, findings, view)

    def _run_rule(self, name: str, findings: Iterable[RuleFinding]) -> list[RuleFinding]:
        topic = name.removeprefix("check_")
        reported: list[RuleFinding] = []
        try:
            reported.extend(findings)
        except RecursionError:
            message = f"a body is nested too deeply for the rules about {topic}"
            reported.append(RuleFinding("rule_crashed", message))
        # One file that no rule was made for must not hide what is wrong with the others.
        except Exception as error:  # noqa: BLE001
            message = f"the rules about {topic} crashed: {type(error).__name__}: {error}"
            reported.append(RuleFinding("rule_crashed", message))
        return reported

    def report(
        self, name: str, findings: Iterable[RuleFinding], view: CassetteView | None = None
    ) -> None:
        """Add the findings about a file to the outcome, where their rules are selected."""
        for finding in findings:
            if not self._options.selects(finding.code):
                continue
            line = finding.line
            if line is None and view is not None and finding.exchange is not None:
                line = view.line(finding.exchange)
            where = {
                "line": line,
                "part": finding.part,
                "pointer": mask(finding.pointer) if finding.pointer is not None else None,
            }
            self.outcome.findings.append(
                LintFinding(
                    file=name,
                    exchange=finding.exchange,
                    code=finding.code,
                    severity=RULES[finding.code].severity,
                    message=mask(finding.message),
                    where={key: value for key, value in where.items() if value is not None},
                    expected=_quotable(finding.expected),
                    got=_quotable(finding.got),
                )
            )


def _quotable(value: Any) -> Any:
    """Return a value as a finding may contain it: without secrets, short, and JSON."""
    if value is MISSING:
        return value
    try:
        return excerpt(mask_json(_as_json(value)))
    except RecursionError:
        return "(nested too deeply to be shown)"


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return f"{len(value):,} bytes" if isinstance(value, bytes) else str(value)


def _located(code: str, message: str) -> RuleFinding:
    """Return the finding for a message of the form ``file:line text``."""
    first_line = message.partition("\n")[0]
    match = _LOCATED.match(first_line)
    if match is None:
        return RuleFinding(code, first_line, line=1)
    return RuleFinding(code, match[2], line=int(match[1]))


def _check_journal(path: Path) -> Iterator[RuleFinding]:
    try:
        content = read_journal(path)
    except CassetteError as error:
        yield _located("journal_damaged", str(error))
        return
    if content.folded_digest is not None:
        message = "its exchanges are already in the cassette; delete it"
    else:
        count = plural(len(content.entries), "exchange")
        message = (
            f"an interrupted recording of {path.name.removesuffix(SUFFIX)} left {count} in it; "
            "record again to continue, or delete it"
        )
    yield RuleFinding("journal_left", message, got=len(content.entries))


def _unused_media(files: LintFiles) -> Iterator[Path]:
    if not files.media:
        return
    used: set[str] = set()
    for path in (*files.cassettes, *files.journals):
        try:
            data = read_file(path)
        except OSError:
            continue
        used.update(name.decode() for name in _MEDIA_REFERENCE.findall(data))
    for folder in files.media:
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name not in used and not path.name.startswith("."):
                yield path
