"""Answers to requests of the ``judge`` check and of simulated users, without a model.

They are deterministic, so suites with judges and simulated users run offline; they compare words,
not meaning.

*Judge.* A rubric may contain words in double quotes: the share of them in the model's last text is
the score, regardless of case, from the minimum to the maximum of the schema. A rubric without
quotes accepts every text that is not blank. A level is chosen by the same share; the first level of
the schema is the best.

*Simulated user.* A goal may contain sentences in double quotes: the user says one after the other.
A goal without quotes is said itself. An end condition may contain words in double quotes: the user
goes on, and insists, until all of them are in the model's last answer. Without quotes the
conversation is over when the user has said everything. Pure.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice

from evalkit._lib.json import JSON, loads
from evalkit.conversation.side_requests import side_role
from evalkit.server.answers.interaction import InteractionDraft
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.answers.step_builders import text_output
from evalkit.server.requests.create import response_schema

_QUOTED = re.compile(r'"([^"\n]+)"')
_NUMBER = re.compile(r"Write your message (\d+) of")
_INSISTENCE = (
    "That does not help me yet.",
    "Please look into it again, I am waiting.",
    "I cannot accept this answer.",
    "Is there really nothing else that you can do?",
)


def judge_answer(request: InteractionRequest) -> InteractionDraft | None:
    """Return the answer to a judge's request, None for other requests."""
    schema = response_schema(request.body)
    if side_role(request.body) != "judge" or not isinstance(schema, dict):
        return None
    task, entries = _read(request)
    text = _last_model_text(entries)
    properties = schema.get("properties") or {}
    if "reason" in properties:
        answer: JSON = _rating(properties, task, text)
    else:
        answer = {
            name: _rating(part.get("properties") or {}, _criterion_text(name, task), text)
            for name, part in properties.items()
        }
    return InteractionDraft([text_output(json.dumps(answer, indent=2, ensure_ascii=False))])


def judged_text(request: InteractionRequest) -> str | None:
    """Return the answer that a judge's request is about, None for other requests."""
    return _last_model_text(_read(request)[1]) if side_role(request.body) == "judge" else None


def quoted_share(rubric: str, text: str) -> tuple[float, str]:
    """Return the share of a rubric's quoted words that a text contains, and the reason."""
    expected = _QUOTED.findall(rubric)
    missing = [words for words in expected if words.casefold() not in text.casefold()]
    if missing:
        quoted = (json.dumps(words, ensure_ascii=False) for words in missing)
        share = 1 - len(missing) / len(expected)
        return share, f"The answer does not contain {' and '.join(quoted)}."
    if expected:
        return 1.0, "The answer contains everything that the rubric quotes."
    return (1.0, "There is an answer.") if text.strip() else (0.0, "There is no answer.")


def _rating(properties: Mapping[str, JSON], rubric: str, text: str) -> dict[str, JSON]:
    """Return the reason and the level or score of a text by one rubric."""
    share, reason = quoted_share(rubric, text)
    levels = (properties.get("level") or {}).get("enum")
    if levels:
        index = min(int((1 - share) * len(levels)), len(levels) - 1)
        return {"reason": reason, "level": levels[index]}
    score = properties.get("score") or {}
    low, high = score.get("minimum", 0), score.get("maximum", 1)
    return {"reason": reason, "score": round(low + (high - low) * share, 3)}


def _criterion_text(name: str, task: str) -> str:
    prefix = f"- {name}: "
    lines = (line for line in task.split("\n") if line.startswith(prefix))
    return next(lines, "").removeprefix(prefix)


def _last_model_text(entries: Sequence[Mapping[str, JSON]]) -> str:
    """Return the model's text of the last turn."""
    last_turn = entries[-1].get("turn") if entries else None
    return "\n".join(
        _as_text(entry["model"])
        for entry in entries
        if entry.get("turn") == last_turn and "model" in entry
    )


def simulator_answer(request: InteractionRequest) -> InteractionDraft | None:
    """Return the answer to a request for a user's message, None for other requests."""
    if side_role(request.body) != "simulator":
        return None
    task, entries = _read(request)
    _, _, wish = task.partition("What you want:\n")
    goal, _, rest = wish.partition("\n\nThe conversation is over when:\n")
    until = rest.rpartition("\n\n")[0]
    lines = _QUOTED.findall(goal) or [f"I want this: {goal.rstrip('.')}."]
    match = _NUMBER.search(rest)
    # After its last message it is only asked whether the conversation is over.
    number = int(match[1]) if match else 0
    answer = next((_as_text(one["model"]) for one in reversed(entries) if "model" in one), "")
    expected = _QUOTED.findall(until)
    has_all = all(words.casefold() in answer.casefold() for words in expected)
    is_done = number != 1 and (has_all if expected else not 1 <= number <= len(lines))
    said = [*lines, *islice(cycle(_INSISTENCE), number)]
    message = "" if is_done or not number else said[number - 1]
    reason = "The conversation can end here." if is_done else "There is more to say."
    reply = {"reason": reason, "done": is_done, "message": message}
    return InteractionDraft([text_output(json.dumps(reply, indent=2, ensure_ascii=False))])


def as_simulator_sees(request: InteractionRequest) -> InteractionRequest:
    """Return a simulator's request as a conversation in which the model's answers are messages.

    The first message is empty, because the simulated user begins.
    """
    steps: list[dict[str, JSON]] = [{"type": "user_input", "content": ""}]
    for entry in _read(request)[1]:
        for key, kind in (("user", "model_output"), ("model", "user_input")):
            if key in entry:
                text = {"type": "text", "text": _as_text(entry[key])}
                steps.append({"type": kind, "content": [text]})
    return replace(request, conversation=steps, stored=0)


def _read(request: InteractionRequest) -> tuple[str, list[dict[str, JSON]]]:
    """Return the task of a request, and the entries of its conversation."""
    task, _, rest = request.text.partition("\n----- conversation ")
    entries = []
    for line in rest.split("\n")[1:-1]:
        try:
            entry = loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return task, entries


def _as_text(content: JSON) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
