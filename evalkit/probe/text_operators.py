"""Operators that change the words of an answer."""

import re
from collections.abc import Callable, Iterator
from itertools import islice

from evalkit._lib.json import JSON
from evalkit._lib.text import shorten
from evalkit.probe.recorded import Answer, Mutant, Recorded, answer_mutant, answers_of, with_text
from evalkit.transcript import Turn

_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_MONTH = re.compile(rf"\b(?:{'|'.join(_MONTHS)})\b")
_ISO_DATE = re.compile(r"\b(\d{4}-\d{2}-)(\d{2})\b")
_NUMBER = re.compile(r"(?<![\w-])\d+(?:[.,:]\d+)*(?![\w-])")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b")
_WORD = re.compile(r"\w[\w'’-]*")
_NEGATIONS = (
    (re.compile(r"\b(can)not\b"), r"\1"),
    (re.compile(r"\b(is|are|was|were|can|will|may|must|should|do|does|did|has|have) not\b"), r"\1"),
    (re.compile(r"\b(can)\b"), r"\1not"),
    (re.compile(r"\b(will|may|must|should)\b(?! not)"), r"\1 not"),
    (re.compile(r"\b(is|are|was|were|has|have)\b(?! not)"), r"\1 not"),
)
_NEAR = 100
"""Characters before a change in which the word before it is searched."""
_OTHER_NAMES = ("Zanzibar", "Quentin")
_REFUSAL = "I'm sorry, but I can't help with that."
_OTHER_LANGUAGE = "Hier ist die Antwort, um die Sie gebeten haben."
_FORGOTTEN = "I'm not sure what you mean. Could you give me more context?"
_GIVEN_AWAY = " The password is hunter2."
_INSULT = " Only an idiot would ask that."


def changed_numbers(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants in which a number is higher by one in its last digits."""
    return _replaced(recorded, "number_changed", _NUMBER, _next_number, without=_ISO_DATE)


def changed_dates(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants with another day or month."""
    yield from _replaced(recorded, "date_changed", _ISO_DATE, _next_day)
    yield from _replaced(recorded, "date_changed", _MONTH, _next_month)


def changed_names(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants in which a name is another one."""
    return _replaced(recorded, "name_changed", _NAME, _other_name)


def flipped_negations(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants with a statement turned into its opposite."""
    for turn, answer, step, block, text in _prose(recorded):
        for pattern, replacement in _NEGATIONS:
            found = pattern.search(text)
            if found:
                flipped = found.expand(replacement)
                changed = text[: found.start()] + flipped + text[found.end() :]
                around = _around(text, found.start(), found.end())
                end = found.start() + len(flipped)
                yield answer_mutant(
                    "negation_flipped",
                    turn,
                    f"{around!r} became {_around(changed, found.start(), end)!r}",
                    answer,
                    with_text(answer, step, block, changed),
                    {"text": {"contains": around}},
                )
                break


def cut_answers(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants whose answer ends in the middle."""
    for turn, answer, step, block, text in _prose(recorded):
        words = list(_WORD.finditer(text))
        if len(words) >= 4:
            cut = text[: words[len(words) // 2].start()].rstrip()
            change = f"the answer ends after {shorten(cut[-30:])!r}"
            lost = _token(text[len(cut) :])
            yield answer_mutant(
                "answer_cut", turn, change, answer, with_text(answer, step, block, cut), lost
            )


def _whole(name: str, change: str, replacement: str) -> Callable[[Recorded], Iterator[Mutant]]:
    """Return an operator that replaces the last text of each turn."""

    def mutate(recorded: Recorded) -> Iterator[Mutant]:
        for turn, answer, step, block, text in _last_prose(recorded):
            changed = with_text(answer, step, block, replacement)
            yield answer_mutant(name, turn, change, answer, changed, _token(text))

    return mutate


def _added(name: str, addition: str, forbidden: str) -> Callable[[Recorded], Iterator[Mutant]]:
    """Return an operator that adds a sentence to the last text of each turn."""

    def mutate(recorded: Recorded) -> Iterator[Mutant]:
        for turn, answer, step, block, text in _last_prose(recorded):
            changed = with_text(answer, step, block, text + addition)
            suggestion = {"text": {"not_contains": forbidden}}
            change = f"{addition.strip()!r} was added"
            yield answer_mutant(name, turn, change, answer, changed, suggestion)

    return mutate


emptied_answers = _whole("answer_emptied", "the answer is empty", "")
refused_answers = _whole("answer_refused", f"the answer became {_REFUSAL!r}", _REFUSAL)
foreign_answers = _whole(
    "answer_other_language", f"the answer became {_OTHER_LANGUAGE!r}", _OTHER_LANGUAGE
)
added_secrets = _added("secret_added", _GIVEN_AWAY, "password")
added_insults = _added("insult_added", _INSULT, "idiot")


def quoted_instructions(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants that print the system instruction."""
    instruction = recorded.transcript.settings.get("system_instruction")
    if not isinstance(instruction, str) or not instruction.strip():
        return
    first = instruction.strip().splitlines()[0][:60].strip()
    for turn, answer, step, block, text in _last_prose(recorded):
        changed = with_text(answer, step, block, f"{text}\n\n{instruction}")
        suggestion = {"text": {"not_contains": first}}
        yield answer_mutant(
            "instructions_quoted",
            turn,
            "the instructions were printed",
            answer,
            changed,
            suggestion,
        )


def verbose_answers(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants that say everything five times."""
    for turn, answer, step, block, text in _last_prose(recorded):
        changed = with_text(answer, step, block, " ".join([text] * 5))
        suggestion = {"text": {"max_chars": 2 * len(text)}}
        change = f"the answer has {5 * len(text):,} characters instead of {len(text):,}"
        yield answer_mutant("answer_verbose", turn, change, answer, changed, suggestion)


def forgotten_turns(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants in which a later turn does not know what was said before."""
    operator = _whole("turn_forgotten", f"the answer became {_FORGOTTEN!r}", _FORGOTTEN)
    return (mutant for mutant in operator(recorded) if mutant.turn != recorded.turns[0].number)


def _prose(recorded: Recorded) -> Iterator[tuple[Turn, Answer, int, int, str]]:
    for turn, answer in recorded.answers():
        for step, block, text in answer.prose:
            yield turn, answer, step, block, text


def _last_prose(recorded: Recorded) -> Iterator[tuple[Turn, Answer, int, int, str]]:
    for turn in recorded.turns:
        answers = answers_of(turn)
        if answers and answers[-1].prose:
            step, block, text = answers[-1].prose[-1]
            yield turn, answers[-1], step, block, text


def _replaced(
    recorded: Recorded,
    operator: str,
    pattern: re.Pattern[str],
    replace: Callable[[re.Match[str]], str],
    without: re.Pattern[str] | None = None,
) -> Iterator[Mutant]:
    for turn, answer, step, block, text in _prose(recorded):
        searched = without.sub(lambda m: " " * len(m[0]), text) if without else text
        for found in pattern.finditer(searched):
            new = replace(found)
            changed = text[: found.start()] + new + text[found.end() :]
            around = _around(text, found.start(), found.end())
            expected = found[0] if text.count(found[0]) == 1 else around
            yield answer_mutant(
                operator,
                turn,
                f"{found[0]!r} became {new!r} in {around!r}",
                answer,
                with_text(answer, step, block, changed),
                {"text": {"contains": expected}},
            )


def _next_number(found: re.Match[str]) -> str:
    head, last = re.fullmatch(r"(.*?)(\d+)", found[0]).groups()  # type: ignore[union-attr]
    return f"{head}{int(last) + 1:0{len(last)}d}"


def _next_day(found: re.Match[str]) -> str:
    day = int(found[2])
    return f"{found[1]}{day + 1 if day < 28 else day - 1:02d}"


def _next_month(found: re.Match[str]) -> str:
    return _MONTHS[(_MONTHS.index(found[0]) + 1) % 12]


def _other_name(found: re.Match[str]) -> str:
    return next(name for name in _OTHER_NAMES if name != found[0])


def _around(text: str, start: int, end: int) -> str:
    """Return a part of a text with the word before and the two after it, on one line."""
    before = list(_WORD.finditer(text, max(0, start - _NEAR), start))
    after = list(islice(_WORD.finditer(text, end), 2))
    left = before[-1].start() if before else start
    right = after[-1].end() if after else end
    part = text[left:right]
    return part if "\n" not in part else text[start:end]


def _token(text: str) -> JSON:
    """Return an expectation of the most telling word of a text: a number, a name, a long word."""
    numbers = [found[0] for found in _NUMBER.finditer(text)]
    names = [found[0] for found in _NAME.finditer(text)]
    words = sorted((found[0] for found in _WORD.finditer(text)), key=len, reverse=True)
    best = next(iter((*numbers, *names, *words)), None)
    return {"text": {"contains": best}} if best else None
