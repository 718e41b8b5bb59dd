"""Write and read ``manifest.sha256``, the digests of all signed files.

It has coreutils' format:

    cd ROOT && sha256sum -c reports/latest/manifest.sha256

ROOT is the project root; every file is named from there, those of the run directory too. A run
consists of its suites with the files they use and their snapshots, its modules of tests, its
cassettes and their media, all files of its directory, and the baseline's results if a gate was
evaluated. Pages built from these (``index.html``, ``junit.xml`` and the like) are not part of it:
they can be built again.
"""

import glob
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import display_path, open_regular, reason_of
from evalkit._lib.json import JSON
from evalkit.cassette.files import FOLDER as MEDIA
from evalkit.cassette.files import PREFIX
from evalkit.checks.snapshot import FOLDER as SNAPSHOTS
from evalkit.errors import IntegrityError, SuiteErrors, UsageError
from evalkit.results import Run
from evalkit.results.bar import NAME as BAR
from evalkit.results.bar import suite_digest
from evalkit.results.run_directory import DERIVED, SIGNOFFS
from evalkit.signoff.problems import InvalidEvidence

NAME = "manifest.sha256"
TOOL_VERSIONS = "tool-versions.json"
CONVERTED = (
    " (git has converted its line ends to CRLF; write .gitattributes as `evalkit init` does, and "
    "check the file out again)"
)
_BUILT_FILES = (NAME, *DERIVED, "comparison/index.html")
_BUILT_FOLDERS = (SIGNOFFS, "data")
BASELINE_FILES = ("manifest.json", "results.jsonl")

_LINE = re.compile(rb"(\\?)([0-9a-f]{64})  ([^\0\r\n]+)")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPED = {"n": "\n", "r": "\r"}
_MEDIA_REFERENCE = re.compile(rf"{PREFIX}sha256:([0-9a-f]{{64}}\.[a-z0-9]{{1,8}})\"".encode())


class SignedPaths(NamedTuple):
    """Resolves signed names to files.

    ``root`` is the project root, ``run`` the run directory, ``signed_run`` its name when signed.
    """

    root: Path
    run: Path
    signed_run: str

    def path(self, name: str) -> Path:
        """Return the file of a name, wherever the run directory is now."""
        prefix = f"{self.signed_run}/"
        if name.startswith(prefix):
            return self.run / name.removeprefix(prefix)
        return self.root / name


def file_digest(path: Path) -> str | None:
    """Return the hex SHA-256 of a file; None if there is none.

    Raises UsageError if unreadable.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{display_path(path)}: cannot be read ({reason_of(error)})") from error


def has_converted_line_ends(path: Path, digest: str) -> bool:
    """Return whether a file had this digest before its line ends became CRLF."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest() == digest


def run_files(directory: Path) -> Iterator[str]:
    """Yield the names of all files of a run directory but those that are built from the others.

    Hidden locks and temporary files are not among them: a killed process leaves them. A link to a
    folder is a name of its own.
    """
    for folder, folders, names in os.walk(directory):
        names += [name for name in folders if Path(folder, name).is_symlink()]
        prefix = Path(folder).relative_to(directory).as_posix()
        if prefix == ".":
            folders[:] = [name for name in folders if name not in _BUILT_FOLDERS]
        for name in names:
            path = name if prefix == "." else f"{prefix}/{name}"
            is_hidden = name.startswith(".") and name.endswith((".tmp", ".lock"))
            if path not in _BUILT_FILES and not is_hidden:
                yield path


def relative_name(root: Path, path: Path) -> str:
    """Return the path of a file or folder from the root, with ``/``.

    It may begin with ``..``.
    """
    try:
        return Path(os.path.relpath(path.absolute(), root.absolute())).as_posix()
    except ValueError:  # another drive on Windows
        return path.absolute().as_posix()


def covered_digests(run: Run, paths: SignedPaths, baseline: Run | None = None) -> dict[str, str]:
    """Return the digests of all files that a decision about a run covers, by name.

    Raises IntegrityError if a suite, a file it uses or a cassette is missing or has changed since
    the run, UsageError if a file cannot be read.
    """
    digests = dict(_source_digests(run, paths.root))
    digests |= _file_digests(run.directory, run_files(run.directory), paths.signed_run)
    if baseline is not None:
        folder = relative_name(paths.root, baseline.directory)
        digests |= _file_digests(baseline.directory, (*BASELINE_FILES, BAR), folder)
    return dict(sorted(digests.items()))


def added_files(
    paths: SignedPaths, suites: Iterable[Mapping[str, JSON]], subjects: Mapping[str, str]
) -> list[str]:
    """Return the files that a signature now would cover, and that are not among ``subjects``."""
    names = {f"{paths.signed_run}/{name}" for name in run_files(paths.run)}
    for suite in suites:
        names |= set(_snapshot_digests(suite, paths.root))
    for name in subjects:
        folder, _, file = name.rpartition("/")
        if file in BASELINE_FILES and file_digest(paths.path(f"{folder}/{BAR}")) is not None:
            names.add(f"{folder}/{BAR}")
    return sorted(names - subjects.keys())


def _source_digests(run: Run, root: Path) -> Iterator[tuple[str, str]]:
    for suite in run.manifest.get("suites", []):
        name, used = suite["path"], suite.get("files", [])
        yield name, _unchanged_digest(root / name, name, None)
        for file in used:
            path = file["path"]
            yield path, _unchanged_digest(root / path, path, file["digest"])
        try:
            digest = f"sha256:{suite_digest(root / name, name, used)}"
        except SuiteErrors as error:
            raise IntegrityError(str(error)) from error
        if digest != suite["digest"]:
            raise _changed(name, suite["digest"], digest)
        yield from _snapshot_digests(suite, root).items()
    for module in run.manifest.get("modules", []):
        name = module["path"]
        yield name, _unchanged_digest(root / name, name, module["digest"])
    cassettes = str(run.manifest.get("options", {}).get("cassettes") or "cassettes")
    folders = [root / cassettes, Path.cwd() / cassettes]
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    media: set[str] = set()
    for cassette in run.manifest.get("cassettes", []):
        if cassette["digest"] is not None:
            file_path = folder / cassette["path"]
            digest = _unchanged_digest(file_path, display_path(file_path), cassette["digest"])
            yield relative_name(root, file_path), digest
            media |= {name.decode() for name in _MEDIA_REFERENCE.findall(file_path.read_bytes())}
    for name in sorted(media):
        file_path = folder / MEDIA / name
        digest = f"sha256:{name.partition('.')[0]}"
        yield (
            relative_name(root, file_path),
            _unchanged_digest(file_path, display_path(file_path), digest),
        )


def _unchanged_digest(path: Path, name: str, expected: str | None) -> str:
    digest = file_digest(path)
    if digest is None:
        raise IntegrityError(
            f"{name}: missing, but the run used it; run the suites again, then sign"
        )
    if expected is not None and expected != f"sha256:{digest}":
        raise _changed(name, expected, f"sha256:{digest}")
    return digest


def _changed(name: str, expected: str, actual: str) -> IntegrityError:
    difference = f"expected {expected[:23]}…, found {actual[:23]}…"
    return IntegrityError(
        f"{name}: changed since the run ({difference}); run the suites again, then sign"
    )


def _snapshot_digests(suite: Mapping[str, JSON], root: Path) -> dict[str, str]:
    folder = (root / suite["path"]).parent / SNAPSHOTS
    paths = folder.glob(f"{glob.escape(suite['suite'])}/**/*")
    names = [path.relative_to(folder).as_posix() for path in paths]
    return _file_digests(folder, names, relative_name(root, folder))


def _file_digests(folder: Path, files: Iterable[str], name: str) -> dict[str, str]:
    """Return the digests of files in a folder; ``name`` is the folder's name from the root."""
    digests = {file: file_digest(folder / file) for file in files}
    return {f"{name}/{file}": digest for file, digest in digests.items() if digest is not None}


def render(digests: Mapping[str, str]) -> bytes:
    """Return a manifest as ``sha256sum`` prints it, sorted."""
    lines = []
    for name in sorted(digests):
        escaped = "".join(_ESCAPES.get(char, char) for char in name)
        mark = "\\" if escaped != name else ""
        lines.append(f"{mark}{digests[name]}  {escaped}\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


def parse(data: bytes) -> dict[str, str]:
    """Read a manifest.

    Raises InvalidEvidence unless :func:`render` writes it like this.
    """
    digests: dict[str, str] = {}
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise InvalidEvidence("manifest_differs", f"line {number} is not 'digest  name'")
        name = match[3].decode("utf-8", "surrogateescape")
        if match[1]:
            name = re.sub(r"\\(.)", lambda escape: _UNESCAPED.get(escape[1], escape[1]), name)
        digests[name] = match[2].decode()
    if render(digests) != data:
        raise InvalidEvidence(
            "manifest_differs",
            "not spelled as evalkit writes it: sorted, each name once, each line complete",
        )
    return digests
