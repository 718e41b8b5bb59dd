"""Reduce a result to what a comparison needs, about a kilobyte. Pure.

The answer is stored as a digest of everything that does not differ between two recordings of the
same answer: status, text, step types, calls with their arguments. Ids, signatures and times are not
part of it.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, canonical
from evalkit._lib.text import shorten
from evalkit.results.judgments import StoredJudgment, stored_judgments
from evalkit.results.records import LockRecord, ResultHead
from evalkit.results.result_line import amount, counts_as_test
from evalkit.verdict import Verdict, worst

Price = Annotated[float, Field(ge=0, le=1e9, strict=True, allow_inf_nan=False)]
_MAX_TEXT = 160

MESSAGE = "message of turn"
"""How the names of request parts begin that are messages of the user."""
ANSWERED = {"model that answered": "model", "tier that answered": "service_tier"}
"""What the service says about itself, and the field of the interaction that has it."""

Key = TypeVar("Key")
Value = TypeVar("Value")
VariantKey = tuple[str, str, tuple[str, ...]]
"""Suite, scenario, parts of the variant's name."""
ResultKey = tuple[str, str, tuple[str, ...], int]
"""The identity by which results are paired: the variant's key and the trial."""


ExtraKind = Literal["judge", "simulator", "retried"]

_SIDE_KINDS: tuple[Literal["judge", "simulator"], ...] = ("judge", "simulator")


class ExtraUsage(NamedTuple):
    """Tokens that are counted apart from those of the conversation, and their model.

    ``cost`` is None if it is not known.
    """

    kind: ExtraKind
    model: str
    tokens: Mapping[str, int]
    cost: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One result.

    ``settings`` are its variant's, by name; ``prompt`` names its prompt. ``checks`` has the worst
    verdict of each check over all turns, ``reasons`` a sentence for each check and code of a
    finding that failed it, ``message`` the whole text about not passing, ``answer`` the beginning
    of the answer that failed. ``tokens``, ``elapsed_ms`` and ``cost`` are None if unknown;
    ``usage`` has the tokens by the API's field names.
    ``request_parts`` are the settings sent with every turn, the user's messages, and the model and
    tier that answered, each as canonical JSON; none if nothing was sent. ``location`` is
    ``file:line`` of the scenario. ``case`` is the label of its case row, empty without one;
    ``extra`` are tokens that are not part of ``usage``; ``source`` says whether its responses were
    ``replayed``, ``recorded``, ``live`` or ``mixed``, None without any. Of several trials that are
    one test, one ``counts`` as the test. ``locked`` says what its turns continue, if they are
    locked; for a turn, ``conversation`` is the digest of the answers that it continues.
    """

    id: str
    key: ResultKey
    settings: Mapping[str, JSON]
    model: str
    prompt: str
    tags: tuple[str, ...]
    verdict: Verdict
    checks: Mapping[str, Verdict]
    reasons: Mapping[tuple[str, str], str]
    message: str
    title: str
    answer: str
    tokens: int | None
    elapsed_ms: float | None
    cost: float | None
    answer_digest: str
    request_parts: Mapping[str, str]
    location: str
    case: str
    source: str | None
    usage: Mapping[str, int]
    extra: tuple[ExtraUsage, ...] = ()
    judgments: tuple[StoredJudgment, ...] = ()
    counts: bool
    locked: LockRecord | None = None
    conversation: str = ""

    @property
    def scored(self) -> bool:
        """Whether it is evidence about the model: passed or failed."""
        return self.verdict in (Verdict.PASSED, Verdict.FAILED)

    @property
    def passed(self) -> bool:
        """Whether it passed."""
        return self.verdict is Verdict.PASSED

    @property
    def cluster(self) -> str:
        """Its unit of evidence."""
        suite, scenario, *_ = self.key
        return cluster_name(suite, scenario, self.case)

    @property
    def variant(self) -> VariantKey:
        """The variant that all trials share."""
        return self.key[:3]


def cluster_name(suite: str, scenario: str, case: str) -> str:
    """Return the scenario as ``suite::scenario``, with its case if it has cases.

    All variants and trials of it are one unit of evidence.
    """
    return f"{suite}::{scenario}[{case}]" if case else f"{suite}::{scenario}"


def result_row(line: Mapping[str, JSON]) -> ResultRow:
    """Return a result line as a row.

    Raises KeyError, TypeError, ValueError or AttributeError if it is not a result line.
    """
    settings, metrics = line["variant"], line["metrics"]
    usage = token_counts(metrics.get("tokens", {}))
    model = str(settings.get("model") or settings.get("agent") or "")
    verdicts = grouped((check["name"], Verdict(check["verdict"])) for check in line["checks"])
    verdict = Verdict(line["verdict"])
    reasons = grouped(
        (
            (check["name"], finding["code"]),
            f"{check['name']}: {shorten(finding['message'], _MAX_TEXT)}",
        )
        for check in line["checks"]
        for finding in check["findings"]
        if finding["severity"] == "error"
    )
    return ResultRow(
        id=line["id"],
        key=(line["suite"], line["scenario"], tuple(map(str, line["parts"])), int(line["trial"])),
        settings=settings,
        model=model,
        prompt=prompt_name(line),
        tags=tuple(line["tags"]),
        verdict=verdict,
        checks={name: worst(group) for name, group in verdicts.items()},
        reasons={key: sentences[0] for key, sentences in reasons.items()},
        message=line["message"],
        title=line.get("title") or "",
        answer=shorten(_failed_answer(line), _MAX_TEXT) if verdict is Verdict.FAILED else "",
        tokens=usage.get("total_tokens"),
        elapsed_ms=amount(metrics.get("elapsed_ms")),
        cost=amount(metrics.get("cost")),
        answer_digest=answer_digest(line["turns"]),
        request_parts=_request_parts(line),
        location=f"{line['path']}:{line['line']}",
        case=str(settings.get("case") or ""),
        source=metrics.get("source") and str(metrics["source"]),
        usage=usage,
        extra=tuple(_extra_usage(line, model)),
        judgments=tuple(stored_judgments(line)),
        # Of the turns of a result, the first one is the test.
        counts=counts_as_test(cast("ResultHead", line)) and line.get("turn", 1) == 1,
        locked=line.get("locked"),
        conversation=line.get("conversation", ""),
    )


def token_counts(tokens: Mapping[str, JSON]) -> dict[str, int]:
    """Return the known counts of tokens. Raises ValueError for what is not a count."""
    return {name: count for name, value in tokens.items() if (count := amount(value)) is not None}


def prompt_name(line: Mapping[str, JSON]) -> str:
    """Return the choice of a prompt that a variant is named by, else a digest; ``""`` without one.

    The digest is that of the system instruction.
    """
    instruction = line.get("settings", {}).get("system_instruction")
    digest = sha256(canonical(instruction))[:7] if instruction else ""
    return str(line["variant"].get("prompt") or digest)


def _failed_answer(line: Mapping[str, JSON]) -> str:
    """Return the text of the first turn that failed, else of the last one; empty if it has none."""
    failed = {
        finding.get("where", {}).get("turn") or check.get("turn")
        for check in line["checks"]
        for finding in check["findings"]
        if finding["severity"] == "error"
    }
    turns = [turn for turn in line["turns"] if turn.get("number") in failed] or line["turns"][-1:]
    return turns[0]["text"] or "" if turns else ""


def _extra_usage(line: Mapping[str, JSON], model: str) -> Iterator[ExtraUsage]:
    retried = line["metrics"].get("retried")
    if retried:
        yield ExtraUsage("retried", model, token_counts(retried["tokens"]))
    for kind in _SIDE_KINDS:
        if kind in line["metrics"]:
            models = {
                str((one["request"].get("body") or {}).get("model") or "")
                for one in line.get(f"{kind}_exchanges", ())
            }
            # Of several models it is not known which of them used how much.
            tokens = token_counts(line["metrics"][kind]["tokens"])
            yield ExtraUsage(kind, ", ".join(sorted(models)), tokens)


def _request_parts(line: Mapping[str, JSON]) -> dict[str, str]:
    """Return what was sent and what answered, without turns that did not happen."""
    turns = [turn for turn in line["turns"] if turn["outcome"] != "not_run"]
    if not turns:
        return {}
    parts: dict[str, JSON] = {**line.get("settings", {})}
    for position, turn in enumerate(turns, 1):
        entry = turn.get("entry", turn.get("number", position))
        if "simulated" in turn:
            # Its messages follow from the answers.
            parts[f"simulated user of turn {entry}"] = turn["simulated"]["user"]
        else:
            parts[f"{MESSAGE} {entry}"] = turn.get("user")
    for name, field in ANSWERED.items():
        values = sorted({str(one[field]) for one in interactions(turns) if one.get(field)})
        # That the requested model answered says nothing new.
        if values and values != [parts.get(field)]:
            parts[name] = ", ".join(values)
    # Interned, because most results of a run have the same settings.
    return {sys.intern(key): sys.intern(canonical(value)) for key, value in parts.items()}


def interactions(turns: Iterable[Mapping[str, JSON]]) -> Iterator[Mapping[str, JSON]]:
    """Yield the interactions that were received, those of streams from their events."""
    for turn in turns:
        for exchange in turn.get("exchanges", ()):
            response = exchange.get("response") or {}
            found = [response.get("body")]
            for event in response.get("events") or ():
                found.append(event.get("interaction") if isinstance(event, dict) else None)
            yield from (one for one in found if isinstance(one, dict))


def answer_digest(turns: Iterable[Mapping[str, JSON]]) -> str:
    """Return the digest of everything that is the same in two recordings of the same answers."""
    answers = [
        [
            turn["outcome"],
            turn["status"],
            turn["text"],
            [_step_summary(step["step"]) for step in turn["steps"] if step["origin"] == "model"],
        ]
        for turn in turns
    ]
    return sha256(canonical(answers))[:16]


def _step_summary(step: Mapping[str, JSON]) -> JSON:
    kind = step.get("type")
    if isinstance(kind, str) and kind.endswith("_call"):
        return [kind, step.get("name"), step.get("arguments")]
    return kind


def grouped(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    """Return the values of each key, both in their order."""
    groups: dict[Key, list[Value]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


class Prices(BaseModel):
    """Prices of a million tokens, all in the same currency."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_per_million: Price = Field(description="Price of a million input tokens.")
    output_per_million: Price = Field(description="Price of a million output and thought tokens.")
    cached_per_million: Price | None = Field(
        None, description="Price of a million cached input tokens; default: the input price."
    )
