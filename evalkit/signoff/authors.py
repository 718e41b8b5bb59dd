"""Who made the change that a run judges, according to git. They must not approve it.

What is judged are the suites with the files beside them, the cassettes, and the configuration with
its gates. Everybody who committed to these since the base counts, so that nobody hides behind a
later commit of somebody else. Git does not prove addresses.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from evalkit._lib.json import JSON
from evalkit.results.records import judged_by
from evalkit.signoff import git
from evalkit.signoff.digest_manifest import relative_name

_DEFAULT_BASES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
_FORMAT = "%ae%n%ce%n%(trailers:key=Co-authored-by,valueonly,unfold)"
_ADDRESS = re.compile(r"[^\s<>]+@[^\s<>]+")


def authors_since(
    base: str, root: Path, manifest: Mapping[str, JSON], config: Path
) -> frozenset[str]:
    """Return the addresses of all who changed what a run judges since a base.

    These are authors, committers and co-authors of the commits that are not in ``base``, a ref, and
    the user if there are uncommitted changes. The result is empty without git and a repository.
    """
    names = set(_judged_paths(root, manifest, config))
    found: set[str] = set()
    for name in names:
        commits = f"{base}..HEAD" if base else "HEAD"
        log = git.output(root, "log", "--full-history", f"--format={_FORMAT}", commits, "--", name)
        found |= set(_ADDRESS.findall(log))
        if git.output(root, "status", "--porcelain", "--", name).strip():
            found.add(git.config_value(root, "user.email"))
    return frozenset(found - {""})


def default_base(root: Path) -> str:
    """Return the branch that a change goes to, as far as git knows it; "" if there is none.

    There is none on that branch itself: then everybody who ever changed something counts.
    """
    for name in _DEFAULT_BASES:
        if git.output(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip():
            ahead = git.output(root, "rev-list", "--max-count=1", f"{name}..HEAD")
            return name if ahead.strip() else ""
    return ""


def _judged_paths(root: Path, manifest: Mapping[str, JSON], config: Path) -> Iterator[str]:
    for path in judged_by(manifest):
        yield path.rpartition("/")[0] or "."
    yield str(manifest.get("options", {}).get("cassettes") or "cassettes")
    yield relative_name(root, config)
