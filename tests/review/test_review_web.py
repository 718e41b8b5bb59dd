"""The review's page over HTTP: access, forms, two tabs."""

from __future__ import annotations

import html
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from evalkit.cli.review_web import MAX_BODY, SessionSecrets, create_app
from evalkit.reports.page.review_pages import ReviewPages
from evalkit.review.decisions import DecisionFile
from evalkit.review.session import ReviewSession
from evalkit.server.run import serving
from evalkit.verdict import Finding, Where
from tests.reports.sample_cases import errored_line, hostile_line
from tests.review.runs_to_review import (
    ADA,
    BOB,
    decide,
    fails,
    file_of,
    judged,
    passes,
    project,
    session,
    snapshot,
)


class Site(NamedTuple):
    """A review that is served."""

    url: str
    session_secrets: SessionSecrets
    session: ReviewSession

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """Yield a client that came in by the printed address, as a browser does."""
        with httpx.Client(base_url=self.url, follow_redirects=True, trust_env=False) as client:
            assert client.get(self.session_secrets.url(self.url)).status_code == 200
            yield client

    def entries(self) -> list[tuple[str, str]]:
        """Return what was decided by scenario."""
        return [
            (one.result.split("::")[1].split("[")[0], one.decision)
            for one in DecisionFile(self.session.run.directory).read()
        ]


@contextmanager
def review_of(built: ReviewSession, *hosts: str) -> Iterator[Site]:
    """Serve a session's review."""
    session_secrets = SessionSecrets()
    pages = ReviewPages("latest", str(ADA), built.result)
    with serving(create_app(built, ADA, pages, session_secrets, hosts)) as url:
        yield Site(url, session_secrets, built)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with review_of(
        session(tmp_path, [fails("a"), fails("b"), snapshot("c", "new"), errored_line()])
    ) as built:
        yield built


def fields(text: str) -> dict[str, str]:
    """Return a page's hidden fields."""
    return {
        name: html.unescape(value)
        for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text)
    }


def send(client: httpx.Client, form: dict[str, str], **headers: str) -> httpx.Response:
    """Send a form as the page itself would."""
    origin = str(client.base_url).rstrip("/")
    return client.post("/decide", data=form, headers={"origin": origin, **headers})


def key_of(site: Site, index: int = 0) -> str:
    return site.session.state().statuses[index].item.key


def item(site: Site, client: httpx.Client, index: int = 0) -> dict[str, str]:
    return fields(client.get(f"/item/{key_of(site, index)}").text)


def test_the_token_is_replaced_by_a_cookie(site: Site) -> None:
    with httpx.Client(base_url=site.url, trust_env=False) as client:
        answer = client.get(site.session_secrets.url(""))
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        port = site.url.rpartition(":")[2]
        assert cookie.startswith(f"evalkit_review_{port}={site.session_secrets.cookie};")
        assert {part.strip().lower() for part in cookie.split(";")[1:]} == {
            "httponly",
            "path=/",
            "samesite=strict",
        }
        assert site.session_secrets.token not in cookie
        page = client.get("/")
    assert page.status_code == 200
    assert "<span>3 left</span> of 3 to decide" in page.text
    assert "limited" in page.text


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "PUT"])
def test_without_the_token_nothing_is_shown(site: Site, method: str) -> None:
    with httpx.Client(base_url=site.url, headers={"origin": site.url}, trust_env=False) as client:
        for path in (
            "/",
            "/?token=",
            "/?token=wrong",
            "/?token=%ff%F0%9F%98%80",
            "/item/x",
            "/decide",
            "/nowhere",
            "/?token",
        ):
            answer = client.request(method, path)
            assert answer.status_code == 403, path
            assert "weather" not in answer.text
            assert "set-cookie" not in answer.headers
            assert "access-control-allow-origin" not in answer.headers


def test_a_wrong_cookie_is_rejected(site: Site) -> None:
    port = site.url.rpartition(":")[2]
    for value in (
        "",
        "x",
        site.session_secrets.token,
        site.session_secrets.form,
        site.session_secrets.cookie[:-1],
        "é",
    ):
        cookie = f"evalkit_review_{port}={value}".encode()
        assert (
            httpx.get(site.url + "/", headers={b"cookie": cookie}, trust_env=False).status_code
            == 403
        )
    assert (
        httpx.get(
            site.url + "/",
            headers={"cookie": f"evalkit_review_1={site.session_secrets.cookie}"},
            trust_env=False,
        ).status_code
        == 403
    )


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost",
        "evil.example:{port}",
        "127.0.0.1.evil.example:{port}",
        "",
    ],
)
def test_another_host_name_is_rejected(site: Site, host: str) -> None:
    host = host.format(port=site.url.rpartition(":")[2])
    with site.client() as client:
        for answer in (
            client.get("/", headers={"host": host}),
            client.get(f"/?token={site.session_secrets.token}", headers={"host": host}),
        ):
            assert answer.status_code == 421
            assert "weather" not in answer.text
            assert "set-cookie" not in answer.headers


def test_localhost_is_accepted(site: Site) -> None:
    with site.client() as client:
        host = f"localhost:{site.url.rpartition(':')[2]}"
        assert client.get("/", headers={"host": host}).status_code == 200
        form = {**item(site, client), "decision": "accept"}
        assert send(client, form, host=host).status_code == 403  # the origin is not this host's
        assert send(client, form, host=host, origin=f"http://{host}").status_code == 200


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_allowed_name_is_accepted_with_its_own_origin(tmp_path: Path, scheme: str) -> None:
    host = "tunnel.example"
    built = session(tmp_path, [fails("a")])
    with review_of(built, host) as site, site.client() as client:
        form = {**item(site, client), "decision": "accept"}
        assert client.get("/", headers={"host": "other.example"}).status_code == 421
        assert client.get("/", headers={"host": f"{host}:443"}).status_code == 200
        assert send(client, form, host=host).status_code == 403
        own = {"host": host, "origin": f"{scheme}://{host}"}
        assert client.post("/decide", data=form, headers=own).status_code == 200
    assert site.entries() == [("a", "accept")]


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "http://evil.example",
        "https://{host}",
        "http://{host}.evil.example",
        "http://localhost",
    ],
)
def test_a_form_of_another_page_is_refused(site: Site, origin: str | None) -> None:
    with site.client() as client:
        form = {**item(site, client), "decision": "accept"}
        headers = {} if origin is None else {"origin": origin.format(host=site.host)}
        assert client.post("/decide", data=form, headers=headers).status_code == 403
    assert site.entries() == []


@pytest.mark.parametrize("token", [None, "", "x", "é"])
def test_a_form_without_its_token_is_refused(site: Site, token: str | None) -> None:
    with site.client() as client:
        form = {**item(site, client), "decision": "accept"}
        del form["form"]
        assert send(client, form if token is None else {**form, "form": token}).status_code == 403
    assert site.entries() == []


def test_every_response_has_security_headers(site: Site) -> None:
    with site.client() as client:
        answers = [
            client.get("/"),
            client.get(f"/item/{key_of(site)}"),
            client.get("/nowhere"),
            httpx.get(site.url, trust_env=False),
        ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "script-src" not in policy
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers
    assert "<script" not in answers[0].text + answers[1].text


def test_deciding_one_after_the_other(site: Site, tmp_path: Path) -> None:
    with site.client() as client:
        page = send(
            client, {**item(site, client), "decision": "accept", "comment": "fine,\r\nas it is\r\n"}
        )
        assert page.url.path == f"/item/{key_of(site, 1)}"
        page = send(client, {**fields(page.text), "decision": "skip"})
        assert page.url.path == f"/item/{key_of(site, 2)}"
        page = send(client, {**fields(page.text), "decision": "accept"})
        assert page.url.path == "/"
        assert "<span>1 left</span> of 3 to decide" in page.text
    assert site.entries() == [("a", "accept"), ("b", "skip"), ("c", "accept")]
    assert DecisionFile(site.session.run.directory).read()[0].comment == "fine,\nas it is"
    assert (tmp_path / file_of("c")).read_text() == "new\n"


def test_an_uncertain_judgment_is_shown_with_its_rubric(tmp_path: Path) -> None:
    with review_of(session(tmp_path, [fails("a"), judged("b", 0.62)])) as site, site.client() as it:
        page = html.unescape(it.get(f"/item/{key_of(site)}").text)
    assert '<h2 id="what">What the judge says</h2>' in page
    for text in ("It names <U+001B>[31mthe weather.", "0.62 that it passes", "22 degrees Celsius"):
        assert text in page


def test_one_decision_for_the_group(site: Site) -> None:
    with site.client() as client:
        page = client.get(f"/item/{key_of(site)}").text
        assert "for all 2 with the identical difference" in page
        send(client, {**fields(page), "decision": "reject", "scope": "group"})
    assert site.entries() == [("a", "reject"), ("b", "reject")]


def test_two_tabs_lose_nothing_and_overwrite_nothing(site: Site) -> None:
    with site.client() as first, site.client() as second:
        here, there = item(site, first), item(site, second)
        assert send(first, {**here, "decision": "accept"}).status_code == 200
        late = send(second, {**there, "decision": "reject", "comment": "my <b>words</b>"})
        assert late.status_code == 409
        assert "somebody else has decided" in late.text
        assert "Decided: accept, by Ada" in late.text
        assert "my &lt;b&gt;words&lt;/b&gt;</textarea>" in late.text
        assert site.entries() == [("a", "accept")]
        assert send(second, {**fields(late.text), "decision": "reject"}).status_code == 200
    assert site.entries() == [("a", "accept"), ("a", "reject")]


def test_a_group_that_was_partly_decided_is_asked_again(site: Site) -> None:
    with site.client() as client:
        form = item(site, client)
        decide(site.session, [key_of(site, 1)], "reject", BOB)
        late = send(client, {**form, "decision": "accept", "scope": "group"})
        assert late.status_code == 409
        assert (
            send(client, {**fields(late.text), "decision": "accept", "scope": "group"}).status_code
            == 200
        )
    assert site.entries() == [("b", "reject"), ("a", "accept")]


def test_items_of_a_repeated_run_are_asked_again(site: Site, tmp_path: Path) -> None:
    with site.client() as client:
        form = item(site, client)
        project(
            tmp_path,
            [
                fails(
                    "a",
                    Finding(
                        "not_contained",
                        "the text does not contain '23'",
                        Where(turn=1),
                        expected="24",
                    ),
                )
            ],
        )
        late = send(client, {**form, "decision": "accept"})
        assert late.status_code == 409
        project(tmp_path, [passes("a")])
        assert send(client, {**form, "decision": "accept"}).status_code == 409
        assert client.get(f"/item/{form['item']}").status_code == 404
    assert site.entries() == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"decision": "approve"}, 400),
        ({"decision": ""}, 400),
        ({"item": "nothing"}, 409),
        ({"item_seen": "x"}, 409),
        ({"item_seen": ""}, 409),
        ({"decision": "keep"}, 422),
        ({"comment": "x" * MAX_BODY}, 413),
        ({f"more{number}": "" for number in range(30)}, 400),
    ],
)
def test_invalid_forms_are_rejected(site: Site, change: dict[str, str], status: int) -> None:
    with site.client() as client:
        assert (
            send(client, {**item(site, client), "decision": "accept", **change}).status_code
            == status
        )
    assert site.entries() == []


def test_other_bodies_and_methods_are_refused(site: Site) -> None:
    with site.client() as client:
        headers = {"origin": site.url}
        assert (
            client.post("/decide", json={"decision": "accept"}, headers=headers).status_code == 415
        )
        assert (
            client.post("/decide", files={"decision": b"accept"}, headers=headers).status_code
            == 415
        )
        assert client.post("/", data={}, headers=headers).status_code == 405
        assert client.get("/decide").status_code == 405
        bad = {**headers, "content-type": "application/x-www-form-urlencoded"}
        assert client.post("/decide", content=b"\xff=\xff", headers=bad).status_code == 400


def test_a_regression_without_a_comment_is_asked_again(tmp_path: Path) -> None:
    baseline = project(tmp_path, [passes("a")], "main")
    with (
        review_of(session(tmp_path, [fails("a")], baseline=baseline)) as site,
        site.client() as client,
    ):
        answer = send(client, {**item(site, client), "decision": "accept", "comment": " "})
        assert answer.status_code == 422
        assert 'role="alert" id="problem">accepting a regression needs a comment' in answer.text
        assert (
            send(
                client, {**fields(answer.text), "decision": "accept", "comment": "known"}
            ).status_code
            == 200
        )
    assert site.entries() == [("a", "accept")]


def test_a_button_keeps_an_earlier_decision(tmp_path: Path) -> None:
    old = session(tmp_path, [fails("a")])
    decide(old, [old.state().statuses[0].item.key], "reject", BOB, "never")
    run = project(tmp_path, [fails("a")], "next")
    with (
        review_of(ReviewSession(run, lambda: tmp_path, earlier=old.run)) as site,
        site.client() as client,
    ):
        assert "An earlier run with the same result was decided: reject" in client.get("/").text
        assert "Keep the earlier decision" in client.get(f"/item/{key_of(site)}").text
        send(client, {**item(site, client), "decision": "keep"})
    (entry,) = DecisionFile(run.directory).read()
    assert (entry.decision, entry.comment, entry.by) == ("reject", "never", "Ada <ada@example.org>")


def test_an_invalid_file_is_reported_on_the_page(site: Site) -> None:
    with site.client() as client:
        form = item(site, client)
        DecisionFile(site.session.run.directory).path.write_text("<script>")
        for answer in (client.get("/"), send(client, {**form, "decision": "accept"})):
            assert answer.status_code == 409
            assert "not a file that `evalkit review` wrote" in answer.text
            assert "<script" not in answer.text


def test_hostile_text_is_escaped_everywhere(tmp_path: Path) -> None:
    hostile: Any = '"><img src=x onerror=alert(1)>\u202e\x1b</textarea></style>'
    lines = [
        hostile_line(long_line=100),
        snapshot("b", {hostile: hostile}, {hostile: 1}, "json"),
        snapshot("c", hostile, "x " + hostile),
    ]
    with review_of(session(tmp_path, lines)) as site, site.client() as client:
        decide(site.session, [key_of(site)], "reject", ADA, hostile)
        pages = [
            client.get("/"),
            *(client.get(f"/item/{key_of(site, index)}") for index in range(3)),
        ]
        pages.append(send(client, {**item(site, client), "decision": "keep", "comment": hostile}))
    for page in pages:
        body = page.text.partition("</style>")[2]
        assert "<img" not in body
        assert "<script" not in body
        assert "\u202e" not in body
        assert "\x1b" not in body
        assert body.count("</textarea>") <= 1


def test_the_command_prints_a_url_and_stops_on_a_signal(tmp_path: Path) -> None:
    project(tmp_path, [fails("a")])
    command = [sys.executable, "-m", "evalkit", "review", "--web", "--name", "Ada"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        address = re.fullmatch(r"review at (http://127\.0\.0\.1:(\d+)/\?token=[\w-]{43})\n", first)
        assert address is not None, first
        try:
            with httpx.Client(follow_redirects=True, trust_env=False) as client:
                assert "<span>1 left</span> of 1" in client.get(address[1]).text
            with (
                pytest.raises(OSError),
                socket.create_connection((_other_address(), int(address[2])), timeout=2),
            ):
                pass
        finally:
            process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 1
    assert "0 accepted, 0 rejected, 1 undecided of 1 item." in rest


def _other_address() -> str:
    """Return another address of this computer: on Linux all of 127/8 is."""
    return "127.0.0.2"
