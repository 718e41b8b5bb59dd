"""Running variants: open the transport, hold the conversation, judge it, make the result line.

One Runner serves a session. It keeps no transcript longer than it must: a result leaves as text. Only the variants of a scenario that compares them
(``same_as``) are kept, until the next scenario starts: so that none is held, or recorded, twice. Nothing here knows pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from evalkit._lib.clock import timestamp
from evalkit._lib.text import show, visible
from evalkit._lib.version import VERSION
from evalkit.cassette.loader import load_cassette
from evalkit.cassette.redaction import Redactor
from evalkit.errors import CassetteMiss, ConnectFailed, Misconfigured, UsageError
from evalkit.protocol.wire_facts import API_REVISION
from evalkit.results import Identity, Tally, result_line, tally
from evalkit.results.result_line import metrics
from evalkit.session.evaluation import CONVERSATION, Evaluator
from evalkit.session.failure_text import failure_text
from evalkit.session.holding import hold, never_stop
from evalkit.session.settings import Settings, rerecord_command
from evalkit.transcript import Transcript, Turn
from evalkit.transports import open_transport
from evalkit.verdict import CheckResult, Finding, Verdict, worst

if TYPE_CHECKING:
    from evalkit.suite import Variant
    from evalkit.transports import LiveTransport, Transport
    from evalkit.transports.record import Endpoint

RunTarget: TypeAlias = "Callable[[Variant, Settings, Mapping[str, Any], Callable[[Turn], bool], Evaluator], tuple[Transcript, list[str]]]"


class VariantOutcome(NamedTuple):
    """What became of a variant: its verdict, the failure text for people, the result line, and the numbers for the totals.

    ``cassette`` is the cassette's path below the folder of cassettes, None in a live session.
    """

    verdict: Verdict
    message: str
    line: str
    tally: Tally
    cassette: str | None = None


class _Held(NamedTuple):
    transcript: Transcript
    unplayed: list[str]
    judge: Evaluator


class Runner:
    """Runs the variants of a session by its settings; ``endpoint`` makes what is recorded from, where it is not the network.

    Raises UsageError for settings that cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        endpoint: Callable[[Variant], Endpoint] | None = None,
        run_target: RunTarget | None = None,
    ) -> None:
        self.settings = settings
        self._endpoint = endpoint
        self._run_target = run_target
        self._redactor = Redactor(settings.secrets, settings.patterns)
        self._poll_seconds = settings.poll_seconds
        self._reached = True
        self._cassettes = str(settings.cassettes)
        self._clean("")  # a pattern that is none is the user's to know before anything is held
        self._families: dict[tuple[Path, str], list[Variant]] = {}
        self._kept_of: tuple[Path, str] | None = None
        self._kept: dict[str, _Held] = {}

    def introduce(self, variants: Sequence[Variant]) -> None:
        """Make variants known to each other, so that ``same_as`` can find a sibling that is not selected in this session."""
        for variant in variants:
            if _compares(variant):
                self._families.setdefault((variant.suite.path, variant.scenario.id), []).append(
                    variant
                )

    def cassette(self, variant: Variant) -> Path:
        """Return where a variant's cassette lies."""
        return self.settings.cassettes / variant.cassette

    def may_run_aside(self, variant: Variant) -> bool:
        """Say whether a variant may run while others do: it has no siblings to be compared with, and patches no HTTP library."""
        return (
            variant.target is None
            and (variant.suite.path, variant.scenario.id) not in self._families
        )

    def run(self, variant: Variant) -> VariantOutcome:
        """Hold and judge one variant. Raises UsageError where a live answer is needed and cannot be had; faults of a variant are outcomes."""
        try:
            transcript, unplayed, judge = self._hold_once(variant)
        except UsageError:
            raise
        except Misconfigured as error:
            return self._outcome(variant, [_broken(error)], None, ())
        taped = (
            self._taped(variant, transcript) if isinstance(transcript.crash, CassetteMiss) else None
        )
        return self._outcome(variant, judge.conversation(transcript, taped), transcript, unplayed)

    def _judge(self, variant: Variant) -> Evaluator:
        return Evaluator(
            variant, self.settings.root, lambda selector: self._sibling(variant, selector)
        )

    def _taped(self, variant: Variant, held: Transcript) -> Transcript | None:
        from evalkit.conversation.reconstruct import (
            transcript_of,
        )  # here, because it takes a miss to need it

        cassette = load_cassette(self.cassette(variant))
        if cassette is None:
            return None
        taped = transcript_of(cassette)
        taped.settings = held.settings
        return taped

    def not_run(self, variant: Variant, verdict: Verdict, reason: str) -> VariantOutcome:
        """Return the outcome of a variant that pytest skipped, or that broke before it was held."""
        check = CheckResult(CONVERSATION, verdict, (Finding("not_run", reason),))
        return self._outcome(variant, [check], None, ())

    def _hold_once(self, variant: Variant) -> _Held:
        family = (variant.suite.path, variant.scenario.id)
        if not self._families or family not in self._families:
            return self._hold(variant)
        if family != self._kept_of:
            self._kept_of, self._kept = family, {}
        if variant.id not in self._kept:
            self._kept[variant.id] = self._hold(variant)
        return self._kept[variant.id]

    def _hold(self, variant: Variant) -> _Held:
        settings, judge = self.settings, self._judge(variant)
        go_on = _until_failure(variant, judge) if variant.stop_on_failure else never_stop
        if variant.target is not None:
            assert self._run_target is not None, "this runner runs no targets"
            metadata = self._metadata(variant)
            return _Held(*self._run_target(variant, settings, metadata, go_on, judge), judge)
        transport = self._live(variant) if settings.live else self._transport(variant)
        judge.open(transport.send)
        try:
            transcript = hold(variant, transport, settings.root, self._poll_seconds, go_on)
            if settings.may_record:
                self._reached = not isinstance(transcript.crash, ConnectFailed)
            judged = judge.ask(transcript)
            # An answer nobody expected (a quota used up, say) is no reason to give up a good recording.
            transport.finish(
                judged
                and all(
                    judge.in_order(turn) or turn.outcome == "not_run" for turn in transcript.turns
                )
            )
        finally:
            judge.close()
            transport.close()
        return _Held(transcript, list(transport.unplayed), judge)

    def _transport(self, variant: Variant) -> Transport:
        settings = self.settings
        return open_transport(
            mode=settings.mode,
            path=f"{self._cassettes}/{variant.cassette}",
            live=lambda: (
                self._endpoint(variant) if self._endpoint is not None else self._live(variant)
            ),
            metadata=self._metadata(variant) if settings.mode != "none" else {},
            hint=lambda: rerecord_command(variant.suite.label, variant.name),
            secrets=settings.secrets,
            label=variant.id,
            patterns=settings.patterns,
        )

    def _metadata(self, variant: Variant) -> dict[str, Any]:
        return {
            "evalkit": VERSION,
            "recorded": timestamp(),
            "endpoint": self.settings.base_url,
            "model": variant.fields.get("model") or variant.fields.get("agent"),
            "api_revision": API_REVISION,
            "suite": variant.suite.name,
            "scenario": variant.name,
            "suite_digest": f"sha256:{variant.suite.digest}",
        }

    def _live(self, variant: Variant) -> LiveTransport:
        from evalkit.transports import LiveTransport
        from evalkit.transports.retry import RETRIES

        # An endpoint that the variant before could not reach, tried often, is asked once: hundreds of variants need not wait for it each.
        retries = RETRIES if self._reached else 0
        return LiveTransport(
            self.settings.base_url,
            self.settings.live_key(),
            timeout=variant.timeout,
            retries=retries,
        )

    def _sibling(self, variant: Variant, selector: Mapping[str, Any]) -> Transcript | None:
        wanted = {**variant.settings, **selector}
        family = self._families.get((variant.suite.path, variant.scenario.id), [])
        found = next(
            (
                other
                for other in family
                if other.settings == wanted and other.trial == variant.trial
            ),
            None,
        )
        if found is None:
            known = ", ".join(other.name for other in family)
            raise LookupError(
                f"no variant of this scenario has {show(dict(selector))}; there are: {known}"
            )
        if found.id == variant.id:
            return None
        transcript = self._hold_once(found).transcript
        if isinstance(transcript.crash, CassetteMiss):
            raise LookupError(f"{found.name} cannot be replayed: {transcript.crash}")
        return transcript

    def _outcome(
        self,
        variant: Variant,
        checks: list[CheckResult],
        transcript: Transcript | None,
        unplayed: Sequence[str],
    ) -> VariantOutcome:
        verdict = worst([check.verdict for check in checks])
        if verdict is Verdict.SKIPPED and len(checks) > 1:
            verdict = Verdict.PASSED
        cassette = None if self.settings.live else variant.cassette
        identity = Identity(
            id=variant.id,
            suite=variant.suite.name,
            scenario=variant.scenario.id,
            title=variant.title,
            variant=variant.settings,
            parts=variant.parts,
            trial=variant.trial,
            tags=variant.tags,
            path=variant.suite.label,
            line=variant.line,
            cassette=cassette,
        )
        message = ""
        if verdict not in (Verdict.PASSED, Verdict.SKIPPED):
            message = self._clean(
                failure_text(variant.id, f"{variant.suite.label}:{variant.line}", checks)
            )
        sums = metrics(transcript)
        line = result_line(
            identity,
            verdict,
            message,
            checks,
            transcript,
            unplayed=unplayed,
            clean=self._clean,
            sums=sums,
        )
        counts = tally(verdict, checks, sums, unplayed)
        counts["warned"] = [self._clean(visible(text)) for text in counts["warned"]]
        return VariantOutcome(verdict, message, line, counts, cassette)

    def _clean(self, text: str) -> str:
        """Take secrets out of what is about to be written or shown: a model may say back what it was told."""
        return self._redactor.text(text)[0] if self._redactor.active else text


def _until_failure(variant: Variant, judge: Evaluator) -> Callable[[Turn], bool]:
    seen = Transcript(dict(variant.settings))

    def end_turn(turn: Turn) -> bool:
        seen.turns.append(turn)
        return worst(result.verdict for result in judge.turn(seen, turn)) is Verdict.PASSED

    return end_turn


def _compares(variant: Variant) -> bool:
    turns = (turn.expect[variant.row] for turn in variant.scenario.turns)
    return any(item.name == "same_as" for expect in (variant.expect, *turns) for item in expect)


def _broken(error: Misconfigured) -> CheckResult:
    first, _, rest = str(error).partition("\n")
    return CheckResult(
        CONVERSATION, Verdict.ERRORED, (Finding("misconfigured", first, detail=rest),)
    )
