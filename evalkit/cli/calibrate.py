"""``evalkit calibrate``: measure the error of judges by people's labels."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from evalkit._lib.files import display_path, file_errors, write_new
from evalkit._lib.json import JSON
from evalkit._lib.text import plural, visible
from evalkit.cli.main import EXIT_FAILED, EXIT_PASS
from evalkit.cli.output import echo_json
from evalkit.cli.run_files import add_to_run
from evalkit.compare.judge_error import Rate
from evalkit.compare.judges import Drift, JudgeRate, drift_since, judge_rates
from evalkit.compare.judges import calibrate as calibration_of
from evalkit.errors import UsageError
from evalkit.project import root_of
from evalkit.results import Run
from evalkit.results.calibrations import Calibration, read_calibrations, write_calibrations
from evalkit.results.judgments import NAME as JUDGES
from evalkit.results.judgments import JudgeKey, judge_rate_text, write_judge_rates
from evalkit.review.labels import (
    LabelledAnswer,
    file_labels,
    judged_answers,
    label_sheet,
    merged_labels,
    review_labels,
)

_FIGURES = ("agreement", "sensitivity", "specificity", "kappa")
_EPILOG = """\b
Labels are decisions of 'evalkit review --judgments N', or files with the columns 'label' (pass or
fail) and 'judgment', or 'result' and 'turn', or 'text'.
Exit codes: 0 calibrated, 1 a labelled judge cannot be calibrated, 2 usage.

\b
Examples:
  evalkit calibrate reports/latest --sheet sheet.csv
  evalkit calibrate reports/latest --labels labels.csv
"""


@click.command(epilog=_EPILOG)
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    "label_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Labels in a CSV or JSON Lines file; repeat for several.",
)
@click.option(
    "--sheet",
    type=click.Path(path_type=Path),
    help="Write unlabelled answers to a new CSV file instead, for people to label.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Most answers of --sheet, drawn at random.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the calibrations as JSON.")
@click.pass_context
def calibrate(
    context: click.Context,
    runs: tuple[Path, ...],
    label_files: tuple[Path, ...],
    sheet: Path | None,
    sample: int,
    as_json: bool,
) -> None:
    """Measure how well judges agree with people.

    RUN are run directories (default reports/latest) in which answers that a judge judged were
    labelled. The calibration is stored in evalkit-calibration.yaml in the project's root; reports
    and comparisons show pass rates that are corrected by it.
    """
    opened = [Run(path) for path in dict.fromkeys(runs or (Path("reports/latest"),))]
    answers = {one.judgment.id: (one, run) for run in opened for one in judged_answers(run)}
    if not answers:
        raise UsageError(f"{opened[0].directory}: no judge was asked in it; name another run")
    known = [one for one, _ in answers.values()]
    labels = merged_labels(
        (
            *(label for run in opened for label in review_labels(run, known)),
            *(label for path in label_files for label in file_labels(path, known)),
        )
    )
    if sheet is not None:
        _write_sheet(sheet, [one for one in known if one.judgment.id not in labels], sample)
        return
    if not labels:
        raise UsageError(
            "no answer is labelled; decide with 'evalkit review RUN --judgments 100', or write a "
            "sheet with --sheet and name it with --labels"
        )
    root = root_of(opened[0])
    stored = read_calibrations(root)
    judgments = [(one.cluster, one.judgment) for one in known]
    rates = [rate for rate in judge_rates(judgments, stored, labels) if rate.labels]
    started: dict[JudgeKey, str] = {}
    for id_ in labels:
        answer, run = answers[id_]
        time = str(run.manifest.get("started") or "")
        started[answer.judgment.key] = max(time, started.get(answer.judgment.key, ""))
    new = [calibration_of(rate, started[rate.key]) for rate in rates if not rate.unlabelled]
    drifts = {one.key: drift_since(stored, one) for one in new}
    calibrations = {one.key: one for one in (*stored, *new)}
    rates = [
        replace(rate, calibration=calibrations[rate.key], problem="")
        if rate.key in drifts
        else replace(rate, problem=rate.unlabelled)
        for rate in rates
    ]
    if new:
        path = write_calibrations(root, calibrations.values())
        for run in opened:
            _add_rates(
                run,
                [one for one, other in answers.values() if other is run],
                calibrations.values(),
                labels,
            )
    if as_json:
        echo_json({"calibrations": [_to_json(rate, drifts.get(rate.key)) for rate in rates]})
    else:
        for rate in rates:
            for line in _lines(rate, drifts.get(rate.key)):
                click.echo(visible(line))
        if new:
            click.echo(f"written: {display_path(path)}")
    context.exit(EXIT_PASS if len(new) == len(rates) else EXIT_FAILED)


def _write_sheet(path: Path, answers: Sequence[LabelledAnswer], most: int) -> None:
    if not answers:
        raise UsageError("every judged answer is labelled already; nothing was written")
    with file_errors(path, "cannot be written", "; name a file that does not exist"):
        write_new(path, label_sheet(answers, most).encode())
    click.echo(
        f"written: {display_path(path)} ({plural(min(most, len(answers)), 'answer')}); write pass "
        f"or fail into 'label', then run 'evalkit calibrate RUN --labels {display_path(path)}'"
    )


def _add_rates(
    run: Run,
    answers: Sequence[LabelledAnswer],
    calibrations: Collection[Calibration],
    labels: Mapping[str, bool],
) -> None:
    judgments = [(one.cluster, one.judgment) for one in answers]
    rates = judge_rates(judgments, list(calibrations), labels)
    records = [rate.to_record() for rate in rates]
    add_to_run(run, JUDGES, lambda: write_judge_rates(run.directory, records))


def _lines(rate: JudgeRate, drift: Drift | None) -> Iterator[str]:
    yield rate.name
    error = rate.error
    if rate.problem or error is None:
        yield f"  not calibrated: the judge {rate.problem}; label some of them (--sheet)"
        return
    passes = sum(bool(answer.label) for answer in rate.answers)
    yield f"  labels       {rate.labels:,}: people pass {passes:,}, fail {rate.labels - passes:,}"
    for name in _FIGURES:
        figure: Rate = getattr(error, name)
        form = "{:.2f}" if name == "kappa" else "{:.1%}"
        text = "unknown" if figure.value is None else form.format(figure.value)
        low, high = (form.format(end) for end in figure.interval)
        yield f"  {name:<12} {text} ({low} to {high})"
    yield f"  rate         {judge_rate_text(rate.to_record()).partition('): ')[2]}"
    if drift is not None:
        yield f"  drift        {drift.sentence}"


def _to_json(rate: JudgeRate, drift: Drift | None) -> dict[str, JSON]:
    record: dict[str, JSON] = {**rate.to_record()}
    if rate.error is not None:
        agreement = rate.error.agreement
        record["agreement"] = {"value": agreement.value, "interval": list(agreement.interval)}
    record["labels"] = rate.labels
    record["labelled_pass"] = sum(bool(answer.label) for answer in rate.answers)
    record["drift"] = drift and {
        "since": drift.since,
        "sensitivity": list(drift.sensitivity),
        "specificity": list(drift.specificity),
        "sentence": drift.sentence,
    }
    return record
