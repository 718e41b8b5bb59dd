"""People's labels of judged answers: decisions of a review, and files of labels.

A decision about a judgment is a label: to accept says that the judge is right, to reject that it is
wrong. One about a failure is none: it says whether the failure is tolerated.

A row of a label file names the judgments that it is about by any of ``judgment``, ``result``,
``turn``, ``question``, ``check`` and ``text``; all that it has must match.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import display_path, sha256
from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean, plural, quoted, show, visible
from evalkit.compare.rows import grouped, result_row
from evalkit.errors import Problem, SuiteErrors, UsageError
from evalkit.results import Run
from evalkit.results.judgments import StoredJudgment, judged_text
from evalkit.review.decisions import DecisionFile
from evalkit.review.queue import build_queue
from evalkit.review.state import ItemState, item_statuses
from evalkit.suite.loading.cases import DataRow, read_data_file

_MATCHED = ("judgment", "result", "turn", "question", "check", "text")
_IGNORED = ("rubric", "answer", "comment")
_LABELS = {"pass": True, "fail": False}
_STATES = {ItemState.ACCEPTED: True, ItemState.REJECTED: False}
# A spreadsheet would run a cell that starts so as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledAnswer:
    """A judgment of a run with what a label may name it by."""

    judgment: StoredJudgment
    cluster: str
    result: str
    text: str

    @property
    def names(self) -> dict[str, str]:
        """What a row must match, with invisible characters made visible as a sheet has them."""
        one = self.judgment
        names = {
            "judgment": one.id,
            "result": self.result,
            "turn": "" if one.turn is None else str(one.turn),
            "question": one.question,
            "check": one.declared,
            "text": self.text.strip(),
        }
        return {key: visible(name) for key, name in names.items()}


class Label(NamedTuple):
    """What a person says of a judgment, and where: a location for messages."""

    judgment: str
    passes: bool
    place: str


def judged_answers(run: Run) -> list[LabelledAnswer]:
    """Return the judgments of a run; of a result that appears twice, the last counts.

    Raises UsageError for a line that is not a result.
    """
    answers: dict[str, list[LabelledAnswer]] = {}
    for number, line in enumerate(run.results(), 1):
        try:
            row = result_row(line)
            answers[row.id] = [
                LabelledAnswer(
                    judgment=one, cluster=row.cluster, result=row.id, text=judged_text(line, one)
                )
                for one in row.judgments
            ]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            place = f"{display_path(run.directory / 'results.jsonl')}:{number}"
            raise UsageError(f"{place}: not a result ({error!r})") from error
    return [answer for group in answers.values() for answer in group]


def review_labels(run: Run, answers: Iterable[LabelledAnswer]) -> Iterator[Label]:
    """Yield the labels that the decisions of a run's review are.

    Raises IntegrityError or UsageError for results or decisions that are not what evalkit wrote.
    """
    file = DecisionFile(run.directory)
    if not (decisions := file.read()):
        return
    place = display_path(file.path)
    verdicts = {answer.judgment.id: answer.judgment.passed for answer in answers}
    queue = build_queue(run.lines(), decided={one.item for one in decisions})
    for status in item_statuses(queue, decisions):
        is_right, judgment = _STATES.get(status.state), status.item.judgment
        if judgment and is_right is not None:
            yield Label(judgment, verdicts[judgment] is is_right, f"{place}: {status.item.key}")


def file_labels(path: Path, answers: Sequence[LabelledAnswer]) -> list[Label]:
    """Return the labels of a CSV or JSON Lines file. Raises SuiteErrors with every problem."""
    name = display_path(path)
    by_name = {key: grouped((answer.names[key], answer) for answer in answers) for key in _MATCHED}
    labels: list[Label] = []
    problems: list[Problem] = []
    for row in read_data_file(path, name):
        if wrong := _wrong_columns(row):
            # Every row of a CSV file has the same columns.
            problems.append(Problem(name, row.line, 1, wrong))
            break
        try:
            labels += _row_labels(row, by_name, f"{name}:{row.line}")
        except ValueError as error:
            problems.append(Problem(name, row.line, 1, str(error)))
    if not labels and not problems:
        problems.append(Problem(name, 1, 1, "no row has a label; write pass or fail into 'label'"))
    if problems:
        raise SuiteErrors(problems)
    return labels


def _wrong_columns(row: DataRow) -> str:
    valid = (*_MATCHED, "label", *_IGNORED)
    for key in row.fields:
        if key not in valid:
            near = did_you_mean(key, valid)
            return f"unknown column {quoted(key)}{near}; valid: {', '.join(valid)}"
    return "" if "label" in row.fields else "the column 'label' is missing (expected pass or fail)"


def _row_labels(
    row: DataRow, by_name: Mapping[str, Mapping[str, Sequence[LabelledAnswer]]], place: str
) -> Iterator[Label]:
    """Yield the labels of a row, none if its label is empty. Raises ValueError."""
    label = _text(row.fields["label"])
    if not label:
        return
    if label not in _LABELS:
        raise ValueError(f"the label must be pass, fail or empty, not {show(row.fields['label'])}")
    names = {key: visible(text) for key in _MATCHED if (text := _text(row.fields.get(key)))}
    if not {"judgment", "result", "text"} & names.keys():
        raise ValueError("names no answer; fill in 'judgment', or 'result' and 'turn', or 'text'")
    first, *others = names
    found = [
        answer
        for answer in by_name[first].get(names[first], ())
        if all(answer.names[key] == names[key] for key in others)
    ]
    wanted = ", ".join(f"{key} {quoted(text)}" for key, text in names.items())
    if not found:
        raise ValueError(f"no judgment of the runs has {wanted}; was it recorded again?")
    if len(found) > 1 and "text" not in names:
        differing = [key for key in _MATCHED if len({answer.names[key] for answer in found}) > 1]
        raise ValueError(
            f"{plural(len(found), 'judgment')} have {wanted}; add one of {', '.join(differing)}"
        )
    for answer in found:
        yield Label(answer.judgment.id, _LABELS[label], place)


def _text(value: JSON) -> str:
    return "" if value is None or isinstance(value, bool) else str(value).strip()


def merged_labels(labels: Iterable[Label]) -> dict[str, bool]:
    """Return the labels by judgment. Raises UsageError for one that has two different ones."""
    first: dict[str, Label] = {}
    for label in labels:
        other = first.setdefault(label.judgment, label)
        if other.passes != label.passes:
            raise UsageError(
                f"{label.place}: the same answer has another label in {other.place}; "
                "correct one of them"
            )
    return {judgment: label.passes for judgment, label in first.items()}


def label_sheet(answers: Iterable[LabelledAnswer], most: int) -> str:
    """Return a CSV sheet of so many answers to label, without the judge's verdicts.

    They are a random sample, as many of each stratum as possible: the rare verdict is as
    informative as the common one. The order is random too.
    """
    strata = grouped(
        ((answer.judgment.passed, answer.judgment.uncertain), answer)
        for answer in sorted(answers, key=lambda one: sha256(one.judgment.id))
    )
    ranked = sorted(
        (rank, sha256(answer.judgment.id), answer)
        for stratum in strata.values()
        for rank, answer in enumerate(stratum)
    )
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(["judgment", "result", "turn", "question", "rubric", "answer", "label"])
    for _, _, answer in sorted(ranked[:most], key=lambda one: one[1]):
        names = answer.names
        cells = [names[key] for key in ("judgment", "result", "turn", "question")]
        writer.writerow(map(_cell, [*cells, answer.judgment.rubric, answer.text, ""]))
    return sheet.getvalue()


def _cell(text: str) -> str:
    shown = visible(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
