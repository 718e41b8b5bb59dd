"""The settings of a session: options and environment, read once; values only."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from evalkit._lib.files import display_path
from evalkit.cassette.record_modes import RecordMode
from evalkit.errors import UsageError
from evalkit.protocol.wire_facts import (
    API_BASE_URL,
    API_HOST,
    API_KEY_VARIABLES,
    API_VERSION_PATTERN,
    API_VERSIONS,
    UNUSED_KEY,
)
from evalkit.session.python_targets import PythonTargets
from evalkit.transports.address import parse_base_url

SessionMode = RecordMode | Literal["changed"]
"""``changed`` replays what is recorded as a whole, and records anything else from its start."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a session.

    ``root`` is the project's root, ``cassettes`` an absolute folder. ``patterns`` are regular
    expressions of further texts to redact. ``packages`` are those whose functions suites may name
    beside the project's own. ``api_version`` replaces that of suites. ``command`` are the words
    that start such a session. ``locked`` is the run directory whose turns conversations continue.
    """

    root: Path
    cassettes: Path
    mode: SessionMode = "none"
    live: bool = False
    base_url: str = API_BASE_URL
    api_version: str | None = None
    key: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    patterns: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    command: tuple[str, ...] = ("pytest",)
    locked: Path | None = None

    @classmethod
    def read(
        cls,
        root: Path,
        cassettes: Path,
        mode: SessionMode,
        *,
        base_url: str | None,
        environment: Mapping[str, str],
        live: bool = False,
        api_version: str | None = None,
        patterns: Sequence[str] = (),
        packages: Sequence[str] = (),
        command: Sequence[str] = ("pytest",),
        locked: Path | None = None,
    ) -> Settings:
        """Combine options and environment. All keys of the environment are secrets, used or not."""
        keys = keys_of(environment)
        if api_version is not None and not re.fullmatch(API_VERSION_PATTERN, api_version):
            known = ", ".join(API_VERSIONS)
            raise UsageError(f"--evalkit-api-version {api_version!r}: not a version (like {known})")
        return cls(
            root=root,
            cassettes=cassettes,
            mode=mode,
            live=live,
            base_url=base_url or environment.get("GOOGLE_GEMINI_BASE_URL") or API_BASE_URL,
            api_version=api_version,
            key=keys[0] if keys else None,
            secrets=keys,
            patterns=tuple(patterns),
            packages=tuple(packages),
            command=tuple(command),
            locked=locked,
        )

    @property
    def python(self) -> PythonTargets:
        """The code that suites may name."""
        return PythonTargets(self.root, self.packages)

    @property
    def record_mode(self) -> RecordMode:
        """The mode of a cassette: with ``changed``, one that cannot be replayed first."""
        return "once" if self.mode == "changed" else self.mode

    @property
    def may_record(self) -> bool:
        """Whether a request may reach the network at all."""
        return self.live or self.mode != "none"

    @property
    def is_public(self) -> bool:
        """Whether the endpoint is the public one."""
        return urlsplit(self.base_url).hostname == API_HOST

    def live_key(self) -> str:
        """Return the key to send. Raises UsageError for a missing key, or a wrong address."""
        parse_base_url(self.base_url)
        if self.key:
            return self.key
        if self.is_public:
            raise UsageError(
                "no API key: set GEMINI_API_KEY (or GOOGLE_API_KEY) to reach the public endpoint, "
                "or name another one, such as a local `evalkit serve`, with --evalkit-base-url "
                "(pytest) or --base-url (evalkit)"
            )
        return "no-key"

    @property
    def poll_seconds(self) -> float:
        """Pause between polls of a background run: five seconds as in the API's guide.

        An endpoint on this machine is polled without a real pause.
        """
        return 0.05 if urlsplit(self.base_url).hostname in _LOOPBACK else 5.0


def keys_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the API keys of an environment; the first is the one to send."""
    return tuple(environment[name] for name in API_KEY_VARIABLES if environment.get(name))


@contextmanager
def application_environment(
    settings: Settings, environment: MutableMapping[str, str]
) -> Iterator[None]:
    """Set the session's endpoint and a key for an application while the block runs.

    ``GOOGLE_GEMINI_BASE_URL`` is set unless the endpoint is the public one, ``GEMINI_API_KEY``
    where the environment has no key: to the session's, or to any where none is needed, as in a
    replay.
    """
    values = {} if settings.is_public else {"GOOGLE_GEMINI_BASE_URL": settings.base_url}
    if not settings.key and not (settings.is_public and settings.may_record):
        values["GEMINI_API_KEY"] = UNUSED_KEY
    elif settings.key and not keys_of(environment):
        # A worker of a cluster has the key from the session, not from its environment.
        values["GEMINI_API_KEY"] = settings.key
    before = {name: environment.get(name) for name in values}
    environment.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                environment.pop(name, None)
            else:
                environment[name] = value


def rerecord_command(settings: Settings, test: str) -> str:
    """Return the shell command that records one test again, for the current folder.

    ``test`` is its node id, with a path from the project's root.
    """
    path, _, name = test.partition("::")
    node_id = f"{display_path(settings.root / path)}::{name}"
    return shlex.join([*settings.command, node_id, "--evalkit-record", "all"])
