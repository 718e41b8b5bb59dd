"""Answer the requests of the ``judge`` check, so that suites with it run without a model.

The answer compares words, not meaning. A rubric may contain words in double quotes: the share of
them in the model's last text is the score, regardless of case, from the minimum to the maximum of
the schema. A rubric without quotes accepts every text that is not blank. A level is chosen by the
same share; the first level of the schema is the best. Pure.
"""

import json
import re
from collections.abc import Mapping

from evalkit._lib.json import JSON, loads
from evalkit.conversation.reconstruct import is_judge_body
from evalkit.server.answers.interaction import InteractionDraft
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.answers.step_builders import text_output
from evalkit.server.requests.create import response_schema

_QUOTED = re.compile(r'"([^"\n]+)"')


def judge_answer(request: InteractionRequest) -> InteractionDraft | None:
    """Return the answer to a judge's request, None for other requests."""
    schema = response_schema(request.body)
    if not is_judge_body(request.body) or not isinstance(schema, dict):
        return None
    task, _, fenced = request.text.partition("\n----- conversation ")
    text = _last_model_text(fenced)
    properties = schema.get("properties") or {}
    if "reason" in properties:
        answer: JSON = _rating(properties, task, text)
    else:
        answer = {
            name: _rating(part.get("properties") or {}, _criterion_text(name, task), text)
            for name, part in properties.items()
        }
    return InteractionDraft([text_output(json.dumps(answer, indent=2, ensure_ascii=False))])


def _rating(properties: Mapping[str, JSON], rubric: str, text: str) -> dict[str, JSON]:
    """Return the reason and the level or score of a text by one rubric."""
    expected = _QUOTED.findall(rubric)
    missing = [words for words in expected if words.casefold() not in text.casefold()]
    if missing:
        share = 1 - len(missing) / len(expected)
        quoted = (json.dumps(words, ensure_ascii=False) for words in missing)
        reason = f"The answer does not contain {' and '.join(quoted)}."
    elif expected:
        share, reason = 1.0, "The answer contains everything that the rubric quotes."
    elif text.strip():
        share, reason = 1.0, "There is an answer."
    else:
        share, reason = 0.0, "There is no answer."
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


def _last_model_text(fenced: str) -> str:
    """Return the model's text of the last turn, from the JSON lines between the fence lines."""
    entries = []
    for line in fenced.split("\n")[1:-1]:
        try:
            entry = loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    last_turn = entries[-1].get("turn") if entries else None
    texts = [
        entry["model"] for entry in entries if entry.get("turn") == last_turn and "model" in entry
    ]
    return "\n".join(
        text if isinstance(text, str) else json.dumps(text, ensure_ascii=False) for text in texts
    )
