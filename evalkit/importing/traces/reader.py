"""Read traces of any format as recorded conversations, however large the files are.

With a selection the files are read twice: first to choose conversations by their ids, then to
collect the calls of those chosen. Nothing is written on the way. The first reading of several files
may run elsewhere (``scan`` takes and returns plain values).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evalkit._lib.files import display_path
from evalkit._lib.json import JSON
from evalkit._lib.progress import tracked
from evalkit._lib.text import did_you_mean, quoted
from evalkit.cassette.recording import Recording
from evalkit.errors import UsageError
from evalkit.importing.traces.conversations import (
    TracedConversation,
    is_answered,
    join_calls,
    join_results,
    recordings_of,
    without_repetitions,
)
from evalkit.importing.traces.documents import (
    ReadProblems,
    first_document,
    is_protobuf,
    peek,
    read_documents,
)
from evalkit.importing.traces.langfuse import is_langfuse, langfuse_spans
from evalkit.importing.traces.langsmith import is_langsmith, langsmith_spans
from evalkit.importing.traces.logfire import is_span_row, row_spans, rows_of
from evalkit.importing.traces.losses import Lack
from evalkit.importing.traces.otlp import METRICS, is_otlp, otlp_spans
from evalkit.importing.traces.selection import Selection, StratifiedSample
from evalkit.importing.traces.span import ModelCall, Span, read_call

_READERS: tuple[
    tuple[
        Callable[[Mapping[str, JSON]], bool], Callable[[Mapping[str, JSON], str], Iterator[Span]]
    ],
    ...,
] = (
    (is_otlp, otlp_spans),
    (is_langsmith, langsmith_spans),
    (is_langfuse, langfuse_spans),
    (is_span_row, row_spans),
)
_WRAPPERS = ("rows", "runs", "data", "traces", "spans", "observations")
"""Members with the documents of a page, as APIs return them."""

_NAMES_OF_TRACES = re.compile(
    rb'"(?:resource_?[sS]pans|resource_?[lL]ogs|run_type|traceId|trace_id|span_name)"\s*:'
)
_NAMES_OF_TRAFFIC = re.compile(rb'\s*[\[{\s]*"(?:log|request|version|interactions)"')
_PEEKED_NAMES = 16 * 1024
_SPACE = b"\xef\xbb\xbf\xff\xfe \t\r\n"
MOST_CALLS = 1000
"""Calls or exchanges of one conversation that are imported."""
_MOST_NAMES = 500


@dataclass(slots=True)
class FileScan:
    """What the first reading of a file found: a sample of its conversations.

    ``names`` are fields of its calls, of which ``has_field`` says that the one asked for was there.
    """

    sample: StratifiedSample
    names: set[str] = field(default_factory=set)
    has_field: bool = False

    def note(self, key: str, fields: Mapping[str, JSON], selection: Selection) -> None:
        """Consider the conversation of a call with these fields."""
        if len(self.names) < _MOST_NAMES:
            self.names.update(fields)
        self.has_field |= selection.by in fields
        if selection.accepts(fields):
            self.sample.offer(key, selection.stratum(fields))


@dataclass(slots=True)
class TraceImport:
    """Recordings by the name of their file; what was lost, and what was left out.

    ``documents`` counts lines or messages, ``repeated`` conversations that others begin with.
    """

    recordings: dict[str, list[Recording]] = field(default_factory=dict)
    lacks: set[Lack] = field(default_factory=set)
    problems: ReadProblems = field(default_factory=ReadProblems)
    documents: int = 0
    conversations: int = 0
    repeated: int = 0


Scan = Callable[[Sequence[Path], Selection], Iterable[FileScan]]


def is_trace_file(path: Path) -> bool:
    """Return whether a file has traces, by how it begins. Raises UsageError."""
    start = peek(path)
    if is_protobuf(start):
        return True
    document = first_document(start)
    if isinstance(document, list):
        document = next(iter(document), None)
    if isinstance(document, dict) and not _is_frame(document):
        return "request" not in document and _recognizes(document)
    text = start[:_PEEKED_NAMES].replace(b"\x00", b"").lstrip(_SPACE)
    is_json = text.startswith((b"{", b"[")) and not _NAMES_OF_TRAFFIC.match(text)
    return is_json and _NAMES_OF_TRACES.search(text) is not None


def scan(path: Path, selection: Selection) -> FileScan:
    """Read a file for the first time. Raises UsageError."""
    result = FileScan(StratifiedSample(selection.size))
    for span in _calls(path, ReadProblems()):
        if not span.has_content:
            continue
        fields = span.fields() if selection.by or selection.expression else {}
        result.note(span.conversation, fields, selection)
    return result


def scan_here(paths: Sequence[Path], selection: Selection) -> Iterator[FileScan]:
    """Read files for the first time in this process."""
    for path in tracked(paths, "choosing conversations", len(paths)):
        yield scan(path, selection)


def read_traces(
    paths: Sequence[Path], selection: Selection, scan_files: Scan = scan_here
) -> TraceImport:
    """Read the traces of files. Raises UsageError, also where nothing is selected."""
    selection.check()
    chosen = choose(scan_files(paths, selection), selection) if selection else None
    found, spans = TraceImport(), dict[str, dict[tuple[str, str], Span]]()
    for path in tracked(paths, "reading traces", len(paths)):
        for span in _calls(path, found.problems, found):
            key = span.conversation
            if chosen is not None and key not in chosen:
                continue
            calls = spans.setdefault(key, {})
            identity = (span.trace, span.id or span.place)
            if identity in calls:
                calls[identity] = calls[identity].merged(span)
            elif len(calls) < MOST_CALLS:
                calls[identity] = span
            else:
                found.problems.add(
                    f"{span.place}: the conversation has more than {MOST_CALLS:,} calls; the "
                    "rest is left out"
                )
    _add_conversations(found, spans)
    return found


def choose(scans: Iterable[FileScan], selection: Selection) -> set[str]:
    """Return the keys of the chosen conversations. Raises UsageError if none is chosen."""
    sample, names, has_field = StratifiedSample(selection.size), set[str](), not selection.by
    for one in scans:
        sample.merge(one.sample)
        names |= one.names
        has_field |= one.has_field
    keys = sample.keys()
    if names and not has_field:
        hint = did_you_mean(selection.by, names) or "; name an attribute of the spans"
        raise UsageError(f"--by: no call has the field {quoted(selection.by)}{hint}")
    if not keys and selection.expression:
        raise UsageError(
            f"--filter: no call fits {quoted(selection.expression)}; nothing to import"
        )
    return keys


def _add_conversations(found: TraceImport, spans: dict[str, dict[tuple[str, str], Span]]) -> None:
    conversations: list[TracedConversation] = []
    unanswered: list[ModelCall] = []
    for key in list(spans):
        # What was read is freed step by step.
        calls = list[ModelCall]()
        for span in spans.pop(key).values():
            try:
                call = read_call(span)
            except RecursionError:
                found.problems.add(f"{span.place}: nested too deep")
                continue
            if call is not None:
                calls.append(call)
            else:
                is_failure = span.has_content and span.has_failed
                found.lacks.add(Lack.FAILURES if is_failure else Lack.CONTENT)
        found.lacks |= set() if key.startswith("id ") else {Lack.CONVERSATIONS}
        unanswered += [call for call in calls if not call.has_answer]
        conversations += join_calls(call for call in calls if call.has_answer)
    # A stream may be recorded twice: when it begins, without an answer, and when it ends.
    if not all(is_answered(call, conversations) for call in unanswered):
        found.lacks.add(Lack.CONTENT)
    conversations = join_results(conversations)
    useful = without_repetitions(conversations)
    found.repeated = len(conversations) - len(useful)
    found.conversations = len(useful)
    taken: set[str] = set()
    for number, conversation in enumerate(useful, 1):
        recordings, lacks = recordings_of(conversation, str(number), taken)
        found.lacks |= lacks
        source = conversation.first_call.place.rpartition(":")[0]
        found.recordings.setdefault(source, []).extend(recordings)


def _calls(
    path: Path, problems: ReadProblems, counted: TraceImport | None = None
) -> Iterator[Span]:
    """Yield what may be calls of models in a file."""
    name = display_path(path)
    for line, document in read_documents(path, problems):
        place = f"{name}:{line}"
        if counted is not None:
            counted.documents += 1
        try:
            yield from (span for span in _spans(document, place) if span.is_call)
        except RecursionError:
            problems.add(f"{place}: nested too deep")
        except _NotSpans:
            problems.add(f"{place}: not a span (expected OTLP, Langfuse, LangSmith or Logfire)")


class _NotSpans(Exception):
    """A document is of no format of traces."""


def _spans(document: JSON, place: str) -> Iterator[Span]:
    if not isinstance(document, dict):
        raise _NotSpans
    for recognizes, spans in _READERS:
        if recognizes(document):
            yield from spans(document, place)
            return
    items = _items(document)
    if items is None and not _is_frame(document) and not any(name in document for name in METRICS):
        raise _NotSpans
    for item in items or ():
        yield from _spans(item, place)


def _items(document: Mapping[str, JSON]) -> list[JSON] | None:
    """Return the documents in a page of an API or a table; None if it is neither."""
    if (rows := rows_of(document)) is not None:
        return rows
    return next((document[key] for key in _WRAPPERS if isinstance(document.get(key), list)), None)


def _is_frame(document: Mapping[str, JSON]) -> bool:
    """Return whether a document is a message without rows of a stream of Logfire's query API."""
    return document.get("type") in ("schema", "explain", "end") and "trace_id" not in document


def _recognizes(document: Mapping[str, JSON]) -> bool:
    if any(recognizes(document) for recognizes, _ in _READERS):
        return True
    items = _items(document)
    first = next(iter(items or ()), None)
    return isinstance(first, dict) and any(recognizes(first) for recognizes, _ in _READERS)
