"""Choose conversations of logs of API traffic, however long the logs are.

The logs are read twice, line by line: first to tell conversations apart and to choose, then to
collect the exchanges of those chosen. An exchange continues a conversation by the id of an
interaction, or by a history that begins as an earlier exchange ended. Of each exchange one number
is remembered. So what needs a closer look (a repeated request, an altered history) is another
conversation here; ``conversation.demultiplex`` finds more, in more memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from evalkit._lib.files import display_path
from evalkit._lib.json import JSON
from evalkit._lib.progress import tracked
from evalkit.cassette.files import MediaFolder
from evalkit.cassette.recording import Recording
from evalkit.conversation.history_digest import prefix_digests, value_digest
from evalkit.conversation.reconstruct import is_interaction, request_of, response_of
from evalkit.conversation.response_reader import read_response
from evalkit.errors import CassetteError
from evalkit.importing.traces.documents import ReadProblems, read_documents
from evalkit.importing.traces.reader import MOST_CALLS, FileScan, choose
from evalkit.importing.traces.selection import Selection, StratifiedSample
from evalkit.importing.traffic_reader import exchanges_in, recording_of
from evalkit.protocol.input_reader import input_steps
from evalkit.protocol.step_reader import steps_of, strip_user_input
from evalkit.results.media import FOLDER
from evalkit.transcript import Exchange


@dataclass(slots=True)
class LogImport:
    """Recordings by the name of their file, and what was left out. ``lines`` counts documents."""

    recordings: dict[str, list[Recording]] = field(default_factory=dict)
    problems: ReadProblems = field(default_factory=ReadProblems)
    lines: int = 0
    conversations: int = 0


def read_logs(paths: Sequence[Path], selection: Selection) -> LogImport:
    """Read the selected conversations of logs. Raises UsageError, also if nothing is selected."""
    selection.check()
    scan = FileScan(StratifiedSample(selection.size))
    finder = ConversationFinder()
    for _, _, recording in _recordings(paths, LogImport(), "choosing conversations"):
        key, fields = finder.find(recording)
        scan.note(key, fields, selection)
    chosen, counts = choose([scan], selection), dict[str, int]()
    found, finder = LogImport(), ConversationFinder()
    for path, place, recording in _recordings(paths, found, "reading traffic"):
        key, _ = finder.find(recording)
        if key not in chosen:
            continue
        counts[key] = counts.get(key, 0) + 1
        if counts[key] > MOST_CALLS:
            found.problems.add(
                f"{place}: the conversation has more than {MOST_CALLS:,} exchanges; the rest is "
                "left out"
            )
            continue
        try:
            # A run directory has the long data of its results in files.
            recording = MediaFolder(path.parent / FOLDER).restore(recording)
        except CassetteError as error:
            found.problems.add(f"{place}: {error}")
        found.recordings.setdefault(display_path(path), []).append(recording)
    found.conversations = len(counts)
    return found


class ConversationFinder:
    """Finds the conversation of each exchange; exchanges must be passed in their order."""

    def __init__(self) -> None:
        # Of ids of interactions and of histories: the number of their conversation.
        self._known: dict[int, int] = {}

    def find(self, recording: Recording) -> tuple[str, Mapping[str, JSON]]:
        """Return the key of the conversation, and the fields by which it is selected."""
        exchange = Exchange(0, 0, request_of(recording))
        read_response(exchange, response_of(recording))
        request, interaction = exchange.request, exchange.interaction or {}
        body = request.body if isinstance(request.body, dict) else {}
        before = prefix_digests(input_steps(body.get("input")))
        references = [
            *(body.get(name) for name in ("previous_interaction_id", "continuation_token")),
            request.path.partition("/interactions/")[2].partition("/")[0].partition(":")[0],
        ]
        names = [_number(name.encode()) for name in references if isinstance(name, str) and name]
        names += [_number(one.steps) for one in reversed(before) if one.has_model]
        identity = interaction.get("id")
        number = next((self._known[name] for name in names if name in self._known), None)
        if number is None:
            number = _number(value_digest([request.body, identity]))
        if isinstance(identity, str) and body.get("store") is not False:
            self._known[_number(identity.encode("utf-8", "surrogatepass"))] = number
        else:
            steps = strip_user_input(steps_of(interaction))
            self._known[_number(prefix_digests(steps, before[-1])[-1].steps)] = number
        return f"{number:x}", _fields(body, recording.status)


def _fields(body: Mapping[str, JSON], status: int) -> Mapping[str, JSON]:
    """Return the members of a request, its labels apart, and the status of its response."""
    labels = body.get("labels")
    named = labels.items() if isinstance(labels, dict) else ()
    return {**body, **{f"labels.{key}": value for key, value in named}, "status": status}


def _number(name: bytes) -> int:
    return int.from_bytes(blake2b(name, digest_size=7).digest(), "big")


def _recordings(
    paths: Sequence[Path], found: LogImport, title: str
) -> Iterator[tuple[Path, str, Recording]]:
    """Yield the exchanges of logs with their places; what cannot be read is a problem."""
    for path in tracked(paths, title, len(paths)):
        name = display_path(path)
        for line, document in read_documents(path, found.problems):
            found.lines += 1
            try:
                for exchange, place in exchanges_in(document, f"{name}:{line}"):
                    recording = recording_of(exchange, place, path.parent)
                    # Archives have everything that a page loaded.
                    if is_interaction(recording):
                        yield path, place, recording
            except CassetteError as error:
                found.problems.add(str(error))
            except RecursionError:
                found.problems.add(f"{name}:{line}: nested too deep")
