"""``--evalkit-resume``: the results of an interrupted run, as the outcomes of tests.

Only results that passed or failed are reused; errors and skips, which say nothing about the model,
are run again. A result is valid for the suite that it was recorded with: after a change of a suite
the run cannot be resumed.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit._lib.json import JSON
from evalkit.errors import UsageError
from evalkit.results import Run, tally_of
from evalkit.results.early_stop import sequential_of
from evalkit.results.result_line import counts_as_test, parse_head, trials_text, verdict_of
from evalkit.results.run_directory import MANIFEST, RESULTS
from evalkit.session import VariantOutcome
from evalkit.session.trials import ItemOutcome
from evalkit.suite.model.policies import TrialPolicy
from evalkit.verdict import Verdict


def stored_results(
    directory: Path,
    suites: Mapping[str, Mapping[str, Any]],
    *,
    until_decided: str | None,
    locked: JSON,
) -> dict[str, str]:
    """Return the reusable result lines of a run directory by variant id; none without a run.

    ``suites`` are the collected suites by path, ``until_decided`` is the gate of a session that may
    stop early, ``locked`` the baseline that its turns continue. Raises UsageError for a changed
    suite, for a line that cannot be read, for a run that could stop early where this session
    cannot, or the reverse, and for a run with another baseline.
    """
    if not (directory / RESULTS).exists():
        return {}
    run = Run(directory)
    digests = {suite.get("path"): suite.get("digest") for suite in run.manifest.get("suites", ())}
    changed = [
        path for path, suite in suites.items() if digests.get(path) not in (None, suite["digest"])
    ]
    if changed:
        raise UsageError(
            f"cannot resume {directory}: {', '.join(sorted(changed))} changed since; "
            "run without --evalkit-resume"
        )
    record = sequential_of(run.manifest)
    gate = record["gate"] if record is not None else None
    if gate != until_decided:
        why = f"was run until gate {gate} is decided; add --evalkit-until-decided {gate}"
        if gate is None:
            why = "was not run in random order, as --evalkit-until-decided needs; run without "
            why += "--evalkit-resume"
        raise UsageError(f"cannot resume {directory}: it {why}")
    before = run.manifest.get("options", {}).get("locked")
    if before != locked:
        raise UsageError(
            f"cannot resume {directory}: --evalkit-locked was {before or 'not given'}, and is "
            f"{locked or 'not given'} now; run without --evalkit-resume"
        )
    lines = {}
    for number, line in enumerate(run.lines(), 1):
        try:
            result = json.loads(line)
            if result["verdict"] in ("passed", "failed"):
                lines[result["id"]] = line
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"cannot resume {directory / RESULTS}:{number}: {error}; "
                "run without --evalkit-resume"
            ) from error
    return lines


def stored_seed(directory: Path, seed: int | None) -> int | None:
    """Return the seed of the run to resume; without one ``seed``. Raises UsageError for another."""
    record = sequential_of(Run(directory).manifest) if (directory / MANIFEST).exists() else None
    if record is None or seed == record["seed"]:
        return seed
    if seed is not None:
        raise UsageError(
            f"cannot resume {directory}: its order is that of --evalkit-seed {record['seed']}, not "
            f"{seed}; leave --evalkit-seed out"
        )
    return record["seed"]


def policy_of(line: str) -> TrialPolicy | None:
    """Return the policy of the test that a result is a trial of, if it is."""
    repeat = parse_head(line).get("repeat")
    return TrialPolicy(repeat["trials"], repeat["require"]) if repeat else None


def stored_item(lines: Sequence[str]) -> ItemOutcome:
    """Return the outcome of a test that stored result lines record."""
    results = [stored_outcome(line) for line in lines]
    heads = [parse_head(line) for line in lines]
    first = next(head for head in heads if counts_as_test(head))
    messages = [head["message"] for head in heads if head["message"]]
    verdict = Verdict(verdict_of(first))
    if "repeat" in first:
        messages.insert(0, trials_text(first["repeat"]))
    message = "" if verdict is Verdict.PASSED else "\n".join(messages)
    return ItemOutcome(verdict=verdict, message=message, results=results)


def stored_outcome(line: str) -> VariantOutcome:
    """Return the outcome that a stored result line records."""
    result = json.loads(line)
    return VariantOutcome(
        verdict=Verdict(result["verdict"]),
        message=result["message"],
        line=line,
        tally=tally_of(result),
        cassette=result["cassette"],
    )
