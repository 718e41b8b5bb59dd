"""Refuse to record a prompt that would be replaced in its recording.

A key or a match of a redaction pattern is never written. In a prompt it would be sent as it is and
recorded as ``REDACTED``, which is a mistake of the suite, found before anything is sent.
"""

from evalkit._lib.json import JSON, dumps
from evalkit.cassette.redaction import Redactor
from evalkit.errors import Problem, SuiteErrors
from evalkit.protocol.wire_facts import API_KEY_VARIABLES
from evalkit.suite import Variant
from evalkit.suite.loading.loader import redacted


def check_prompts(variant: Variant, redactor: Redactor) -> None:
    """Raise SuiteErrors if the variant's instruction or a message has what is never written."""
    # The values of environment variables are replaced on purpose.
    instruction = variant.fields_with(redacted).get("system_instruction")
    if problem := _problem("the system instruction", instruction, redactor):
        raise SuiteErrors([Problem(variant.suite.label, variant.line, 1, problem)])
    for turn in variant.turns:
        # A template may render every variable.
        text = [turn.user, dict(turn.variables)] if turn.has_templates else turn.user
        if problem := _problem("the user's message", text, redactor):
            raise turn.resources.located((*turn.path, "user"), ValueError(problem))


def _problem(place: str, value: JSON, redactor: Redactor) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else dumps(value)
    if redactor.finds(text):
        names = " or ".join(API_KEY_VARIABLES)
        return f"{place} contains the value of {names} (a key is never recorded); remove it"
    if pattern := redactor.matching_pattern(text):
        return (
            f"{place} matches the redaction pattern {pattern!r} (what it matches is never "
            "recorded); change the text or evalkit_redact"
        )
    return None


def weak_key_warning(redactor: Redactor) -> str | None:
    """Return a warning about keys that are not replaced in texts, if there are any."""
    if not redactor.has_weak_secrets:
        return None
    return (
        f"{' or '.join(API_KEY_VARIABLES)}: the key is an ordinary word or shorter than 16 "
        "characters (it is kept out of headers, URLs and secret fields, and stays in texts); "
        "record with another key if texts may repeat it"
    )
