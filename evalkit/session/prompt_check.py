"""Check prompts before they are recorded: a key is refused, a match of a pattern is reported.

Neither is ever written, so the recording would silently differ from what was sent.
"""

from collections.abc import Iterator
from typing import Any

from evalkit.cassette.redaction import Redactor
from evalkit.errors import Problem, SuiteErrors
from evalkit.protocol.wire_facts import API_KEY_VARIABLES
from evalkit.suite import Variant
from evalkit.suite.loading.loader import redacted
from evalkit.suite.model.deferred import as_text
from evalkit.verdict import CONVERSATION, CheckResult, Finding, Verdict, Where


def refuse_keys(variant: Variant, redactor: Redactor) -> None:
    """Raise SuiteErrors if the variant's instruction or a message contains a key."""
    for turn, place, text in _prompts(variant):
        if redactor.finds(text):
            names = " or ".join(API_KEY_VARIABLES)
            problem = f"{place} contains the value of {names} (a key is never recorded); remove it"
            if turn is None:
                raise SuiteErrors([Problem(variant.suite.label, variant.line, 1, problem)])
            key = "user" if turn.simulate is None else "simulate"
            raise turn.resources.located((*turn.path, key), ValueError(problem))


def pattern_warnings(variant: Variant, redactor: Redactor) -> list[CheckResult]:
    """Return a warning for each prompt that a redaction pattern matches."""
    results = []
    for turn, place, text in _prompts(variant):
        if pattern := redactor.matching_pattern(text):
            finding = Finding(
                "prompt_redacted",
                f"{place} matches the redaction pattern {pattern!r}: it is sent as it is, and "
                "recorded with REDACTED in place of the match",
                Where(turn=turn.number) if turn is not None else Where(),
            )
            check = CheckResult(CONVERSATION, Verdict.PASSED, (finding.as_warning(),))
            results.append(check)
    return results


def _prompts(variant: Variant) -> Iterator[tuple[Any, str, str]]:
    """Yield the turn (None for the system instruction), the name and the text of each prompt."""
    # The values of environment variables are replaced on purpose.
    instruction = variant.fields_with(redacted).get("system_instruction")
    if instruction is not None:
        yield None, "the system instruction", as_text(instruction)
    for turn in variant.turns:
        # A template may render every variable.
        variables = [dict(turn.variables)] if turn.has_templates else []
        if turn.simulate is not None:
            yield turn, "the simulated user", as_text([dict(turn.simulate), *variables])
        else:
            yield turn, "the user's message", as_text([turn.user, *variables])


def weak_key_warning(redactor: Redactor) -> str | None:
    """Return a warning about keys that are not replaced in texts, if there are any."""
    if not redactor.has_weak_secrets:
        return None
    return (
        f"{' or '.join(API_KEY_VARIABLES)}: the key is an ordinary word or shorter than 16 "
        "characters (it is kept out of headers, URLs and secret fields, and stays in texts); "
        "record with another key if texts may repeat it"
    )
