"""Run variants: converse over a transport, evaluate the transcript, render the result line.

One Runner serves a session. It drops a transcript as soon as its result line is rendered, except
those that other variants compare themselves with (``siblings``). Nothing here depends on pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from evalkit._lib.clock import timestamp
from evalkit._lib.version import VERSION
from evalkit.cassette.files import load_cassette
from evalkit.cassette.journal import remove_folded_journal
from evalkit.cassette.miss_report import HINT
from evalkit.cassette.redaction import Redactor
from evalkit.errors import CassetteMiss, ConnectFailed, Misconfigured, UsageError
from evalkit.protocol.wire_facts import API_REVISION, resource_path
from evalkit.results import Identity, Run, result_record
from evalkit.session.effects import EndTurn, api_version, drive_variant
from evalkit.session.evaluation import Evaluator, overall_verdict
from evalkit.session.failure_text import failure_text
from evalkit.session.ledger import Ledger, cassette_change, file_version
from evalkit.session.locked_turns import BaselineTurns
from evalkit.session.outcomes import VariantOutcome, rendered_outcome
from evalkit.session.prompt_check import pattern_warnings, refuse_keys, weak_key_warning
from evalkit.session.settings import Settings, rerecord_command
from evalkit.session.siblings import Siblings, VariantRun
from evalkit.session.tool_signatures import check_signatures
from evalkit.suite.model.variant_names import variant_name
from evalkit.transcript import Request, Response, Transcript, Turn
from evalkit.transports import open_transport
from evalkit.verdict import CONVERSATION, CheckResult, Finding, Verdict, worst

if TYPE_CHECKING:
    from evalkit.suite import Variant
    from evalkit.transports import LiveTransport, Transport
    from evalkit.transports.cassette_transports import Endpoint


class RunTarget(Protocol):
    """Lets a variant's ``target`` run the conversation; see ``evalkit.taping.target_runner``."""

    def __call__(
        self,
        variant: Variant,
        settings: Settings,
        *,
        metadata: Mapping[str, Any],
        end_turn: EndTurn,
        evaluator: Evaluator,
    ) -> tuple[Transcript, list[str]]:
        """Return the transcript and descriptions of the unplayed recordings."""


class Runner:
    """Runs the variants of a session.

    ``endpoint`` returns what a variant is recorded from, by default the network. ``run_target``
    is needed for variants with a ``target``. Where several workers run every variant, the results
    of ``worker`` 1, 2, … are further trials; ``repeat`` is the session's number of trials, if any.
    ``ledger`` counts what is recorded, and says when no other conversation may start.
    Raises UsageError for settings that cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        endpoint: Callable[[Variant], Endpoint] | None = None,
        run_target: RunTarget | None = None,
        worker: int = 0,
        repeat: int | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.settings = settings
        self.ledger = ledger or Ledger()
        self._worker = worker
        self._repeat = repeat
        self._endpoint = endpoint or self._live_transport
        self._run_target = run_target
        # A prompt may contain what a suite reads from the environment, but not the keys.
        self._keys = self._redactor = Redactor(settings.secrets, settings.patterns)
        # Compiles the patterns, so that an invalid one is reported before anything runs.
        self._redactor.text("")
        self._reachable = True
        self._checked_tools: set[tuple[str, str]] = set()
        self._siblings = Siblings(settings, self._converse)
        self._baseline = settings.locked and BaselineTurns(Run(settings.locked))

    @property
    def key_warning(self) -> str | None:
        """A warning before something is recorded with a key that texts may contain by chance."""
        return weak_key_warning(self._redactor) if self.settings.may_record else None

    def introduce(self, variants: Sequence[Variant]) -> None:
        """Register variants, so that ``same_as`` finds siblings that the session deselects."""
        self._siblings.introduce(variants)

    def add_secrets(self, values: Sequence[str]) -> None:
        """Register texts that must never be written; before a variant that contains them runs."""
        self.settings = replace(self.settings, secrets=(*self.settings.secrets, *values))
        self._redactor = self._redactor.with_secrets(values)
        self._siblings.settings = self.settings

    def cassette(self, variant: Variant) -> Path:
        """Return the path of a variant's cassette."""
        return self.settings.cassettes / variant.cassette

    def may_run_concurrently(self, variant: Variant) -> bool:
        """Return whether a variant may run in a thread beside others.

        It must not share cached siblings, nor patch HTTP libraries for its target.
        """
        return variant.target is None and not self.is_compared(variant)

    def is_compared(self, variant: Variant) -> bool:
        """Return whether other variants compare themselves with this one."""
        return variant in self._siblings

    def run(self, variant: Variant) -> VariantOutcome:
        """Run and evaluate one variant; its faults are part of the outcome.

        Raises UsageError where the network is needed and cannot be used.
        """
        if not self.settings.may_record:
            return self._run(variant)
        self.ledger.count(started=1)
        faults = {}
        try:
            outcome = self._run(variant)
            if variant.xfail is None and outcome.verdict in (Verdict.FAILED, Verdict.ERRORED):
                faults[str(outcome.verdict)] = 1
            return outcome
        finally:
            self.ledger.count(ended=1, **faults)

    def _run(self, variant: Variant) -> VariantOutcome:
        try:
            transcript, unplayed, evaluator = self._conversation(variant)
        except UsageError:
            raise
        except Misconfigured as error:
            first, _, rest = str(error).partition("\n")
            finding = Finding("misconfigured", first, detail=rest)
            check = CheckResult(CONVERSATION, Verdict.ERRORED, (finding,))
            return self._outcome(variant, [check], None, ())
        reconstructed = None
        if isinstance(transcript.crash, CassetteMiss):
            # Start-up cost: most sessions have no miss.
            from evalkit.conversation.reconstruct import transcript_of

            cassette = load_cassette(self.cassette(variant))
            # The cassette of a locked variant has one conversation for each turn.
            if cassette is not None and not variant.is_locked:
                reconstructed = transcript_of(cassette)
                reconstructed.settings = transcript.settings
        results = evaluator.evaluate(transcript, reconstructed)
        if self.settings.may_record or self.settings.live:
            results = [*pattern_warnings(variant, self._keys), *results]
        outcome = self._outcome(variant, results, transcript, unplayed)
        if isinstance(transcript.crash, ConnectFailed):
            return replace(outcome, is_unreachable=True)
        miss = evaluator.miss_of(transcript)
        if miss is None or not miss.cause:
            return outcome
        report = str(miss).partition(f"\n{HINT}")[0]
        return replace(outcome, miss=(self.redact(miss.cause), self.redact(report)))

    def not_run(self, variant: Variant, verdict: Verdict, reason: str) -> VariantOutcome:
        """Return the outcome of a variant that pytest skipped, or whose setup failed."""
        check = CheckResult(CONVERSATION, verdict, (Finding("not_run", reason),))
        return self._outcome(variant, [check], None, ())

    def _conversation(self, variant: Variant) -> VariantRun:
        if variant in self._siblings:
            return self._siblings.run(variant)
        return self._converse(variant, self.settings)

    def _converse(self, variant: Variant, settings: Settings) -> VariantRun:
        """Run a conversation, and count what it recorded.

        In mode ``changed`` it is replayed first, and recorded from its start if that had a miss.
        """
        if not settings.may_record:
            return self._converse_once(variant, settings)
        # A sibling that another worker recorded is counted there.
        is_counted = not settings.live and settings is self.settings
        path = self.cassette(variant) if is_counted else None
        before, run = file_version(path), None
        if settings.mode == "changed":
            remove_folded_journal(self.cassette(variant))
            run = self._converse_once(variant, replace(settings, mode="none"))
            settings = replace(settings, mode="all")
        if run is None or run.evaluator.miss_of(run.transcript) is not None:
            run = self._converse_once(variant, settings)
        transcript = run.transcript
        self.ledger.add(
            (*transcript.exchanges, *transcript.side_exchanges),
            cassette_change(before, file_version(path)),
        )
        if isinstance(transcript.crash, ConnectFailed) and variant.target is None:
            address = self._redactor.uri(self.settings.base_url)
            self.ledger.stop(f"{address} cannot be reached ({transcript.crash})")
        return run

    def _converse_once(self, variant: Variant, settings: Settings) -> VariantRun:
        if settings.live or (
            settings.may_record
            and not (settings.mode == "once" and self.cassette(variant).exists())
        ):
            refuse_keys(variant, self._keys)
        evaluator = Evaluator(
            variant, settings.python, lambda selector: self._siblings.find(variant, selector)
        )
        locked = self._baseline.of(variant) if self._baseline else None
        # A locked turn does not depend on the one before it.
        stops = variant.stop_on_failure and locked is None
        end_turn = _stop_on_failure(variant, evaluator) if stops else lambda _: True
        if variant.target is not None:
            assert self._run_target is not None, "this runner cannot run targets"
            transcript, unplayed = self._run_target(
                variant,
                settings,
                metadata=self._metadata(variant),
                end_turn=end_turn,
                evaluator=evaluator,
            )
            return VariantRun(transcript, unplayed, evaluator)
        self._check_signatures(variant)
        transport = self._transport(variant, settings)
        try:
            with evaluator.requests_over(_at_version(transport.send, variant, settings)):
                transcript = drive_variant(variant, transport, settings, end_turn, locked)
                if settings.may_record:
                    self._reachable = not isinstance(transcript.crash, ConnectFailed)
                transport.finish(evaluator.run_requesting_checks(transcript))
        finally:
            transport.close()
        return VariantRun(transcript, list(transport.unplayed), evaluator)

    def _check_signatures(self, variant: Variant) -> None:
        """Check the signatures of a variant's Python tools, once for the variants that share them.

        Raises SuiteErrors.
        """
        tools = [tool for tool in variant.tools.values() if tool.python]
        keys = {(variant.suite.label, tool.name) for tool in tools}
        if keys <= self._checked_tools and not any(t.declaration_has_templates for t in tools):
            return
        check_signatures(variant, self.settings.python)
        self._checked_tools |= keys

    def _transport(self, variant: Variant, settings: Settings) -> Transport:
        if settings.live:
            # Start-up cost: a replay neither records nor reaches the network.
            from evalkit.transports.record_transport import RedactingTransport

            return RedactingTransport(self._live_transport(variant), self._redactor)
        return open_transport(
            mode=settings.record_mode,
            path=self.cassette(variant),
            live=lambda: self._endpoint(variant),
            metadata=self._metadata(variant),
            hint=lambda: record_hint(variant, settings),
            secrets=settings.secrets,
            label=variant.id,
            patterns=settings.patterns,
        )

    def _live_transport(self, variant: Variant) -> LiveTransport:
        # Slow third-party library: replay needs no httpx.
        from evalkit.transports.live import RETRIES, LiveTransport

        # After one variant has tried in vain to reach the endpoint, the others do not retry:
        # hundreds of them must not wait for it each.
        try:
            key = self.settings.live_key()
        except UsageError as error:
            self.ledger.stop(str(error))
            raise
        return LiveTransport(
            self.settings.base_url,
            key,
            timeout=variant.timeout,
            retries=RETRIES if self._reachable else 0,
            on_retry=partial(self.ledger.count, retries=1),
        )

    def _metadata(self, variant: Variant) -> dict[str, Any]:
        if self.settings.mode == "none":
            return {}
        return {
            "evalkit": VERSION,
            "recorded": timestamp(),
            "endpoint": self._redactor.uri(self.settings.base_url),
            "model": variant.fields.get("model") or variant.fields.get("agent"),
            "api_revision": API_REVISION,
            "suite": variant.suite.name,
            "scenario": variant.name,
            "suite_digest": f"sha256:{variant.suite.digest}",
            **({"locked": True} if variant.is_locked else {}),
        }

    def _outcome(
        self,
        variant: Variant,
        checks: list[CheckResult],
        transcript: Transcript | None,
        unplayed: Sequence[str],
    ) -> VariantOutcome:
        verdict = overall_verdict(checks)
        cassette = None if self.settings.live else variant.cassette
        id_, trial = variant.id, variant.trial
        if self._worker:
            trial += self._worker * (self._repeat or variant.scenario.repeat)
            name = variant_name(variant.scenario.id, variant.parts, trial)
            id_ = f"{variant.suite.name}::{name}"
        identity = Identity(
            id=id_,
            suite=variant.suite.name,
            scenario=variant.scenario.id,
            title=variant.title,
            variant=dict(variant.settings),
            parts=variant.parts,
            trial=trial,
            tags=variant.tags,
            path=variant.suite.label,
            line=variant.line,
            cassette=cassette,
        )
        message = ""
        if verdict not in (Verdict.PASSED, Verdict.SKIPPED):
            location = f"{variant.suite.label}:{variant.line}"
            message = self.redact(failure_text(variant.id, location, checks))
        record = result_record(identity, verdict, message, checks, transcript, unplayed)
        return rendered_outcome(record, self.redact)

    def redact(self, text: str) -> str:
        """Replace secrets in a text."""
        # A model may repeat a secret that it received.
        return self._redactor.text(text)


def record_hint(variant: Variant, settings: Settings) -> str:
    """Return the shell command that records a test again, and no trial that is another test."""
    if variant.policy is not None:
        name = variant_name(variant.scenario.id, variant.parts, 1)
        return rerecord_command(settings, f"{variant.suite.label}::{name}")
    repeats = variant.scenario.repeat > 1 or any("--evalkit-repeat" in w for w in settings.command)
    number = "#1" if repeats and variant.trial == 1 else ""
    return rerecord_command(settings, f"{variant.suite.label}::{variant.name}{number}")


def _at_version(
    send: Callable[[Request], Response], variant: Variant, settings: Settings
) -> Callable[[Request], Response]:
    """Return ``send`` for requests of checks, which do not know the variant's version."""
    version = api_version(variant, settings)
    return lambda request: send(
        request._replace(path=resource_path(version, request.path.rpartition("/")[2]))
    )


def _stop_on_failure(variant: Variant, evaluator: Evaluator) -> EndTurn:
    transcript = Transcript(dict(variant.settings))

    def end_turn(turn: Turn) -> bool:
        transcript.turns.append(turn)
        results = evaluator.evaluate_turn(transcript, turn)
        return worst(result.verdict for result in results) is Verdict.PASSED

    return end_turn
