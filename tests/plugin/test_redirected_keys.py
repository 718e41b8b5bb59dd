"""A redirect to another host carries no key while suites are recorded or run live."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.project import Project
from tests.transports import loopback
from tests.transports.loopback import Reply, SeenRequest

KEY = "a-key-of-the-tests-0123456789"
LOCATIONS = [
    "{other}/v1beta/interactions",
    f"{{other}}/v1beta/interactions?key={KEY}",
    f"//{{host}}/v1beta/interactions?access_token={KEY}",
    f"http://user:{KEY}@{{host}}/",
]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("option", [["--evalkit-live"], ["--evalkit-record", "all"]])
def test_another_host_gets_nothing(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    location: str,
    option: list[str],
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    with loopback.serving() as service, loopback.serving() as other:
        host = other.base_url.removeprefix("http://")
        address = location.format(other=other.base_url, host=host)

        def redirect(received: SeenRequest) -> Reply:
            assert received.headers["x-goog-api-key"] == KEY
            return Reply([], status, {"location": address})

        service.answer = redirect
        result = project.run(
            "suites", "-k", "hello and stateful", *option, "--evalkit-base-url", service.base_url
        )
        assert result.ret == 1
        result.assert_outcomes(errors=1, deselected=3)
        assert str(status) in result.stdout.str()
        assert service.requests
        assert other.requests == []
    files = [path for path in project.root.rglob("*") if path.is_file()]
    assert [path for path in files if _has_key(path)] == []
    assert KEY not in result.stdout.str() + result.stderr.str()


def _has_key(path: Path) -> bool:
    return KEY.encode() in path.read_bytes()
