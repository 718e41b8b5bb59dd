"""How the local server judges: by words, not by sense, so that suites with a ``judge`` can be tried and recorded without a model.

A rubric may name words in double quotes. The share of them that stands in what the model last said, upper and lower case the same, is the
score: the whole range for all of them. A rubric that quotes nothing is met by any answer that is not blank. A level is chosen likewise, the
best standing first in the schema. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from evalkit._lib.json import JSON, loads
from evalkit.conversation.judge_requests import is_judge_body
from evalkit.server.answers.answer import InteractionDraft
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.answers.step_builders import model_output, text_block
from evalkit.server.requests.create import answer_schema

_QUOTED = re.compile(r'"([^"\n]+)"')


def judge_answer(ask: InteractionRequest) -> InteractionDraft | None:
    """Return the judgement a judge's request asks for; None for any other request, and for a schema that is no judge's."""
    schema = answer_schema(ask.body)
    if not is_judge_body(ask.body) or not isinstance(schema, dict):
        return None
    task, _, fenced = ask.text.partition("\n----- conversation ")
    said = _said(fenced)
    properties = schema.get("properties") or {}
    if "reason" in properties:
        made: JSON = _one(properties, task, said)
    else:
        made = {
            name: _one(part.get("properties") or {}, _words_of(name, task), said)
            for name, part in properties.items()
        }
    return InteractionDraft(
        [model_output(text_block(json.dumps(made, indent=2, ensure_ascii=False)))]
    )


def _one(properties: Mapping[str, JSON], words: str, said: str) -> dict[str, JSON]:
    wanted = _QUOTED.findall(words)
    missing = [word for word in wanted if word.casefold() not in said.casefold()]
    share = 1 - len(missing) / len(wanted) if wanted else float(bool(said.strip()))
    if missing:
        reason = f"The answer does not say {' and '.join(json.dumps(word, ensure_ascii=False) for word in missing)}."
    else:
        reason = (
            "The answer says all that the rubric quotes."
            if wanted
            else "There is an answer."
            if share
            else "There is no answer."
        )
    level = (properties.get("level") or {}).get("enum")
    if level:
        return {
            "reason": reason,
            "level": level[min(int((1 - share) * len(level)), len(level) - 1)],
        }
    score = properties.get("score") or {}
    low, high = score.get("minimum", 0), score.get("maximum", 1)
    return {"reason": reason, "score": round(low + (high - low) * share, 3)}


def _words_of(criterion: str, task: str) -> str:
    lead = f"- {criterion}: "
    return next((line.removeprefix(lead) for line in task.split("\n") if line.startswith(lead)), "")


def _said(fenced: str) -> str:
    """Return what the model said in the last turn that stands between the marked lines."""
    entries = []
    for line in fenced.split("\n")[1:-1]:
        try:
            entries.append(loads(line))
        except ValueError:
            continue
    known = [entry for entry in entries if isinstance(entry, dict)]
    last = known[-1].get("turn") if known else None
    said = [entry["model"] for entry in known if entry.get("turn") == last and "model" in entry]
    return "\n".join(
        one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in said
    )
