"""``{{ env.NAME }}``: sent while recording, in no file, not needed for a replay."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

SUITE = """\
suite: shop
defaults: {model: gemini-3.5-flash}
scenarios:
  - id: hello
    system_instruction: "Token {{ env.SHOP_TOKEN }}, shop {{ env.SHOP_NAME }}."
    request: {labels: {tenant: "{{ env.SHOP_TOKEN }}"}}
    turns: [{user: Hello}]
"""
TOKEN, NAME = "tok-9f8a7b6c5d4e3f2a", "lumen-4711-x-8812-qq"


@pytest.fixture
def shop(project: Project) -> Project:
    (project.root / "suites" / "weather.yaml").unlink()
    project.suite("shop", SUITE)
    return project


@pytest.fixture
def with_values(shop: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    monkeypatch.setenv("SHOP_NAME", NAME)
    return shop


def test_a_value_is_in_no_file_and_not_needed_for_a_replay(
    with_values: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_values.record("-p", "no:cacheprovider").assert_outcomes(passed=1)
    texts = {path: path.read_bytes() for path in with_values.root.rglob("*") if path.is_file()}
    assert [path for path, text in texts.items() if TOKEN.encode() in text] == []
    assert [path for path, text in texts.items() if NAME.encode() in text] == []
    cassette = (with_values.root / "cassettes" / "shop" / "hello.yaml").read_text()
    assert "Token REDACTED, shop REDACTED." in cassette

    for value in (TOKEN, "another-value-1234567", None):
        monkeypatch.delenv("SHOP_TOKEN", raising=False)
        monkeypatch.delenv("SHOP_NAME", raising=False)
        if value is not None:
            monkeypatch.setenv("SHOP_TOKEN", value)
        with_values.run("suites", "--evalkit-strict").assert_outcomes(passed=1)
    monkeypatch.setenv("SHOP_TOKEN", "yet-another-value-1-of-3")
    monkeypatch.setenv("SHOP_NAME", "yet-another-name-1-of-3")
    with_values.record().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the environment variable SHOP_TOKEN is not set (it is needed to record"),
        ("", "the environment variable SHOP_TOKEN is not set (it is needed to record"),
        ("eu", "the value of the environment variable SHOP_TOKEN is too short or too ordinary"),
        (
            "staging",
            "the value of the environment variable SHOP_TOKEN is too short or too ordinary",
        ),
    ],
)
@pytest.mark.parametrize("mode", [["--evalkit-record", "once"], ["--evalkit-live"]])
def test_a_value_that_cannot_be_used_is_a_located_error(
    with_values: Project,
    monkeypatch: pytest.MonkeyPatch,
    mode: list[str],
    value: str | None,
    message: str,
) -> None:
    monkeypatch.delenv("SHOP_TOKEN")
    if value is not None:
        monkeypatch.setenv("SHOP_TOKEN", value)
    result = with_values.run("suites", "--evalkit-base-url", with_values.url, *mode)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*suites/shop.yaml:4:* scenario 'hello': {message}*"])
