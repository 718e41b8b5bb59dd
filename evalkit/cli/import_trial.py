"""Trial runs of drafted scenarios, in a temporary project.

An application need not converse as evalkit does: it may have answered no call, polled no run, or
sent results together with a message. So each draft is run over its recordings, and what they do not
have is removed from the scenario. A turn ends where its responses end (``stop_after``).
Expectations that fail when the conversation is repeated are dropped, and so are turns that cannot
be repeated. A scenario that still does not pass is left out. What is written is then recorded, and
replayed as ``pytest`` will replay it.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evalkit._lib.json import loads
from evalkit._lib.progress import tracked
from evalkit._lib.text import shorten, show, visible
from evalkit.cassette.recording import Recording
from evalkit.conversation.reconstruct import request_of, split_uri
from evalkit.errors import EvalkitError, SuiteErrors, UsageError
from evalkit.importing.scenario_drafts import ScenarioDraft, SuiteDraft
from evalkit.importing.suite_writer import write_suites
from evalkit.plugins import Catalog
from evalkit.results.records import ResultLine
from evalkit.results.result_line import parse_result
from evalkit.session import Runner, Settings
from evalkit.session.recorded_endpoint import RecordedEndpoint, RecordedSettings
from evalkit.suite import Variant, expand, load
from evalkit.verdict import Verdict


class TrialProject:
    """A project in the folder ``root``, whose cassettes are in ``cassettes``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cassettes = root / "cassettes"

    def fit(self, draft: ScenarioDraft) -> str:
        """Change a draft until its scenario passes; return why it cannot, ``""`` if it does."""
        if problem := _request_problem(draft.recordings[0]):
            return problem
        try:
            while self._adapt(draft):
                pass
        except SuiteErrors as error:
            return error.problems[0].message
        except RecursionError:
            return "it contains JSON that is nested too deep for a suite"
        except EvalkitError as error:
            return str(error).partition("\n")[0]
        return ""

    def record(self, suites: list[SuiteDraft], folder: Path, schema: str) -> dict[str, str]:
        """Write suites and record them; return why scenarios do not replay, by their ids."""
        problems: dict[str, str] = {}
        paths = write_suites(suites, folder, schema)
        pairs = list(zip(suites, paths, strict=True))
        for suite, path in tracked(pairs, "recording suites", len(pairs)):
            drafts = {draft.id: draft for draft in suite.scenarios}
            for variant in self._variants(path):
                draft = drafts[variant.scenario.id]
                for runner in (self._recorder(draft, RecordedEndpoint(draft.recordings)), None):
                    outcome = (runner or Runner(self._settings(draft))).run(variant)
                    if outcome.verdict is not Verdict.PASSED:
                        problems[variant.scenario.id] = outcome.message
        return problems

    def clear(self) -> None:
        """Delete what was written."""
        for path in self.root.iterdir():
            shutil.rmtree(path)

    def _adapt(self, draft: ScenarioDraft) -> bool:
        """Run a draft once; return whether it was changed and must run again."""
        suite = SuiteDraft("trial", draft.source, draft.tools.functions, [draft])
        try:
            (path,) = write_suites([suite], self.root / "trial", "")
            (variant,) = self._variants(path)
            endpoint = RecordedEndpoint(draft.recordings)
            result = parse_result(self._recorder(draft, endpoint).run(variant).line)
        finally:
            self.clear()
        return _cut_turns(draft, result, endpoint.has_ended) or _drop_expectations(draft, result)

    def _variants(self, path: Path) -> Iterator[Variant]:
        return iter(expand(load(path, root=self.root, checks=Catalog())))

    def _settings(self, draft: ScenarioDraft) -> Settings:
        # The cassettes name the endpoint of the recordings, not the current one.
        first = split_uri(draft.recordings[0].uri)
        base_url = f"{first.scheme}://{first.netloc}" if first.netloc else None
        return RecordedSettings.read(
            self.root, self.cassettes, "none", base_url=base_url, environment=os.environ
        )

    def _recorder(self, draft: ScenarioDraft, endpoint: RecordedEndpoint) -> Runner:
        return Runner(replace(self._settings(draft), mode="all"), endpoint=lambda variant: endpoint)


def _request_problem(recording: Recording) -> str:
    """Return why the request that began a conversation cannot be repeated, ``""`` if it can."""
    if recording.method != "POST" or not request_of(recording).path.endswith("/interactions"):
        return "the request that began it is not in the log; evalkit import --interaction reads it"
    body = recording.request_body
    if not body:
        return "the body of the request that began it is not in the log; record it with its body"
    try:
        value = loads(body)
    except (ValueError, RecursionError) as error:
        return f"the body of a request cannot be read ({error}): {shorten(str(body))}"
    return (
        "" if isinstance(value, dict) else f"the body of a request is not an object: {show(value)}"
    )


def _cut_turns(draft: ScenarioDraft, result: ResultLine, has_ended: bool) -> bool:
    """End turns where the recording ends; return whether the draft was changed.

    Raises UsageError where not even the first turn can be repeated.
    """
    turns, entries = result["turns"], draft.entry["turns"]
    index = next((at for at, turn in enumerate(turns) if turn["outcome"] == "incomplete"), None)
    if index is None:
        return False
    received = sum("response" in exchange for exchange in turns[index]["exchanges"])
    if has_ended and received and "stop_after" not in entries[index]:
        entries[index]["stop_after"] = received
        return True
    reason = visible(turns[index].get("reason") or "it did not complete")
    if index == 0:
        raise UsageError(reason)
    draft.tools.notes.append(f"turn {index + 1} and what follows cannot be repeated: {reason}")
    del entries[index:]
    return True


def _drop_expectations(draft: ScenarioDraft, result: ResultLine) -> bool:
    """Drop the expectations that failed; return whether the draft was changed.

    Raises UsageError where something else failed.
    """
    failed = [check for check in result["checks"] if check["verdict"] in ("failed", "errored")]
    for check in failed:
        entry = draft.entry["turns"][check.get("turn", 1) - 1]
        expect = [item for item in entry.get("expect", ()) if check["name"] not in item]
        message = f"{check['name']}: {visible(check['findings'][0]['message'])}"
        if "turn" not in check or len(expect) == len(entry.get("expect", ())):
            raise UsageError(message)
        draft.tools.notes.append(f"turn {check['turn']}, expectation dropped: {message}")
        entry["expect"] = expect
    return bool(failed)
