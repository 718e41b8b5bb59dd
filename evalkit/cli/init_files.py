"""The files of a new project: what each contains, and how it is written beside existing ones.

No content is ever replaced: a file is new, or lines that it does not have are added to it.
"""

import json
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple, Protocol

import yaml
from jinja2 import Environment

from evalkit._lib.files import write_atomic
from evalkit._lib.pytest_settings import SettingsFile
from evalkit.cli.init_project import CISystem, NewProject
from evalkit.cli.init_pytest import NEW_FILE, advice, has_suites, text_with
from evalkit.cli.schema import suite_schema

WRITTEN, ADDED, EXISTS, TO_DO = "written", "added to", "exists", "to do"

_IGNORED = ("/reports/*", "*.journal")
_IGNORED_COMMENT = """\
# What evalkit writes and nobody commits: run directories, and journals of interrupted recordings.
# To commit a signed run, add its folder below, such as: !/reports/release/
"""
_ATTRIBUTES_COMMENT = """\
# Suites, recordings, runs and their signatures are digested byte for byte, so git must not convert
# their line ends, as it does on Windows.
"""
_GITLAB = """\
# The jobs of evalkit.
include:
  - local: {file}
"""
_TEMPLATES = Environment(  # noqa: S701 - no HTML
    variable_start_string="[[",
    variable_end_string="]]",
    block_start_string="[%",
    block_end_string="%]",
    trim_blocks=True,
    keep_trailing_newline=True,
)
"""The workflows contain braces of their own."""
_TEMPLATES.filters |= {"json": partial(json.dumps, ensure_ascii=False), "sh": shlex.quote}


class Target(Protocol):
    """A file to write; ``write`` returns what it did, and what a person must do."""

    @property
    def path(self) -> Path:
        """The file's path."""

    @property
    def purpose(self) -> str:
        """What the file is for, in a few words."""

    def write(self) -> tuple[str, str]:
        """Write the file or what it lacks."""


class NewFile(NamedTuple):
    """A file that is written if it does not exist."""

    path: Path
    purpose: str
    text: str

    def write(self) -> tuple[str, str]:
        """Write the file unless it exists."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(self.text)
        except FileExistsError:
            return EXISTS, ""
        return WRITTEN, ""


class AddedLines(NamedTuple):
    """Lines that a file must have, added below a comment where they are missing."""

    path: Path
    purpose: str
    comment: str
    lines: tuple[str, ...]

    def write(self) -> tuple[str, str]:
        """Append the lines that are missing."""
        text = ""
        if self.path.exists():
            # git reads bytes; names in another encoding stay as they are.
            text = self.path.read_bytes().decode("utf-8", "surrogateescape")
        if "\0" in text:
            return TO_DO, f"save {self.path.name} as UTF-8, which git needs; call this again"
        existing = {" ".join(line.split()) for line in text.splitlines()}
        missing = [line for line in self.lines if line not in existing]
        if not missing:
            return EXISTS, ""
        added = "\n" * bool(text) + self.comment + "".join(f"{line}\n" for line in missing)
        if text and not text.endswith("\n"):
            added = "\n" + added
        new = text + (added.replace("\n", "\r\n") if "\r\n" in text else added)
        write_atomic(self.path, new.encode("utf-8", "surrogateescape"))
        return (ADDED if text else WRITTEN), ""


class PytestSetting(NamedTuple):
    """The setting that says where suites are, in the file that pytest reads."""

    file: SettingsFile
    suites: Path

    @property
    def path(self) -> Path:
        """The file's path."""
        return self.file.path

    @property
    def purpose(self) -> str:
        """What the file is for, in a few words."""
        return "pytest's settings: where suites are"

    def write(self) -> tuple[str, str]:
        """Add the setting unless the file has it."""
        if has_suites(self.file, self.suites):
            return EXISTS, ""
        text = text_with(self.file, self.suites)
        if text is None:
            return TO_DO, f"set in {self.path.name}: {advice(self.file, self.suites)}"
        write_atomic(self.path, text)
        return ADDED, ""


class GitLabInclude(NamedTuple):
    """The line of ``.gitlab-ci.yml`` that includes the jobs."""

    path: Path
    file: str

    @property
    def purpose(self) -> str:
        """What the file is for, in a few words."""
        return f"includes {self.file}"

    def write(self) -> tuple[str, str]:
        """Write the file; where it exists, the line is a person's to add."""
        status, _ = NewFile(self.path, self.purpose, _GITLAB.format(file=self.file)).write()
        if status == EXISTS and self.file not in self.path.read_text(encoding="utf-8"):
            return TO_DO, f"add to {self.path.name}: include: [{{local: {self.file}}}]"
        return status, ""


def targets(project: NewProject, ci: CISystem) -> Iterator[Target]:
    """Yield the files of a project, without those of the first suite."""
    folder, root = project.folder, project.root
    yield NewFile(root / "evalkit.yaml", "gates and prices", _starter("evalkit.yaml"))
    yield NewFile(
        folder / "evalkit.schema.json", "the language of suites, for editors", suite_schema()
    )
    suites = folder / "suites"
    if project.pytest_file is not None:
        yield PytestSetting(project.pytest_file, suites)
    else:
        yield NewFile(root / "pytest.ini", "pytest's settings: where suites are", NEW_FILE)
    yield AddedLines(root / ".gitignore", "reports stay out of git", _IGNORED_COMMENT, _IGNORED)
    yield AddedLines(
        root / ".gitattributes",
        "line ends stay as they are",
        _ATTRIBUTES_COMMENT,
        tuple(_attributes(project)),
    )
    yield from _workflow(project, ci)


def first_suite(project: NewProject) -> Iterator[Target]:
    """Yield the files of the first suite."""
    suites = project.folder / "suites"
    name = suite_name(project)
    text = _TEMPLATES.from_string(_starter("hello.yaml")).render(name=name)
    yield NewFile(suites / "hello.yaml", "a first suite", text)
    prompt = project.folder / "prompts" / "assistant.md"
    yield NewFile(prompt, "its system instruction", _starter("assistant.md"))


def suite_name(project: NewProject) -> str:
    """Return the first suite's name; it names cassettes, which other folders may share."""
    path = project.folder.relative_to(project.root).as_posix()
    return "-".join(filter(None, ("hello", re.sub(r"\W+", "-", path).strip("-"))))


def _starter(name: str) -> str:
    return (files("evalkit.cli") / "starter" / name).read_text(encoding="utf-8")


def _attributes(project: NewProject) -> Iterable[str]:
    path = project.folder.relative_to(project.root).as_posix()
    for name in ("suites/**", "prompts/**"):
        pattern = name if path == "." else f"{path}/{name}"
        yield f"{json.dumps(pattern) if ' ' in pattern else pattern} -text"
    yield "evalkit.yaml -text"
    yield ".evalkit/** -text"
    yield "cassettes/** -text"
    yield "cassettes/**/*.yaml diff=evalkit"
    yield "cassettes/_media/** binary linguist-generated"
    yield "reports/** -text linguist-generated"


def _workflow(project: NewProject, ci: CISystem) -> Iterator[Target]:
    """Yield the files of a CI system; a project below the repository's root has its own."""
    if ci == "none":
        return
    path = project.root.relative_to(project.top).as_posix()
    label = re.sub(r"\W+", "-", path).strip("-")
    suffix = f"-{label}" if label else ""
    values = {
        "path": path if label else "",
        "prefix": f"{path}/" if label else "",
        "suffix": suffix,
        "suites": (project.folder / "suites").relative_to(project.root).as_posix(),
        "install": project.install_commands(),
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "stage": _first_stage(project.top / ".gitlab-ci.yml"),
    }
    text = _TEMPLATES.from_string(_starter(f"{ci}.yml")).render(values)
    purpose = "replays, compares with the base branch"
    if ci == "github":
        yield NewFile(project.top / ".github/workflows" / f"evalkit{suffix}.yml", purpose, text)
    else:
        name = f".gitlab/evalkit{suffix}.yml"
        yield NewFile(project.top / name, purpose, text)
        yield GitLabInclude(project.top / ".gitlab-ci.yml", name)


def _first_stage(path: Path) -> str:
    """Return the first stage of a GitLab pipeline without the default stage; else ``""``."""
    try:
        stages = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return ""
    return "" if "test" in stages else str(stages[0])
