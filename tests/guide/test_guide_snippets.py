"""The reader of the guide, tested with a small guide and with the real one."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from tests.guide.catalog import LANGUAGES, guide, path_of
from tests.guide.conftest import skip_without
from tests.guide.expected import CAPABILITIES, SECTIONS
from tests.guide.running import HERE
from tests.guide.snippets import Guide, read_guide

SMALL = """\
小指南

1. 开始

export KEY="x"

2. 调用

Python

安装:

pip install tool

import tool

print("→", tool)

JavaScript

console.log(1);

REST

curl -d '{
    "a": 1

  }'

回答如下

响应

{
  "a": 2
}

还有更多:

{"a": 3}

无状态

自己保存。

Python

print(2)
"""


def test_a_small_guide() -> None:
    read = read_guide(SMALL)
    assert [(snippet.name, snippet.source) for snippet in read.snippets] == [
        ("python-2", 'import tool\n\nprint("→", tool)\n'),
        ("javascript-2", "console.log(1);\n"),
        ("curl-2", "curl -d '{\n    \"a\": 1\n\n  }'\n"),
        ("python-2-stateless", "print(2)\n"),
    ]
    assert read.setup == ('export KEY="x"', "pip install tool")
    lines = SMALL.split("\n")
    assert all(
        lines[snippet.line - 1] == snippet.source.split("\n")[0] for snippet in read.snippets
    )
    assert Counter(read.kinds) == {
        "blank": 23,
        "prose": 6,
        "heading": 2,
        "setup": 2,
        "label": 5,
        "code": 7,
        "answer": 4,
    }


def test_code_without_a_label_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"line 3: neither prose nor under a label: 'print\(1\)'"):
        read_guide("1. 开始\n\nprint(1)\n")


@pytest.fixture(scope="module")
def real() -> Guide:
    found = guide()
    if found is None:
        pytest.skip("../shared/guide.txt is not here")
    return found


def test_the_number_of_snippets(real: Guide) -> None:
    assert Counter(snippet.language for snippet in real.snippets) == {
        "python": 12,
        "javascript": 12,
        "curl": 12,
    }
    for language in LANGUAGES:
        assert [
            snippet.section for snippet in real.snippets if snippet.language == language
        ] == list(SECTIONS)
    assert [re.sub(r"[ =].*", "", command) for command in real.setup] == ["export", "pip", "npm"]


def test_every_line_is_used_once(real: Guide) -> None:
    from tests.guide.catalog import GUIDE

    lines = GUIDE.read_text(encoding="utf-8").split("\n")
    assert len(real.kinds) == len(lines)
    owners = Counter(
        snippet.line + offset
        for snippet in real.snippets
        for offset, line in enumerate(snippet.source.splitlines())
        if line.strip()
    )
    assert set(owners.values()) == {1}
    assert set(owners) == {number for number, kind in enumerate(real.kinds, 1) if kind == "code"}
    calls = [
        number
        for number, line in enumerate(lines, 1)
        if re.search(r"client\.interactions|ai\.interactions|\bcurl ", line)
    ]
    assert len(calls) == 15 + 15 + 17
    assert set(calls) <= set(owners)
    for snippet in real.snippets:
        assert len(lines[snippet.line - 1 :]) >= snippet.source.count("\n")
        assert "\n".join(lines[snippet.line - 1 :]).startswith(snippet.source)


def test_every_capability_has_a_program_in_every_language() -> None:
    wanted = {
        path_of(language, capability) for language in LANGUAGES for capability in CAPABILITIES
    }
    there = {path for path in (HERE / "programs").glob("*/*") if path.parent.name != "__pycache__"}
    assert there == wanted


def test_the_javascript_packages_are_pinned_without_urls() -> None:
    text = (HERE / "js" / "package-lock.json").read_text(encoding="utf-8")
    lock, package = (
        json.loads(text),
        json.loads((HERE / "js" / "package.json").read_text(encoding="utf-8")),
    )
    assert "://" not in text
    assert "resolved" not in text
    for name, version in package["dependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    assert all(
        entry.get("integrity", "").startswith("sha512-")
        for name, entry in lock["packages"].items()
        if name
    )


def test_a_missing_client_is_skipped_except_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"^node not installed$"):
        skip_without("javascript")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"^bash and curl and jq not installed$"):
        skip_without("curl")
    skip_without("python")
