"""``--evalkit-changed-since``: which variants a change concerns."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.plugins import Catalog
from evalkit.pytest_plugin.changed_since import ChangedVariants, WorkTree
from evalkit.pytest_plugin.module_files import module_files
from evalkit.signoff.git import changes_since
from evalkit.suite import expand, load
from tests.plugin.project import Project

ONE = """\
suite: one
defaults: {model: gemini-3.5-flash}
tools:
  lookup:
    description: Looks an order up.
    parameters: {type: object, properties: {order: {type: string}}}
    python: tools.orders:lookup
scenarios:
  - {id: a, history: [stateful, stateless], tools: [lookup], turns: [{user: {file: ../prompts/p.md}}]}
  - {id: b, turns: [{user: Hello}]}
"""
TWO = """\
suite: two
use: [../../shared/fragment.yaml]
defaults: {model: gemini-3.5-flash}
scenarios:
  - {id: c, turns: [{user: Hello, expect: [{snapshot: text}]}]}
  - {id: d, stream: [false, true], turns: [{user: Hello}], expect: [{same_as: {stream: false}}]}
  - {id: e, given: {cassette: given.yaml}, turns: [{user: Hello}]}
"""
GIVEN = """\
interactions:
- request:
    method: POST
    uri: http://127.0.0.1/v1beta/interactions
    body: '{"model": "m", "input": "hi"}'
  response:
    status: {code: 200, message: OK}
    headers: {content-type: [application/json]}
    body: {string: '{"id": "i", "status": "completed", "steps": []}'}
version: 1
"""
ALL_ONE = {"one::a[stateful]", "one::a[stateless]", "one::b"}
ALL_TWO = {"two::c", "two::d[plain]", "two::d[streamed]", "two::e"}
MEDIA = "0" * 64
FILES = {
    "app/pytest.ini": "[pytest]\n",
    "app/suites/one.yaml": ONE,
    "app/suites/two/two.yaml": TWO,
    "app/given.yaml": GIVEN,
    "app/suites/two/_snapshots/two/c.text.txt": "Hello\n",
    "app/shared/fragment.yaml": "fragment: shared\nvars: {x: 1}\n",
    "app/prompts/p.md": "Hello\n",
    "app/tools/orders.py": "import json\nfrom helpers import dates\n\ndef lookup(order): return {}\n",
    "app/helpers/__init__.py": "",
    "app/helpers/dates.py": "from . import numbers\nfrom .texts import words\n",
    "app/helpers/numbers.py": "",
    "app/helpers/texts.py": "words = []\n",
    "app/unused.py": "",
    "app/conftest.py": "import checks\n",
    "app/checks.py": "",
    "app/suites/two/__init__.py": "",
    "app/suites/two/conftest.py": "from .own_checks import friendly\n",
    "app/suites/two/own_checks.py": "from . import tone\nfriendly = None\n",
    "app/suites/two/tone.py": "",
    "app/cassettes/one/a.stateful.yaml": "a\n",
    "app/cassettes/one/a.stateless.yaml": "a\n",
    "app/cassettes/two/c.yaml": f"evalkit-media:sha256:{MEDIA}.png\n",
    "app/cassettes/two/d.plain.yaml": "d\n",
    "app/cassettes/two/d.streamed.yaml": "d\n",
    f"app/cassettes/_media/{MEDIA}.png": "picture\n",
    "other/README.md": "",
}


def git(folder: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=Dana", "-c", "user.email=dana@example.com"]
    settings += ["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *settings, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Repository:
    """A repository with a project in its folder ``app``, committed."""

    def __init__(self, top: Path) -> None:
        self.top, self.app = top, top / "app"
        for name, text in FILES.items():
            self.write(name, text)
        git(top, "init", "-q")
        self.commit()

    def write(self, name: str, text: str) -> None:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self) -> None:
        git(self.top, "add", "-A")
        git(self.top, "commit", "-qm", "A change")

    def restore(self) -> None:
        git(self.top, "reset", "-q", "--hard")
        git(self.top, "clean", "-qfd")

    def affected(self, *suites: Path, ref: str = "HEAD") -> set[str]:
        """Return the ids of the variants that a change since a revision concerns."""
        tree = WorkTree(changes_since(self.app, ref), self.app)
        changed = ChangedVariants(tree, self.app, self.app / "cassettes", self.app / "pytest.ini")
        return {
            variant.id
            for path in suites or sorted((self.app / "suites").rglob("*.yaml"))
            for variant in expand(load(path, root=self.app, checks=Catalog()))
            if changed.configuration or variant in changed
        }


@pytest.fixture(scope="module")
def one_repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("one"))


@pytest.fixture
def unchanged(one_repository: Repository) -> Iterator[Repository]:
    yield one_repository
    one_repository.restore()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return Repository(tmp_path / "repository")


def edited(name: str) -> Callable[[Repository], None]:
    def edit(repository: Repository) -> None:
        path = repository.top / name
        path.write_text(path.read_text() + "\n")

    return edit


def added(name: str) -> Callable[[Repository], None]:
    return lambda repository: repository.write(name, "new\n")


def deleted(name: str) -> Callable[[Repository], None]:
    return lambda repository: (repository.top / name).unlink()


@pytest.mark.parametrize(
    ("change", "affected"),
    [
        (edited("other/README.md"), set()),
        (added("app/notes.txt"), set()),
        (edited("app/unused.py"), set()),
        (added("app/cassettes/three/x.yaml"), set()),
        (edited("app/suites/one.yaml"), ALL_ONE),
        (edited("app/prompts/p.md"), ALL_ONE),
        (edited("app/shared/fragment.yaml"), ALL_TWO),
        (edited("app/given.yaml"), ALL_TWO),
        (edited("app/cassettes/one/a.stateful.yaml"), {"one::a[stateful]"}),
        (deleted("app/cassettes/one/a.stateless.yaml"), {"one::a[stateless]"}),
        (added("app/cassettes/one/b.yaml"), {"one::b"}),
        (edited("app/cassettes/two/d.plain.yaml"), {"two::d[plain]", "two::d[streamed]"}),
        (edited(f"app/cassettes/_media/{MEDIA}.png"), {"two::c"}),
        (deleted(f"app/cassettes/_media/{MEDIA}.png"), {"two::c"}),
        (edited("app/suites/two/_snapshots/two/c.text.txt"), ALL_TWO),
        (deleted("app/suites/two/_snapshots/two/c.text.txt"), ALL_TWO),
        (added("app/suites/_snapshots/one/b.text.txt"), ALL_ONE),
        (edited("app/tools/orders.py"), ALL_ONE),
        (edited("app/helpers/__init__.py"), ALL_ONE),
        (edited("app/helpers/numbers.py"), ALL_ONE),
        (edited("app/helpers/texts.py"), ALL_ONE),
        (deleted("app/helpers/texts.py"), ALL_ONE),
        (added("app/json.py"), ALL_ONE),
        (edited("app/conftest.py"), ALL_ONE | ALL_TWO),
        (deleted("app/conftest.py"), ALL_ONE | ALL_TWO),
        (edited("app/checks.py"), ALL_ONE | ALL_TWO),
        (edited("app/suites/two/__init__.py"), ALL_TWO),
        (edited("app/suites/two/own_checks.py"), ALL_TWO),
        (edited("app/suites/two/tone.py"), ALL_TWO),
        (deleted("app/suites/two/own_checks.py"), ALL_TWO),
        (added("app/suites/conftest.py"), ALL_ONE | ALL_TWO),
        (edited("app/pytest.ini"), ALL_ONE | ALL_TWO),
        (added("app/evalkit.yaml"), ALL_ONE | ALL_TWO),
        (added("requirements-dev.txt"), ALL_ONE | ALL_TWO),
        (added("other/requirements.txt"), set()),
    ],
)  # fmt: skip
def test_what_a_change_concerns(
    unchanged: Repository, change: Callable[[Repository], None], affected: set[str]
) -> None:
    change(unchanged)
    assert unchanged.affected() == affected
    git(unchanged.top, "add", "-A")
    assert unchanged.affected() == affected


def test_commits_and_the_work_tree_count(repository: Repository) -> None:
    edited("app/cassettes/one/a.stateful.yaml")(repository)
    repository.commit()
    assert repository.affected() == set()
    deleted("app/cassettes/one/a.stateless.yaml")(repository)
    added("app/cassettes/one/b.yaml")(repository)
    assert repository.affected(ref="HEAD~1") == ALL_ONE


def test_code_that_imports_by_name_may_use_any_module(repository: Repository) -> None:
    repository.write(
        "app/tools/orders.py",
        "import importlib\ndef lookup(order): return importlib.import_module(order)\n",
    )
    repository.commit()
    edited("app/unused.py")(repository)
    assert repository.affected() == ALL_ONE
    repository.commit()
    repository.write("app/tools/orders.py", "def lookup(order: this is not Python\n")
    repository.commit()
    edited("app/unused.py")(repository)
    assert repository.affected() == ALL_ONE


def test_renamed_files_and_suites(repository: Repository) -> None:
    git(repository.top, "mv", "app/suites/one.yaml", "app/suites/first.yaml")
    assert repository.affected() == ALL_ONE


def test_links_are_compared_with_what_they_lead_to(repository: Repository) -> None:
    if sys.platform == "win32":
        pytest.skip("links")
    (repository.app / "suites/linked.yaml").symlink_to("../../other/linked.yaml")
    repository.write("other/linked.yaml", ONE.replace("suite: one", "suite: linked"))
    repository.commit()
    assert repository.affected() == set()
    edited("other/linked.yaml")(repository)
    assert {name.partition("::")[0] for name in repository.affected()} == {"linked"}


def test_files_that_git_ignores_are_not_known(repository: Repository) -> None:
    repository.write(".gitignore", "cassettes/\n")
    git(repository.top, "rm", "-rq", "--cached", "app/cassettes")
    repository.commit()
    assert repository.affected() == (ALL_ONE | ALL_TWO) - {"one::b", "two::e"}


def test_submodules_and_work_trees(repository: Repository, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "prompt.md").write_text("Hello\n")
    git(library, "init", "-q")
    git(library, "add", "-A")
    git(library, "commit", "-qm", "A prompt")
    git(repository.top, "submodule", "add", "-q", str(library), "app/library")
    repository.write("app/suites/one.yaml", ONE.replace("../prompts/p.md", "../library/prompt.md"))
    repository.commit()
    assert repository.affected() == set()
    edited("app/library/prompt.md")(repository)
    assert repository.affected() == ALL_ONE
    other = tmp_path / "other"
    git(repository.top, "worktree", "add", "-q", str(other), "HEAD~1")
    repository.top, repository.app = other, other / "app"
    assert repository.affected() == set()
    edited("app/suites/two/two.yaml")(repository)
    assert repository.affected() == ALL_TWO


def test_suites_outside_the_repository_are_always_run(
    repository: Repository, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text(ONE[: ONE.index("tools:")] + "scenarios: [{id: a, turns: [{user: Hi}]}]\n")
    assert repository.affected(outside) == {"one::a"}


def test_shallow_clones(repository: Repository, tmp_path: Path) -> None:
    base = git(repository.top, "rev-parse", "HEAD")
    edited("app/cassettes/one/a.stateful.yaml")(repository)
    repository.commit()
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository.top}", str(clone))
    remote = repository.top
    git(remote, "config", "uploadpack.allowAnySHA1InWant", "true")
    repository.top, repository.app = clone, clone / "app"
    expected = f"git has no ref '{base}' (this clone is shallow); fetch it first, or name another"
    with pytest.raises(UsageError, match=re.escape(expected)):
        repository.affected(ref=base)
    # The command of docs/ci.md.
    git(clone, "fetch", "-q", "--no-tags", "--depth=1", "origin", base)
    assert repository.affected(ref=base) == {"one::a[stateful]"}


def test_folders_without_git(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"is not in a git work tree \(.*not a git repository"):
        changes_since(tmp_path, "HEAD")
    with pytest.raises(UsageError, match="git has no ref '--output=x'"):
        changes_since(repository.top, "--output=x")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match=r"is not in a git work tree \(git is not installed\)"):
        changes_since(repository.top, "HEAD")


@pytest.fixture
def recorded_repository(recorded: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(recorded.root.parent))
    git(recorded.root, "init", "-q")
    (recorded.root / ".gitignore").write_text("reports/\n__pycache__/\n.pytest_cache/\n")
    git(recorded.root, "add", "-A")
    git(recorded.root, "commit", "-qm", "All")
    return recorded


def test_nothing_to_test_is_a_success_and_said(recorded_repository: Project) -> None:
    project = recorded_repository
    changed = ["suites", "--evalkit-changed-since", "HEAD"]
    result = project.run(*changed)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["changed since HEAD (*): 0 of 4 tests"])
    (project.root / "evalkit.yaml").write_text("gates: {release: {max_failed: 0}}\n")
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "A gate")
    assert project.run(*changed, "--evalkit-gate", "release").ret == 4
    # What other options leave nothing of is as it was.
    assert project.run(*changed, "-k", "nothing").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_what_is_left_out_is_deselected(recorded_repository: Project) -> None:
    project = recorded_repository
    cassette = project.root / "cassettes/weather/london.stateless.yaml"
    cassette.write_text(cassette.read_text() + "\n")
    result = project.run("suites", "--evalkit-changed-since", "HEAD")
    result.stdout.fnmatch_lines(["changed since HEAD (*): 1 of 4 tests"])
    result.assert_outcomes(passed=1, deselected=3)
    assert set(project.results()) == {"weather::london[stateless]"}
    manifest = project.manifest()
    assert (manifest["totals"]["collected"], manifest["totals"]["deselected"]) == (4, 3)
    assert manifest["options"]["changed_since"] == "HEAD"
    result = project.run("suites", "--evalkit-changed-since", "HEAD", "-k", "hello")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["changed since HEAD (*): 0 of 2 tests"])


def test_workers_select_the_same(recorded_repository: Project) -> None:
    project = recorded_repository
    changed = ["suites", "-p", "xdist", "-n", "2", "--evalkit-changed-since"]
    result = project.run(*changed, "no/such/ref")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --evalkit-changed-since: * git has no ref 'no/such/ref'*"])
    cassette = project.root / "cassettes/weather/london.stateless.yaml"
    cassette.write_text(cassette.read_text() + "\n")
    result = project.pytester.runpytest_subprocess(*changed, "HEAD")
    result.stdout.fnmatch_lines(["changed since HEAD (*): 1 of 4 tests"])
    assert result.parseoutcomes()["passed"] == 1
    assert project.manifest()["totals"]["deselected"] == 3


def test_what_changed_is_recorded(recorded_repository: Project) -> None:
    project = recorded_repository
    suite = project.root / "suites/weather.yaml"
    suite.write_text(suite.read_text().replace("a few words", "two words"))
    result = project.record("--evalkit-changed-since", "HEAD", mode="changed")
    assert "4 of 4 tests" in result.stdout.str()
    result.stdout.fnmatch_lines(["cassettes: 0 written, 2 replaced, 2 untouched; *"])


def test_module_files(tmp_path: Path) -> None:
    for name, text in {
        "a/__init__.py": "from .b import x\n",
        "a/b.py": "from .. import nothing\nfrom ...far import away\nimport a.c.d, os.path\n",
        "a/c/d.py": "def f():\n    from a import e\n",
        "a/e.py": "",
        "broken.py": "def\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    used = module_files(["a.b"], [], [tmp_path])
    names = {path.relative_to(tmp_path).as_posix() for path in used.files}
    assert names == {"a/__init__.py", "a/b.py", "a/c/d.py", "a/e.py"}
    assert not used.may_import_more
    assert {"os", "nothing"} <= used.missing
    (tmp_path / "a/e.py").write_text("from importlib import import_module as load\n")
    assert module_files(["a.e"], [], [tmp_path]).may_import_more
    assert module_files(["broken"], [], [tmp_path]).may_import_more
    assert module_files([], [tmp_path / "gone.py"], [tmp_path]).may_import_more
