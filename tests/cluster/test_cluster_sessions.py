"""``--evalkit-cluster``: sessions over real worker processes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from evalkit.server import serving
from tests.cluster.conftest import ClusterProject, Waiting
from tests.cluster.processes import KEY, Cluster, wait_until
from tests.plugin.project import WEATHER
from tests.plugin.test_option_concurrency import recorded

COUNT = 8
SCENARIOS = "".join(
    f"  - {{id: s{number}, turns: [{{user: Hello {number}}}]}}\n" for number in range(COUNT)
)
MANY = f"suite: many\ndefaults: {{model: gemini-3.5-flash}}\nscenarios:\n{SCENARIOS}"
CODE = """\
suite: code
defaults: {model: gemini-3.5-flash, history: stateless}
tools:
  get_current_temperature:
    parameters: {type: object, properties: {location: {type: string}}, required: [location]}
    python: project_tools:temperature
scenarios:
  - id: tool
    tools: [get_current_temperature]
    turns:
      - user: What is the temperature in London?
        expect: [{text: {contains: "22"}}, {python: "project_tools:is_short"}]
  - id: own-check
    turns: [{user: Hello, expect: [polite]}]
  - id: application
    target: {python: "project_tools:ask"}
    turns: [{user: Hello from a target}]
  - id: wrong
    turns: [{user: Hello, expect: [{text: {contains: nothing of the kind}}]}]
"""
TOOLS = """\
import os

from packages.weather import DEGREES


def temperature(location):
    return {"temperature": str(DEGREES), "location": location}


def is_short(transcript, turn):
    return []


def ask(message, context):
    import httpx

    assert os.environ["GEMINI_API_KEY"] == context.api_key
    body = {"model": context.model, "input": message}
    headers = {"x-goog-api-key": context.api_key}
    httpx.post(f"{context.base_url}/v1beta/interactions", json=body, headers=headers)
"""
CONFTEST = """\
import evalkit


@evalkit.check
def polite(view):
    return []
"""


@pytest.fixture
def many(project: ClusterProject) -> ClusterProject:
    project.suite("many", MANY)
    return project


def options(cluster: Cluster, *more: str, mode: str = "once") -> list[str]:
    return ["--evalkit-record", mode, "--evalkit-cluster", cluster.address, *more]


def outcomes(project: ClusterProject, directory: str) -> list[Any]:
    volatile = ("digest", "metrics", "turns", "settings")
    return [
        {key: value for key, value in line.items() if key not in volatile}
        | {"texts": [[step.get("type") for step in turn["steps"]] for turn in line["turns"]]}
        for line in project.results(directory).values()
    ]


def test_results_and_cassettes_are_those_of_a_session_without_a_cluster(
    project: ClusterProject, cluster: Cluster, backend: Waiting
) -> None:
    backend.gate.set()
    project.suite("weather", WEATHER)
    project.suite("code", CODE)
    (project.root / "packages").mkdir()
    (project.root / "packages/weather.py").write_text("DEGREES = 22\n")
    (project.root / "project_tools.py").write_text(TOOLS)
    (project.root / "conftest.py").write_text(CONFTEST)
    for folder, more in (
        ("alone", []),
        ("shared", ["--evalkit-cluster", cluster.address, "--evalkit-concurrency", "2"]),
    ):
        with serving() as project.url:
            text = project.finish(
                *("--evalkit-record", "once", "--evalkit-cassettes", folder),
                *("--evalkit-report", f"reports/{folder}", *more),
            )
        assert "1 failed, 7 passed" in text, text
    assert recorded(project, "alone") == recorded(project, "shared")
    assert outcomes(project, "reports/alone") == outcomes(project, "reports/shared")
    totals = [project.manifest(f"reports/{name}")["totals"] for name in ("alone", "shared")]
    assert totals[0] == totals[1]
    assert {path.suffix for path in (project.root / "shared").rglob("*.*")} == {".yaml"}
    # The key is in no file, and in nothing that dask logs of anything.
    written = [*project.root.rglob("*"), *cluster.folder.rglob("*")]
    texts = [path.read_bytes() for path in written if path.is_file()]
    assert not [text for text in texts if KEY.encode() in text]
    assert "evalkit-conversation-" in cluster.logs


def test_a_lost_worker_loses_nothing(
    many: ClusterProject, cluster: Cluster, backend: Waiting
) -> None:
    # Many looks at the workers while a result arrives.
    (many.root / "conftest.py").write_text(
        "from evalkit.cluster import cluster_runner\n\ncluster_runner.WAIT_SECONDS = 0.002\n"
    )
    doomed = cluster.start_worker()
    doomed.find(r"(Starting established connection)")
    session = many.start(*options(cluster))
    backend.wait_for(3)
    assert backend.waiting == 3
    doomed.end(signal.SIGKILL)
    cluster.scheduler.find(r"(Remove worker)")
    backend.gate.set()
    assert session.process.wait(90) == 0, session.text
    assert f"{COUNT} passed" in session.text
    assert "1 conversation ran again, because a worker was lost" in session.text
    assert list(many.results()) == [f"many::s{number}" for number in range(COUNT)]
    totals = many.manifest()["totals"]
    assert totals["passed"] == COUNT
    assert f"{COUNT} written, 0 replaced" in session.text
    assert f"{COUNT} requests, {totals['tokens']} tokens" in session.text
    assert backend.arrived == COUNT + 1
    many.run("suites").assert_outcomes(passed=COUNT)
    before = recorded(many, "cassettes")
    text = many.finish(*options(cluster, mode="all"))
    assert f"0 written, 0 replaced, {COUNT} unchanged" in text
    assert recorded(many, "cassettes") == before


def test_a_worker_is_lost_between_a_result_and_its_transfer(
    many: ClusterProject, backend: Waiting, tmp_path: Path
) -> None:
    (many.root / "conftest.py").write_text(
        "import os\n"
        "from distributed import Client\n\n"
        "transfer = Client._gather_remote\n\n"
        "async def killed_before(self, *arguments):\n"
        "    if pid := int(os.environ.pop('DOOMED', 0)):\n"
        "        os.kill(pid, 9)\n"
        "    return await transfer(self, *arguments)\n\n"
        "Client._gather_remote = killed_before\n"
    )
    own = Cluster(tmp_path, workers=1)
    try:
        backend.gate.set()
        doomed = {"DOOMED": str(own.workers[0].process.pid)}
        session = many.start(*options(own), environment=doomed)
        own.scheduler.find(r"(Remove worker)")
        own.start_worker()
        assert session.process.wait(90) == 0, session.text
    finally:
        own.end()
    assert f"{COUNT} passed" in session.text
    assert "1 conversation ran again, because a worker was lost" in session.text
    assert list(many.results()) == [f"many::s{number}" for number in range(COUNT)]
    assert backend.arrived == COUNT + 1


def test_a_lost_scheduler_ends_the_session_which_can_be_resumed(
    many: ClusterProject, cluster: Cluster, backend: Waiting, tmp_path: Path
) -> None:
    own = Cluster(tmp_path, workers=1)
    live = ("--evalkit-live", "--evalkit-cluster")
    try:
        backend.gate.set()
        many.suite("many", MANY.replace("Hello 2", "Wait here"))
        backend.holds = "Wait here"
        session = many.start(*live, own.address)
        backend.wait_for_held()
        own.scheduler.end(signal.SIGKILL)
        assert session.process.wait(90) == 2, session.text
    finally:
        own.end()
    assert f"stopped: the scheduler {own.address} was lost, or it was restarted" in session.text
    assert "--evalkit-resume continues" in session.text
    assert "Traceback" not in session.text
    assert list(many.results()) == ["many::s0", "many::s1"]
    backend.holds = ""
    text = many.finish(*live, cluster.address, "--evalkit-resume")
    assert f"{COUNT} passed" in text
    assert f"{COUNT - 2} requests" in text
    assert len(many.results()) == COUNT


def test_ctrl_c_waits_for_what_runs(
    many: ClusterProject, cluster: Cluster, backend: Waiting
) -> None:
    many.suite("many", MANY + SCENARIOS.replace("id: s", "id: t").replace("Hello", "Hi"))
    (many.root / "conftest.py").write_text(
        "import pathlib\n\n\ndef pytest_keyboard_interrupt():\n"
        "    pathlib.Path('interrupted').touch()\n"
    )
    session = many.start(*options(cluster, "--evalkit-concurrency", "2"))
    backend.wait_for(4)
    assert backend.most == 4
    session.process.send_signal(signal.SIGINT)
    wait_until((many.root / "interrupted").exists, "the session is interrupted")
    backend.gate.set()
    assert session.process.wait(90) == 2, session.text
    done = many.cassettes()
    assert 4 <= len(done) < 2 * COUNT
    assert not [name for name in done if name.endswith(".journal")]
    assert "Traceback" not in session.text
    text = many.finish(*options(cluster, "--evalkit-concurrency", "2"))
    assert f"{2 * COUNT} passed" in text
    assert f"{2 * COUNT - len(done)} requests" in text


def test_stops_at_the_first_failure(
    many: ClusterProject, cluster: Cluster, backend: Waiting
) -> None:
    backend.gate.set()
    many.suite(
        "many",
        MANY.replace("user: Hello 1}", "user: Hello 1, expect: [{text: {contains: no such}}]}"),
    )
    text = many.finish(*options(cluster, "-x"))
    assert "1 failed, 1 passed" in text
    assert list(many.results()) == ["many::s0", "many::s1"]
    assert 2 <= len(many.cassettes()) < COUNT
    assert not [name for name in many.cassettes() if name.endswith(".journal")]


def test_the_budget_holds_over_all_workers(
    many: ClusterProject, cluster: Cluster, backend: Waiting
) -> None:
    backend.gate.set()
    text = many.finish(*options(cluster, "--evalkit-budget", "50 tokens"))
    assert "stopped: the budget of 50 tokens is spent" in text
    assert 2 <= len(many.cassettes()) <= 4
    assert backend.arrived == len(many.cassettes())


def test_another_version_on_a_worker_is_one_message(
    many: ClusterProject, cluster: Cluster, tmp_path: Path, backend: Waiting
) -> None:
    info = tmp_path / "other/pytest_evalkit-9.9.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pytest-evalkit\nVersion: 9.9.9\n")
    worker = cluster.start_worker({"PYTHONPATH": str(info.parent)})
    try:
        worker.find(r"(Starting established connection)")
        text = many.finish(*options(cluster))
    finally:
        worker.end()
    assert f"ERROR: --evalkit-cluster {cluster.address}: the worker tcp://127.0.0.1:" in text
    assert "has evalkit 9.9.9 (expected 0.1.0, as this session); install it there: pip" in text
    assert backend.arrived == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--evalkit-cluster", "tcp://127.0.0.1:1"], "a replay needs no cluster; leave"),
        (
            ["--evalkit-cluster", "tcp://127.0.0.1:1", "--evalkit-live", "-p", "xdist", "-n2"],
            "workers of pytest-xdist cannot share a cluster",
        ),
        (
            ["--evalkit-cluster", "tcp://127.0.0.1:1", "--evalkit-live", "--evalkit-locked", "a"],
            "workers do not have the run of --evalkit-locked",
        ),
        (
            ["--evalkit-cluster", "nowhere", "--evalkit-live"],
            "--evalkit-cluster nowhere: not the address of a scheduler",
        ),
        (
            ["--evalkit-cluster", "tcp://192.0.2.1:8786", "--evalkit-live"],
            "the connection to the scheduler is not encrypted, and the API key would be sent",
        ),
    ],
)
def test_wrong_commands(
    many: ClusterProject, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    result = many.run("suites", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = f"{result.stdout}\n{result.stderr}"
    assert f"ERROR: --evalkit-cluster {arguments[1]}: " in text
    assert message in text
    assert "Traceback" not in text


def test_a_session_without_the_option_imports_nothing_of_it(
    many: ClusterProject, backend: Waiting
) -> None:
    backend.gate.set()
    (many.root / "conftest.py").write_text(
        "import json, sys\n\n\ndef pytest_unconfigure():\n"
        "    names = [name for name in sys.modules if name.startswith(('evalkit.cluster', 'dask'))]\n"
        "    print('imported', json.dumps(names + [n for n in sys.modules if n == 'distributed']))\n"
    )
    assert "imported []" in many.finish("--evalkit-record", "once", "--evalkit-concurrency", "2")
