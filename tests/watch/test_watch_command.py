"""``evalkit watch`` over loopback: many looks at a service that answers at random, and changes."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from evalkit._lib import yaml
from evalkit._lib.json import loads
from evalkit.cli.main import main
from evalkit.plugins import Catalog
from evalkit.server import serving
from evalkit.session import Runner, Settings
from evalkit.suite import expand, load
from tests.environment import ONLY_EVALKIT
from tests.watch.service import RIGHT, WRONG, SampledService

PLACES = ("museum", "library", "pool", "castle", "market", "garden", "tower", "theater")
SUITE = """\
suite: opening
defaults: {model: gemini-3.5-flash, history: stateless}
tools:
  find_route:
    parameters: {type: object, properties: {mode: {type: string}, to: {type: string}}}
    result: {minutes: 12}
scenarios:
  - id: place
    tags: [watch]
    cases: [CASES]
    turns:
      - {user: "When does the {{ place }} close?", expect: [{text: {contains: until six}}]}
  - id: trip
    tags: [watch]
    tools: [find_route]
    turns:
      - {user: Is it open?, expect: [{text: {contains: open}}]}
      - {user: Show me the route., expect: [{tool_calls: [{name: find_route}]}]}
      - {user: "And as JSON?", expect: [{status: completed}]}
  - {id: other, tags: [slow], turns: [{user: Hello}]}
""".replace("CASES", ", ".join(f"{{id: {place}, place: {place}}}" for place in PLACES))
TURNS = len(PLACES) + 3
QUIET = 16


class WatchedProject:
    """A project with recorded suites, in which looks are made."""

    def __init__(self, folder: Path, service: SampledService, url: str) -> None:
        self.folder, self.service, self.url = folder, service, url

    def watch(self, *arguments: str, url: str | None = None) -> Result:
        return CliRunner().invoke(
            main, ["watch", "suites", "--base-url", url or self.url, *arguments]
        )

    def watch_until(self, code: int, most: int) -> tuple[int, Result]:
        """Look until the exit code; return how many looks it took, and the last one."""
        for number in range(1, most + 1):
            result = self.watch()
            if result.exit_code == code:
                return number, result
        raise AssertionError(f"no exit code {code} in {most} looks: {result.output}")

    @property
    def looks(self) -> list[Any]:
        lines = (self.folder / "watch.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def record(self) -> None:
        variants = expand(
            load(self.folder / "suites/opening.yaml", root=self.folder, checks=Catalog())
        )
        settings = Settings(
            root=self.folder,
            cassettes=self.folder / "cassettes",
            mode="all",
            base_url=self.url,
            key="recording-key",
        )
        runner = Runner(settings)
        for variant in variants:
            if "watch" in variant.tags:
                assert runner.run(variant).verdict == "passed"


@pytest.fixture(scope="module")
def recorded(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Path, SampledService, str]]:
    folder = tmp_path_factory.mktemp("watched")
    (folder / "suites").mkdir()
    (folder / "suites/opening.yaml").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\n")
    service = SampledService()
    with serving(service.app) as url:
        WatchedProject(folder, service, url).record()
        yield folder, service, url


@pytest.fixture
def project(
    recorded: tuple[Path, SampledService, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> WatchedProject:
    """A copy of the project, watched at a service as it was recorded but for noise."""
    original, service, url = recorded
    folder = Path(shutil.copytree(original, tmp_path / "project"))
    monkeypatch.chdir(folder)
    for name, value in ONLY_EVALKIT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GEMINI_API_KEY", "secret-key-of-the-watch")
    vars(service).update(vars(SampledService(rate=0.9)))
    return WatchedProject(folder, service, url)


def test_a_service_that_changed_before_the_first_look(project: WatchedProject) -> None:
    """Its failures do not change between looks, and are named from the first look on."""
    project.service.rate = 0.0
    number, result = project.watch_until(1, most=5)
    assert number == 5, "11 turns; 0.2 ** 4 * 11 is above 0.01"
    assert "DRIFT" not in result.output
    output = " ".join(result.output.split())
    assert "failed in 5 of 5 looks: opening::place[museum] turn 1: text: the text" in output
    assert "drift: 9 turns passed when recorded, and in no look since; if their" in output
    first = project.looks[0]
    assert [turn["verdict"] for turn in first["turns"]].count("failed") == 9
    assert max(map(len, result.output.splitlines())) <= 80


def test_noise_is_no_alarm_and_a_service_that_starts_to_fail_is_one(
    project: WatchedProject,
) -> None:
    results = [project.watch() for _ in range(QUIET)]
    assert {result.exit_code for result in results} == {4, 0}, results[-1].output
    assert [result.exit_code for result in results[-5:]] == [0] * 5
    assert f"nothing changed in {QUIET} looks" in results[-1].output
    failed = [
        turn for look in project.looks for turn in look["turns"] if turn["verdict"] == "failed"
    ]
    assert 5 < len(failed) < 40, "there was noise"

    project.service.rate = 0.3
    number, result = project.watch_until(1, most=6)
    assert "DRIFT: more turns fail since" in result.output
    assert f"recorded: {RIGHT}" in result.output
    assert f"today: {WRONG}" in result.output
    assert len(project.looks) == QUIET + number
    assert max(map(len, result.output.splitlines())) <= 80

    # An alarm stays, although the service recovers, until somebody accepts it.
    project.service.rate = 0.9
    assert project.watch().exit_code == 1
    reset = project.watch("--reset")
    assert (reset.exit_code, f"{QUIET + number + 1} looks" in reset.output) == (0, True)
    assert project.watch().exit_code == 4
    assert project.looks[-2]["kind"] == "reset"


def test_the_requests_are_the_recorded_ones(project: WatchedProject) -> None:
    project.service.rate = 0.0
    assert project.watch("--concurrency", "1").exit_code == 4
    sent = [body for body in project.service.bodies if _last_type(body) != "function_result"]
    for path in sorted((project.folder / "cassettes/opening").glob("*.yaml")):
        document = yaml.load(path.read_text())
        for item in document["interactions"]:
            body = loads(item["request"]["body"])
            if _last_type(body) != "function_result":
                assert body in sent
                sent.remove(body)
    assert sent == [], "turns are asked after the recorded answers, not after their own"


def _last_type(body: Any) -> str:
    steps = body["input"]
    return str(steps[-1].get("type")) if isinstance(steps, list) else ""


def test_answers_are_compared_by_meaning(project: WatchedProject) -> None:
    project.service.rate, project.service.mode = 1.0, "drive"
    result = project.watch("--report", "reports/watch")
    assert result.exit_code == 4, result.output
    differences = {
        turn["id"]: turn["difference"] for turn in project.looks[0]["turns"] if "difference" in turn
    }
    assert differences == {
        "opening::trip turn 2": 'function_call find_route, arguments/mode: "walk" → "drive"'
    }
    compared = CliRunner().invoke(
        main, ["compare", "reports/watch/recorded", "reports/watch/live", "--locked", "--json"]
    )
    assert json.loads(compared.stdout)["locked"] is True, compared.output
    assert (project.folder / "reports/watch/live/index.html").is_file()
    project.service.rate = 0.0
    project.watch()
    differences = {turn["id"]: turn.get("difference") for turn in project.looks[1]["turns"]}
    assert differences["opening::trip turn 3"] == "JSON /open: boolean → string"


def test_longer_answers_are_drift(project: WatchedProject) -> None:
    project.service.rate = 1.0
    for _ in range(8):
        project.watch()
    project.service.words = 4.0
    _, result = project.watch_until(1, most=6)
    assert "DRIFT: answers have more tokens since" in result.output
    assert "(x4." in result.output or "(x3." in result.output, result.output


def test_a_renamed_model_is_reported_once(project: WatchedProject) -> None:
    assert project.watch().exit_code in (0, 4)
    project.service.model = "gemini-3.5-flash-11-2026"
    result = project.watch()
    assert result.exit_code == 1
    new = "changed: gemini-3.5-flash-11-2026 answers (recorded: gemini-3.5-flash-06-2026)"
    assert new in " ".join(result.output.split())
    result = project.watch()
    assert result.exit_code in (0, 4)
    assert project.looks[-1]["models"] == ["gemini-3.5-flash-11-2026"]
    _, result = project.watch_until(0, most=4)
    since = f"since: {new.removeprefix('changed: ')}"
    assert f"looks {since}" in " ".join(result.output.split())


def test_a_new_field_is_reported_once(project: WatchedProject) -> None:
    project.service.extra = {"mood": "good"}
    result = project.watch()
    assert result.exit_code == 1
    assert 'changed: the field "mood" of the interaction is new' in result.output
    assert project.watch().exit_code in (0, 4)


@pytest.mark.parametrize("status", [503, 429])
def test_a_service_that_does_not_answer_is_undecided(
    project: WatchedProject, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr("evalkit.transports.live.RETRIES", 0)
    for _ in range(6):
        assert project.watch().exit_code in (0, 4)
    project.service.status = status
    for _ in range(3):
        result = project.watch()
        assert result.exit_code == 4, result.output
    assert f"undecided: {TURNS} turns without an answer" in result.output
    assert "no answer: opening::place[museum] turn 1 and" in result.output
    project.service.status = 200
    assert project.watch().exit_code in (0, 4)
    assert not any(look["p"] for look in project.looks[6:9])


def test_an_unreachable_service_is_undecided(
    project: WatchedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.transports.live.RETRIES", 0)
    result = project.watch(url="http://127.0.0.1:9")
    assert result.exit_code == 4, result.output
    assert "stopped: http://127.0.0.1:9 cannot be reached" in result.output
    assert len(project.looks) == 1


def test_a_spent_budget_is_undecided(project: WatchedProject) -> None:
    result = project.watch("--max-tokens", "1", "--concurrency", "1")
    assert result.exit_code == 4
    assert "it was not run" in result.output
    assert 1 <= project.looks[0]["requests"] < TURNS


def test_a_new_recording_accepts_a_change(project: WatchedProject) -> None:
    project.service.rate = 1.0
    for _ in range(6):
        project.watch()
    project.service.mode = "drive"
    project.service.words = 3.0
    project.watch_until(1, most=6)
    assert project.watch().exit_code == 1
    old = {turn["id"]: turn["series"] for turn in project.looks[-1]["turns"]}
    project.record()
    result = project.watch()
    assert result.exit_code in (0, 4), result.output
    new = {turn["id"]: turn["series"] for turn in project.looks[-1]["turns"]}
    assert not set(old.values()) & set(new.values())
    assert project.looks[-1]["p"] == {}, "nothing can be compared with it yet"


def test_an_edited_expectation_begins_a_new_series(project: WatchedProject) -> None:
    project.watch()
    path = project.folder / "suites/opening.yaml"
    path.write_text(path.read_text().replace("contains: until six", "contains: until"))
    project.watch()
    before, after = (
        {turn["id"]: turn["series"] for turn in look["turns"]} for look in project.looks
    )
    assert {id_ for id_ in before if before[id_] == after[id_]} == {
        f"opening::trip turn {number}" for number in (1, 2, 3)
    }


MISTAKES = {
    "no tagged scenario": (("--tag", "wach"), "--tag wach: no scenario of 1 suite to watch (did you mean 'watch'?)"),
    "no such path": (("suits",), "suits: no such file or folder (did you mean 'suites'?)"),
    "alpha": (("--alpha", "1"), "--alpha"),
    "base url": (("--base-url", "ftp://x"), "ftp://x"),
    "report": (("--report", "pytest.ini"), "--report"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_reported_before_anything_is_sent(
    project: WatchedProject, mistake: str
) -> None:
    arguments, message = MISTAKES[mistake]
    result = project.watch(*arguments)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())
    assert project.service.bodies == []


def test_a_missing_key_is_reported(
    project: WatchedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    result = CliRunner().invoke(main, ["watch", "suites"])
    assert (result.exit_code, "no API key" in result.output) == (2, True)
    assert not (project.folder / "watch.jsonl").exists()


def test_a_missing_cassette_is_reported(project: WatchedProject) -> None:
    (project.folder / "cassettes/opening/trip.yaml").unlink()
    result = project.watch()
    assert result.exit_code == 2
    output = " ".join(result.output.split())
    assert "suites/opening.yaml:13: opening::trip cannot be watched" in output
    assert "pytest suites/opening.yaml --evalkit-record" in output
    assert project.service.bodies == []


def test_a_simulated_user_cannot_be_watched(project: WatchedProject) -> None:
    path = project.folder / "suites/opening.yaml"
    simulated = "  - {id: talk, tags: [watch], turns: [{simulate: {goal: to know}}]}\n"
    path.write_text(path.read_text() + simulated)
    result = project.watch()
    assert (result.exit_code, "do not watch it (tag 'watch')" in result.output) == (2, True)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("{}\n", "Unable to extract tag using discriminator 'kind'"),
        ("not JSON\n", "Invalid JSON"),
        ('{"evalkit_watch": 1, "kind": "reset", "time": "2026-01-01T00:00:00Z"}', "it has no end"),
    ],
)  # fmt: skip
def test_a_damaged_history_is_never_written_to(
    project: WatchedProject, damage: str, problem: str
) -> None:
    project.watch()
    path = project.folder / "watch.jsonl"
    with path.open("a") as file:
        file.write(damage)
    before = path.read_bytes()
    for arguments in ((), ("--reset",)):
        result = project.watch(*arguments)
        output = " ".join(result.output.split())
        assert (result.exit_code, "watch.jsonl:2: not a line" in output) == (2, True), output
        assert problem in output
    assert path.read_bytes() == before


def test_a_history_of_another_version_is_not_called_damaged(project: WatchedProject) -> None:
    line = '{"evalkit_watch": 2, "kind": "reset", "time": "2026-01-01T00:00:00Z"}\n'
    (project.folder / "watch.jsonl").write_text(line)
    result = project.watch()
    assert result.exit_code == 2
    assert result.stderr == (
        "evalkit: watch.jsonl:1: another version of evalkit wrote this line (format 2, expected "
        "1); use that version, or name another file with --history\n"
    )


def test_a_history_that_is_not_there_cannot_be_reset(project: WatchedProject) -> None:
    result = project.watch("--reset", "--history", "wach.jsonl")
    assert result.exit_code == 2
    assert result.stderr.startswith("evalkit: wach.jsonl: no such file, so it has no looks to")
    assert not (project.folder / "wach.jsonl").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
def test_an_interruption_is_not_drift(project: WatchedProject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "evalkit", "watch", "--base-url", url]
        with subprocess.Popen(
            [*command, "--concurrency", "1"], stderr=subprocess.PIPE, text=True
        ) as process:
            connection, _ = silent.accept()
            # Closing a connection before the request is read would reset it.
            with connection:
                process.send_signal(signal.SIGINT)
                # An answer that is not retried ends the conversation for which the command waits.
                connection.sendall(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")
                _, messages = process.communicate(timeout=60)
    assert (process.returncode, messages) == (130, "\nevalkit: interrupted\n")
    assert (project.folder / "watch.jsonl").read_bytes() == b""


def test_no_key_is_written(project: WatchedProject) -> None:
    project.watch("--report", "reports/watch")
    for path in project.folder.rglob("*"):
        if path.is_file():
            assert b"secret-key-of-the-watch" not in path.read_bytes(), path
