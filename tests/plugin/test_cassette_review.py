"""A sentence of a prompt is edited and recorded again: what a reviewer sees in git."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

from tests.plugin.project import Project

PROMPT = """\
You are the assistant of Lumen, which makes desk lamps.

Be polite. Answer in one sentence.
Never promise a refund.
"""
SUITE = """\
suite: help
defaults:
  model: gemini-3.5-flash
  system_instruction: {file: ../prompts/help.md}
scenarios:
  - {id: one, history: [stateful, stateless], turns: [{user: Hello one}, {user: And now}]}
"""
OLD, NEW = "Never promise a refund.", "Offer a refund within 14 days."


def changes(*command: str) -> dict[str, list[str]]:
    """Return the changed lines of each file in git's output, without indentation."""
    done = subprocess.run(["git", *command], check=True, capture_output=True, text=True)
    files: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        if line.startswith("diff --git"):
            files[line.rpartition("/")[2]] = current = []
        elif line[:1] in ("+", "-") and not line.startswith(("+++ ", "--- ")):
            current.append(line[0] + line[1:].strip())
    return files


def test_an_edited_sentence_is_shown_once_per_cassette(project: Project) -> None:
    (project.root / "suites/weather.yaml").unlink()
    (project.root / "prompts").mkdir()
    prompt = project.root / "prompts/help.md"
    prompt.write_text(PROMPT)
    project.suite("help", SUITE)
    (project.root / ".gitattributes").write_text("cassettes/**/*.yaml diff=evalkit\n")
    project.record().assert_outcomes(passed=2)
    os.environ.pop("GIT_DIR", None)
    textconv = f"{shlex.quote(sys.executable)} -m evalkit diff --text"
    for command in (
        "init -q",
        "config user.name A",
        "config user.email a@example.org",
        "add cassettes prompts .gitattributes",
        "commit -q -m 1",
    ):
        subprocess.run(["git", *command.split()], check=True)
    # Nothing differs where nothing but ids and times does.
    project.record(mode="all").assert_outcomes(passed=2)
    assert changes("diff", "--no-textconv") == {}
    prompt.write_text(PROMPT.replace(OLD, NEW))
    project.record(mode="changed").assert_outcomes(passed=2)

    driver = ["-c", f"diff.evalkit.textconv={textconv}"]
    shown = changes(*driver, "diff", "--", "cassettes")
    assert shown == {
        f"one.{name}.yaml": [f"-{OLD}", f"+{NEW}"] for name in ("stateful", "stateless")
    }

    # Without the driver it is shown for each request, as the line that was edited.
    raw = changes("diff", "--no-textconv", "--", "cassettes")
    assert len(raw) == 2
    for lines in raw.values():
        edited = [line.partition(r"\\n")[0] for line in lines if "refund" in line]
        assert edited == [f"-{OLD}", f"+{NEW}"] * 2
        assert not [line for line in lines if "Lumen" in line]
