"""``manifest.sha256``: the digests of everything a decision is about, as coreutils reads it.

    cd ROOT && sha256sum -c reports/latest/manifest.sha256

ROOT is the project's root; every file is named from there, those of the run directory too. What belongs to a run: its suites, the files
they use and their snapshots, its cassettes and their media, its manifest, results, media, decisions and comparison, the tools it was signed
with, and the results of the baseline where a gate was judged. Pages made from these (``index.html``, ``junit.xml`` and the like) do not:
they can be made again.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import display_path, sha256
from evalkit.cassette.media import FOLDER, PREFIX
from evalkit.checks.snapshot.files import FOLDER as SNAPSHOTS
from evalkit.errors import IntegrityError, SuiteErrors, UsageError
from evalkit.results import Run
from evalkit.results.records import FileRecord
from evalkit.suite.loading.cases import read_text

NAME = "manifest.sha256"
TOOL_VERSIONS = "tool-versions.json"
RUN_FILES = (
    "manifest.json",
    "results.jsonl",
    "decisions.yaml",
    TOOL_VERSIONS,
    "comparison/comparison.json",
    "comparison/comment.md",
    "media/**/*",
)
"""What of a run directory is covered, as patterns; a file that is not there is not."""
BASELINE_FILES = ("manifest.json", "results.jsonl")

_LINE = re.compile(rb"(\\?)([0-9a-f]{64})  ([^\0\r\n]+)")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_MEDIA = re.compile(rf"{PREFIX}sha256:([0-9a-f]{{64}}\.[a-z0-9]{{1,8}})\"".encode())


class DigestManifestError(ValueError):
    """Bytes are no manifest as evalkit writes it."""


class SignedPaths(NamedTuple):
    """Where names lead: ``root`` the project's root, ``run`` the run directory, ``signed_run`` the name it was signed under."""

    root: Path
    run: Path
    signed_run: str

    def path(self, name: str) -> Path:
        """Return the file that a name means, wherever the run directory lies by now."""
        below = f"{self.signed_run}/"
        return self.run / name.removeprefix(below) if name.startswith(below) else self.root / name

    def digest(self, name: str) -> str | None:
        """Return the hex SHA-256 of the file a name means, None where there is none. Raises UsageError: it cannot be read."""
        return file_digest(self.path(name))


def file_digest(path: Path) -> str | None:
    """Return the hex SHA-256 of a file, None where there is none. Raises UsageError: it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{display_path(path)} cannot be read: {error}") from error


def relative_name(root: Path, path: Path) -> str:
    """Return the name of a file or folder from the root, with ``/``; it may begin with ``..``."""
    try:
        return Path(os.path.relpath(path.absolute(), root.absolute())).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_posix()


def is_valid_run_manifest(head: object) -> bool:
    """Say whether a run's ``manifest.json`` names suites, cassettes and totals as evalkit writes them."""
    if not isinstance(head, dict):
        return False
    suites, cassettes, totals = (
        head.get("suites", []),
        head.get("cassettes", []),
        head.get("totals", {}),
    )
    list_records = (
        [*suites, *cassettes]
        if isinstance(suites, list) and isinstance(cassettes, list)
        else [None]
    )
    named = [
        *list_records,
        *(
            file
            for suite in list_records
            if isinstance(suite, dict)
            for file in suite.get("files", [])
        ),
    ]
    return (
        isinstance(head.get("options", {}), dict)
        and isinstance(totals, dict)
        and all(type(count) is int for count in totals.values())
        and all(
            isinstance(one, dict) and isinstance(one.get("path"), str) and "digest" in one
            for one in named
        )
        and all("suite" in suite for suite in suites)
    )


def covered_digests(run: Run, places: SignedPaths, baseline: Run | None = None) -> dict[str, str]:
    """Return the digest of everything a decision about a run is bound to, by name.

    Raises IntegrityError: a suite, a file it uses or a cassette is gone, or is not what the run used. UsageError: a file cannot be read.
    """
    found = dict(_sources(run, places))
    found |= {
        f"{places.signed_run}/{name}": digest for name, digest in _inside(run.directory, RUN_FILES)
    }
    if baseline is not None:
        top = relative_name(places.root, baseline.directory)
        found |= {
            f"{top}/{name}": digest for name, digest in _inside(baseline.directory, BASELINE_FILES)
        }
    return dict(sorted(found.items()))


def _sources(run: Run, places: SignedPaths) -> Iterator[tuple[str, str]]:
    for suite in run.manifest.get("suites", []):
        name, used = suite["path"], suite.get("files", [])
        yield name, _as_run(places.root / name, name, None)
        for file in used:
            yield file["path"], _as_run(places.root / file["path"], file["path"], file["digest"])
        digest = f"sha256:{_suite_digest(places.root / name, name, used)}"
        if digest != suite["digest"]:
            raise _changed(name, suite["digest"], digest)
        snapshots = (places.root / name).parent / SNAPSHOTS
        for snapshot, found in _inside(snapshots, [f"{glob.escape(suite['suite'])}/**/*"]):
            yield relative_name(places.root, snapshots / snapshot), found
    folder = cassette_folder(run, places.root)
    media: set[str] = set()
    for cassette in run.manifest.get("cassettes", []):
        if cassette["digest"] is not None:
            path = folder / cassette["path"]
            yield (
                relative_name(places.root, path),
                _as_run(path, display_path(path), cassette["digest"]),
            )
            media |= {name.decode() for name in _MEDIA.findall(path.read_bytes())}
    for name in sorted(media):
        path = folder / FOLDER / name
        yield (
            relative_name(places.root, path),
            _as_run(path, display_path(path), f"sha256:{name.partition('.')[0]}"),
        )


def cassette_folder(run: Run, root: Path) -> Path:
    """Return the folder a run's cassettes lie in: what its option names, from the root or from here."""
    named = str(run.manifest.get("options", {}).get("cassettes") or "cassettes")
    return next(
        (place / named for place in (root, Path.cwd()) if (place / named).is_dir()), root / named
    )


def _as_run(path: Path, name: str, expected: str | None) -> str:
    digest = file_digest(path)
    if digest is None:
        raise IntegrityError(
            f"{name} is gone, and the run used it; run the suites again, then sign"
        )
    if expected is not None and expected != f"sha256:{digest}":
        raise _changed(name, expected, f"sha256:{digest}")
    return digest


def _suite_digest(path: Path, name: str, used: Iterable[FileRecord]) -> str:
    """Return what a run notes of a suite (:attr:`evalkit.suite.Suite.digest`)."""
    try:
        own = sha256(read_text(path, name))
    except SuiteErrors as error:
        raise IntegrityError(str(error)) from error
    files = [f"{file['path']} {(file['digest'] or '').removeprefix('sha256:')}" for file in used]
    return sha256("\n".join([own, *files])) if files else own


def _changed(name: str, expected: str, found: str) -> IntegrityError:
    what = f"expected {expected[:23]}…, found {found[:23]}…"
    return IntegrityError(f"{name} changed since the run: {what}; run the suites again, then sign")


def _inside(folder: Path, patterns: Iterable[str]) -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            digest = file_digest(path)
            if digest is not None:
                yield path.relative_to(folder).as_posix(), digest


def render(digests: Mapping[str, str]) -> bytes:
    """Return a manifest as ``sha256sum`` would print it: sorted, odd names escaped."""
    return b"".join(_line(name, digests[name]) for name in sorted(digests))


def _line(name: str, digest: str) -> bytes:
    escaped = "".join(_ESCAPES.get(sign, sign) for sign in name)
    mark = "\\" if escaped != name else ""
    return f"{mark}{digest}  {escaped}\n".encode("utf-8", "surrogateescape")


def parse(data: bytes) -> dict[str, str]:
    """Read a manifest. Raises DigestManifestError: it is not one as :func:`render` writes it."""
    digests: dict[str, str] = {}
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise DigestManifestError(f"line {number} is not 'digest  name'")
        name = found[3].decode("utf-8", "surrogateescape")
        digests[_unescaped(name) if found[1] else name] = found[2].decode()
    if render(digests) != data:
        raise DigestManifestError(
            "it is not spelled as evalkit spells it: sorted, each name once, each line ended"
        )
    return digests


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), name)
