"""What a session was asked to do: flags and environment, read once, values only."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from evalkit.cassette.record_modes import RecordMode
from evalkit.errors import UsageError
from evalkit.protocol.wire_facts import API_BASE_URL, API_HOST, API_KEY_VARIABLES

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
NO_KEY_NEEDED = "no-key-is-needed"
"""What an application sends as its key where nobody looks at it."""
_NO_KEY = (
    "no API key: set GEMINI_API_KEY (or GOOGLE_API_KEY) to reach the public endpoint, "
    "or name another one, such as a local `evalkit serve`, with --evalkit-base-url"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a session. ``root`` is the project's root; ``cassettes`` an absolute folder; ``key`` never shows in a repr."""

    root: Path
    cassettes: Path
    mode: RecordMode = "none"
    live: bool = False
    base_url: str = API_BASE_URL
    key: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    patterns: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        root: Path,
        cassettes: Path,
        mode: RecordMode,
        base_url: str | None,
        environment: Mapping[str, str],
        *,
        live: bool = False,
        patterns: Sequence[str] = (),
    ) -> Settings:
        """Read the flags and the environment. Every key found in the environment counts as a secret, used or not.

        ``patterns`` are regular expressions of further texts to redact.
        """
        keys = secrets_of(environment)
        chosen = base_url or environment.get("GOOGLE_GEMINI_BASE_URL") or API_BASE_URL
        return cls(
            root, cassettes, mode, live, chosen, keys[0] if keys else None, keys, tuple(patterns)
        )

    @property
    def may_record(self) -> bool:
        """Whether a request may reach the network at all."""
        return self.live or self.mode != "none"

    @property
    def local(self) -> bool:
        """Whether the endpoint is on this machine."""
        return (urlsplit(self.base_url).hostname or "") in _LOOPBACK

    @property
    def public(self) -> bool:
        """Whether the endpoint is the public one."""
        return urlsplit(self.base_url).hostname == API_HOST

    def live_key(self) -> str:
        """Return the key to send. Raises UsageError where the public endpoint is asked for without one."""
        if self.key:
            return self.key
        if self.public:
            raise UsageError(_NO_KEY)
        return "no-key"

    @property
    def poll_seconds(self) -> float:
        """Pause between polls of a background run: the guide's five seconds, hardly any on this machine."""
        return 0.05 if self.local else 5.0


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys found in an environment, the one to send first."""
    return tuple(environment[name] for name in API_KEY_VARIABLES if environment.get(name))


@contextmanager
def application_environment(
    settings: Settings, environment: MutableMapping[str, str]
) -> Iterator[None]:
    """Let an application find the session's endpoint, and some key where none is needed, while the block runs.

    ``GOOGLE_GEMINI_BASE_URL`` names the endpoint unless that is the public one; ``GEMINI_API_KEY`` is set where no key is and none is sent to the
    public endpoint: in replay, and to any other.
    """
    given = {} if settings.public else {"GOOGLE_GEMINI_BASE_URL": settings.base_url}
    if not settings.key and not (settings.public and settings.may_record):
        given["GEMINI_API_KEY"] = NO_KEY_NEEDED
    before = {name: environment.get(name) for name in given}
    environment.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                environment.pop(name, None)
            else:
                environment[name] = value


def rerecord_command(path: str, name: str) -> str:
    """Return the command that re-records one variant, ready for a shell."""
    return f"pytest {shlex.quote(f'{path}::{name}')} --evalkit-record all"
