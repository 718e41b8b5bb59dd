"""Keys for all tests of sign-offs, and a new project for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from evalkit.server import serving
from tests.signoff.signing_project import Project, make_key, make_pem


@dataclass(frozen=True)
class Keys:
    """Private keys by kind, and their public halves."""

    folder: Path
    public: dict[str, str]

    def __getitem__(self, kind: str) -> Path:
        return self.folder / kind


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    if shutil.which("ssh-keygen") is None:
        if os.environ.get("CI"):
            pytest.fail("ssh-keygen is missing; install openssh-client")
        pytest.skip("ssh-keygen is not there")
    folder = tmp_path_factory.mktemp("keys")
    public = {kind: make_key(folder / kind, kind) for kind in ("ed25519", "ecdsa")}
    public["rsa"] = make_key(folder / "rsa", "rsa", "-b", "2048")
    public["other"] = make_key(folder / "other")
    public["pem"] = make_pem(folder / "pem")
    return Keys(folder, public)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: Keys) -> Project:
    root = tmp_path / "project"
    built = Project(root)
    built.allow(
        ("ada@example.com", keys.public["ed25519"]),
        ("bob@example.com", keys.public["ecdsa"]),
        ("pem@example.com", keys.public["pem"]),
    )
    monkeypatch.chdir(root)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return built


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    with serving() as url:
        yield url
