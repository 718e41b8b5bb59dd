"""The examples that end each ``--help`` run as printed, in a project with runs and cassettes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from evalkit.cli.main import COMMANDS, main
from tests.compare.judged_lines import judged, judgment
from tests.environment import ONLY_EVALKIT
from tests.importing.trace_files import FORMATS

EXAMPLE = Path(__file__).parents[2] / "examples" / "support"
RUNS = ("main", "pilot", "baseline", "candidate", "2025-11-01")
PARSED_ONLY = ("serve", "review --web", "import --interaction", "export --otlp", "watch suites")
"""Commands that end only when they are interrupted, or need a service."""


def examples() -> Iterator[str]:
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        text = (command.epilog or "").replace("\\\n", " ")
        lines = re.findall(r"(?m)(?:^|  )(evalkit .*?)(?:   +#.*)?$", text)
        assert lines, name
        assert text.rstrip().endswith(lines[-1]) or "git config" in text or "pytest" in text
        yield from (" ".join(line.split()) for line in lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project in which everything exists that the examples name."""
    folder = tmp_path_factory.mktemp("help") / "project"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("reports"))
    # A small suite with something to decide: a snapshot that nobody has approved yet.
    suite = yaml.safe_load((folder / "suites/tickets.yaml").read_text())
    suite |= {"suite": "weather", "scenarios": suite["scenarios"][:1]}
    suite["scenarios"][0]["turns"][0]["expect"] = [{"snapshot": "text"}]
    (folder / "suites/weather.yaml").write_text(yaml.safe_dump(suite))
    shutil.copytree(folder / "cassettes/tickets", folder / "cassettes/weather")
    environment = {**os.environ, **ONLY_EVALKIT, "HOME": str(folder.parent)}
    command = [sys.executable, "-m", "pytest", "-q", "suites"]
    subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True)
    for name in RUNS:
        shutil.copytree(folder / "reports/latest", folder / "reports" / name)
    for name in ("1", "2"):
        shutil.copytree(folder / "reports/latest", folder / "shards" / name)
    cassette = next((folder / "cassettes/tickets").glob("*.yaml"))
    for name in ("tapes/support.yaml", "tapes/login.yaml", "old/london.yaml", "new/london.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(cassette, folder / name)
    shutil.copyfile(folder / "reports/latest/results.jsonl", folder / "traffic.jsonl")
    (folder / "watch.jsonl").touch()
    (folder / "spans.jsonl").write_text("\n".join(map(json.dumps, FORMATS["current"])))
    # Answers that a judge passes, and people do not.
    with (folder / "reports/latest/results.jsonl").open("a") as results:
        results.writelines(f"{judged(f's{n}', judgment(True))}\n" for n in range(40))
    manifest = json.loads((folder / "reports/latest/manifest.json").read_text())
    more = {"collected": 40, "passed": 40, "scored": 40, "run": 40}
    manifest["totals"] |= {
        name: manifest["totals"][name] + more[name] for name in more.keys() & manifest["totals"]
    }
    (folder / "reports/latest/manifest.json").write_text(json.dumps(manifest))
    rows = (f"weather::s{n}[stateless],{'pass' if n < 20 else 'fail'}\n" for n in range(40))
    (folder / "labels.csv").write_text(f"result,label\n{''.join(rows)}")
    (folder / "evalkit.yaml").write_text(
        "gates:\n  release: {max_regressions: 0}\n"
        "signoff: {allowed_signers: .evalkit/allowed_signers}\n"
    )
    script = """
    ssh-keygen -q -t ed25519 -N "" -C ada@example.com -f ../.ssh/id_ed25519
    echo "ada@example.com $(cat ../.ssh/id_ed25519.pub)" > .evalkit/allowed_signers
    git init -q -b main && git config user.name Ada && git config user.email ada@example.com
    git add -A && git commit -qm a && git commit -q --allow-empty -m b
    git update-ref refs/remotes/origin/main HEAD
    """
    (folder.parent / ".ssh").mkdir()
    (folder / ".evalkit").mkdir()
    subprocess.run(["bash", "-ec", script], cwd=folder, env=environment, check=True)
    return folder


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
@pytest.mark.parametrize("example", [*examples()])
def test_an_example_works_as_printed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, example: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder.parent))
    _, name, *words = shlex.split(example)
    arguments = [
        str(path)
        for word in words
        for path in (
            sorted(Path().glob(word))
            if "*" in word
            else [Path(word).expanduser() if word[0] == "~" else word]
        )
    ]
    if any({*kind.split()} <= {name, *words} for kind in PARSED_ONLY):
        command = main.get_command(click.Context(main), name)
        assert command is not None
        command.make_context(name, arguments)
        return
    done = CliRunner().invoke(main, [name, *arguments], input="q\n")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    # 1 and 4 are verdicts, 2 and 3 are not.
    assert done.exit_code in (0, 1, 4), done.output
