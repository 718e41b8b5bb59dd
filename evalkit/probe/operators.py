"""The table of mutation operators: how answers of models, services and clients really go wrong."""

from collections.abc import Callable, Iterator, Sequence
from heapq import nsmallest
from operator import itemgetter
from random import Random
from typing import NamedTuple

from evalkit.probe import call_operators as calls
from evalkit.probe import content_operators as contents
from evalkit.probe import text_operators as texts
from evalkit.probe import wire_operators as wire
from evalkit.probe.recorded import Mutant, Recorded


class Operator(NamedTuple):
    """A kind of mistake. ``mutate`` yields every mutant that a conversation offers.

    ``is_general``: no scenario is about it, so a suite's ``defaults`` should catch it.
    """

    description: str
    mutate: Callable[[Recorded], Iterator[Mutant]]
    is_general: bool = False


OPERATORS: dict[str, Operator] = {
    "argument_changed": Operator("an argument of a call differs", calls.changed_arguments),
    "argument_dropped": Operator("an argument is missing", calls.dropped_arguments),
    "argument_type": Operator("an argument has another type", calls.arguments_of_other_types),
    "call_omitted": Operator("a call is not made", calls.omitted_calls),
    "call_doubled": Operator("a call is made twice", calls.doubled_calls),
    "call_added": Operator("a call is made that nobody needs", calls.added_calls),
    "calls_reordered": Operator("two calls change places", calls.reordered_calls),
    "call_other_tool": Operator("another function is called", calls.calls_of_other_tools),
    "number_changed": Operator("a number in the text differs", texts.changed_numbers),
    "date_changed": Operator("a date in the text differs", texts.changed_dates),
    "name_changed": Operator("a name in the text differs", texts.changed_names),
    "negation_flipped": Operator("a statement is turned around", texts.flipped_negations),
    "answer_cut": Operator("the text ends in the middle", texts.cut_answers),
    "answer_emptied": Operator("the text is empty", texts.emptied_answers),
    "answer_other_language": Operator("the text is in another language", texts.foreign_answers),
    "answer_refused": Operator("the model refuses", texts.refused_answers),
    "secret_added": Operator("the text gives a password away", texts.added_secrets, True),
    "insult_added": Operator("the text insults the user", texts.added_insults, True),
    "instructions_quoted": Operator("the text quotes the prompt", texts.quoted_instructions, True),
    "answer_verbose": Operator("the text goes on and on", texts.verbose_answers, True),
    "turn_forgotten": Operator("an earlier turn is forgotten", texts.forgotten_turns),
    "citation_dropped": Operator("a citation is missing", contents.dropped_citations),
    "citation_moved": Operator("a citation is outside the text", contents.moved_citations),
    "citation_domain": Operator("another site is cited", contents.citations_of_other_sites),
    "claim_uncited": Operator("a claim has no source", contents.uncited_claims),
    "field_missing": Operator("a field of a document is missing", contents.missing_fields),
    "field_null": Operator("a field is null", contents.null_fields),
    "field_extra": Operator("a document has a further field", contents.extra_fields),
    "field_type": Operator("a field has another type", contents.fields_of_other_types),
    "media_type": Operator("media are of another type", contents.media_of_other_types),
    "media_cut": Operator("media end in the middle", contents.cut_media),
    "usage_doubled": Operator("a turn takes twice the tokens", contents.doubled_usage, True),
    "stream_cut": Operator("a stream ends in the middle", wire.cut_streams),
    "stream_reordered": Operator("events arrive in another order", wire.reordered_streams),
    "thought_lost": Operator("a client does not re-send a thought", wire.lost_thoughts),
    "signature_lost": Operator("a client loses a signature", wire.lost_signatures),
    "signature_altered": Operator("a client alters a signature", wire.altered_signatures),
    "history_truncated": Operator("a client shortens the history", wire.truncated_histories),
    "history_rewritten": Operator("a client rewrites an answer", wire.rewritten_histories),
}


def mutants_of(recorded: Recorded, names: Sequence[str], most: int, random: Random) -> list[Mutant]:
    """Return at most ``most`` mutants of each operator, chosen at random, in the table's order."""
    chosen: list[Mutant] = []
    for name in names:
        # A long answer has thousands of mutants, each with a copy of it.
        mutants = enumerate(OPERATORS[name].mutate(recorded))
        picked = nsmallest(most, ((random.random(), *numbered) for numbered in mutants))
        chosen += [mutant for _, _, mutant in sorted(picked, key=itemgetter(1))]
    return chosen
