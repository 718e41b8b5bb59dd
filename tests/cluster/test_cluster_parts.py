"""The parts of a cluster session: what is sent, what is stored, what runs at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from evalkit.cassette.journal import journal_path
from evalkit.cluster import worker_slots
from evalkit.cluster.cassette_exchange import CassetteExchange, read_contents, write_contents
from evalkit.cluster.project_archive import pack
from evalkit.cluster.worker import ConversationGate
from evalkit.cluster.worker_slots import ClusterLost, WorkerSlots
from evalkit.errors import UsageError
from evalkit.plugins import Catalog
from evalkit.session.ledger import NotStarted
from evalkit.suite import Suite, load

DIGEST = "0" * 64


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def suite(root: Path, more: str = "") -> Suite:
    text = "suite: a\nscenarios:\n  - id: s\n    model: gemini-3.5-flash\n"
    turn = f"    turns: [{{user: Hello{more}}}]\n"
    write(root, {"suites/a.yaml": text + turn})
    return load(root / "suites/a.yaml", root=root, checks=Catalog())


def names(archive: bytes) -> set[str]:
    return set(ZipFile(BytesIO(archive)).namelist())


CODE = {
    "tools.py": "x = 1\n",
    "package/more.py": "x = 1\n",
    "package/data.json": "{}",
    ".hidden/a.py": "",
    "venv/pyvenv.cfg": "",
    "venv/lib/a.py": "",
    "env/site-packages/a.py": "",
    "node_modules/a.py": "",
}


def test_the_archive_has_code_only_where_it_is_needed(tmp_path: Path) -> None:
    write(tmp_path, {**CODE, "suites/_snapshots/a/s.turn1.text.txt": "Hi\n", "suites/a.png": "x"})
    plain = suite(tmp_path, ', attach: [{image: a.png}], expect: [{snapshot: "text"}]')
    own = {"suites/a.yaml", "suites/a.png", "suites/_snapshots/a/s.turn1.text.txt"}
    assert names(pack(tmp_path, [plain])) == own
    code = {"tools.py", "package/more.py"}
    assert names(pack(tmp_path, [plain], with_code=True)) == own | code
    checked = suite(tmp_path, ', expect: [{python: "tools:check"}]')
    assert names(pack(tmp_path, [checked])) >= code


def test_a_suite_outside_the_project_cannot_be_sent(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    outside = suite(tmp_path)
    with pytest.raises(UsageError, match=r"outside the project .*; move it there"):
        pack(tmp_path / "project", [outside])


def test_a_cassette_returns_as_it_was_recorded(tmp_path: Path) -> None:
    here, there = tmp_path / "here/suite/a.yaml", tmp_path / "there/suite/a.yaml"
    exchange = CassetteExchange(here)
    with pytest.raises(UsageError, match="is recording this cassette now"):
        CassetteExchange(here)
    there.parent.mkdir(parents=True)
    text = f'{{"data": "evalkit-media:sha256:{DIGEST}.png"}}'
    there.write_text(text)
    journal_path(there).write_text("a journal")
    write(tmp_path, {f"there/_media/{DIGEST}.png": "pixels"})
    returned = read_contents(there) | {"is_unchanged": False}
    exchange.store(returned)
    exchange.close(is_stored=True)
    assert here.read_text() == text
    assert journal_path(here).read_text() == "a journal"
    assert (tmp_path / f"here/_media/{DIGEST}.png").read_text() == "pixels"
    again = tmp_path / "again/suite/a.yaml"
    write_contents(again, read_contents(here))
    assert read_contents(again) == read_contents(here)


def test_names_from_a_worker_lead_nowhere_else(tmp_path: Path) -> None:
    exchange = CassetteExchange(tmp_path / "cassettes/suite/a.yaml")
    media = {"../../../evil": b"x"}
    exchange.store({"cassette": None, "journal": None, "media": media, "is_unchanged": False})
    exchange.close(is_stored=True)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / "cassettes/_media/evil"]


def test_a_recording_that_does_not_return_leaves_nothing(tmp_path: Path) -> None:
    exchange = CassetteExchange(tmp_path / "suite/a.yaml")
    exchange.close(is_stored=False)
    assert list((tmp_path / "suite").iterdir()) == []


class StandIn:
    """A project of a session."""

    def __init__(self, order: list[str], name: str) -> None:
        self._order, self._name = order, name

    def activate(self, before: object) -> None:
        self._order.append(self._name)


def test_what_runs_at_once_in_a_worker() -> None:
    gate = ConversationGate()
    order: list[str] = []
    first: Any = StandIn(order, "first")
    second: Any = StandIn(order, "second")
    running, most, lock = 0, [0, 0], threading.Lock()

    def run(project: Any, *, is_exclusive: bool = False) -> None:
        nonlocal running
        with gate.enter(project, 3, is_exclusive=is_exclusive):
            with lock:
                running += 1
                most[is_exclusive] = max(most[is_exclusive], running)
            threading.Event().wait(0.01)
            with lock:
                running -= 1

    with ThreadPoolExecutor(12) as pool:
        done = [pool.submit(run, first) for _ in range(8)]
        done += [pool.submit(run, first, is_exclusive=True), pool.submit(run, second)]
        done += [pool.submit(run, first) for _ in range(4)]
    for future in done:
        future.result()
    assert most == [3, 1]
    assert order[0] == "first"
    assert "second" in order


class Workers:
    """What slots ask a client of dask."""

    status = "running"

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.versions: dict[tuple[str, str], object] = {}

    def scheduler_info(self) -> dict[str, str]:
        return {"address": "tcp://127.0.0.1:8786"}

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.addresses, 1)

    def run(self, function: Callable[[str], str], name: str, *, workers: Any, **_: Any) -> Any:
        return {one: self.versions.get((one, name), function(name)) for one in workers}


EVALKIT = "pytest-evalkit"
A, B, REMOTE = "tcp://127.0.0.1:1", "tcp://127.0.0.1:2", "tcp://10.0.0.7:1"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_slots, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(worker_slots, "POLL_SECONDS", 0.01)


def slots(workers: Workers, *, needs_privacy: bool = True) -> WorkerSlots:
    client: Any = workers
    return WorkerSlots(client, 2, needs_privacy=needs_privacy)


@pytest.mark.usefixtures("quick")
def test_slots_are_those_of_the_workers_that_are_there() -> None:
    workers = Workers(A, B)
    found = slots(workers)
    assert found.capacity == 4
    assert sorted(found.acquire() for _ in range(4)) == [A, A, B, B]
    found.release(B)
    assert found.acquire() == B
    workers.addresses = [A]
    threading.Event().wait(0.02)
    found.release(B)
    found.release(A)
    assert found.acquire() == A
    workers.addresses = [A, B, REMOTE]
    threading.Event().wait(0.02)
    assert [found.acquire() for _ in range(2)] == [B, B]
    assert len(found.refused) == 1
    workers.addresses = []
    with pytest.raises(ClusterLost, match=r"no usable worker for 0.2 s; start some with: dask wo"):
        found.acquire()
    found.close()
    with pytest.raises(NotStarted, match="the session ends"):
        found.acquire()


@pytest.mark.usefixtures("quick")
def test_a_lost_scheduler_gives_no_slots() -> None:
    workers = Workers(A)
    found = slots(workers)
    workers.status = "connecting"
    with pytest.raises(ClusterLost, match=r"127.0.0.1:8786 cannot be reached any more"):
        found.acquire()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("addresses", "versions", "message"),
    [
        ([A], {(A, EVALKIT): ModuleNotFoundError("x")}, f"the worker {A} has no evalkit .expected"),
        ([A, B], {(B, EVALKIT): "0.0.9"}, f"the worker {B} has evalkit 0.0.9 .expected 0.1.0, as"),
        ([A, B], {(B, "distributed"): "2025.1.0"}, f"the worker {B} has distributed 2025.1.0 "),
        ([A, REMOTE], {}, f"the connection to the worker {REMOTE} is not encrypted"),
    ],
)
def test_workers_that_cannot_be_used(
    addresses: list[str], versions: dict[tuple[str, str], object], message: str
) -> None:
    workers = Workers(*addresses)
    workers.versions = versions
    with pytest.raises(UsageError, match=f"^--evalkit-cluster tcp://127.0.0.1:8786: {message}"):
        slots(workers)


def test_a_trusted_network_is_allowed() -> None:
    assert slots(Workers(REMOTE), needs_privacy=False).capacity == 2
