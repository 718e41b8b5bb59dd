"""Every check has a page; what the pages say is so: their examples are run, their options exist."""

from __future__ import annotations

import re

import pytest

from evalkit._lib.yaml import load
from evalkit.checks.core.base import View
from evalkit.plugins import CHECKS
from evalkit.verdict import Verdict
from tests.checks.building import transcript
from tests.checks.examples import DOCS, Example, check_entry, examples, run, show

BUILT_IN = [name for name in CHECKS if (CHECKS.get(name).__module__).startswith("evalkit.")]
EXAMPLES = [example for page in sorted(DOCS.glob("*.md")) for example in examples(page)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.page}:{example.line}")
def test_an_example_gives_the_output_on_its_page(example: Example) -> None:
    results = run(example)
    printed = "".join(show(result) for result in results if result.findings)
    if example.output is None:
        assert [result.verdict for result in results] == [Verdict.PASSED] * len(results), printed
    else:
        assert [result.verdict for result in results] == [Verdict.FAILED] * len(results)
        assert printed == example.output


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_page_documents_every_option_and_the_empty_case(name: str) -> None:
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    kind = CHECKS.get(name)
    options = [word for word in kind.yaml_names() if word != kind.rest]
    missing = [word for word in options if not re.search(rf"^\| .*`{word}`", text, re.M)]
    assert missing == []
    assert "**The empty case.**" in text
    assert "empty case" in (kind.__doc__ or "").lower()
    verdicts = {example.output is None for example in EXAMPLES if example.page == name}
    assert verdicts == {True, False}, "a page shows a passing and a failing example"


def test_the_overview_lists_every_check() -> None:
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    assert [name for name in BUILT_IN if f"[`{name}`]({name}.md)" not in text] == []


def test_the_entries_in_the_overview_are_valid() -> None:
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    block = text.partition("```yaml\n")[2].partition("```")[0]
    view = View(transcript({"status": "completed", "usage": {"total_tokens": 700}, "steps": []}))
    results = [check_entry(entry, view) for entry in load(block)["expect"]]
    assert [result.verdict for result in results] == [
        Verdict.PASSED,
        Verdict.FAILED,
        Verdict.FAILED,
        Verdict.PASSED,
        Verdict.PASSED,
    ]
    assert [finding.code for finding in results[-1].findings] == ["usage_exceeded"]
