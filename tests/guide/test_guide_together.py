"""Three clients run the same conversations in parallel, through one proxy and from its cassettes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.guide import backends
from tests.guide.catalog import LANGUAGES, our_own
from tests.guide.conftest import skip_without
from tests.guide.expected import CAPABILITIES
from tests.guide.running import Outcome, Runner
from tests.guide.snippets import Language

TOLD_APART = (
    "stateful",
    "stateless",
    "functions",
    "functions_streamed",
    "background",
    "lifecycle",
    "resume",
)
"""Conversations of several requests whose first requests are equal in every language."""


def converse(language: Language, url: str, folder: Path) -> dict[str, Outcome]:
    """Run one language's programs, one after the other."""
    runner = Runner()
    try:
        capabilities = {f"{language}-{capability}": capability for capability in TOLD_APART}
        return {
            capabilities[program.name]: runner.run(program, url, folder / program.name)
            for program in our_own()
            if program.name in capabilities
        }
    finally:
        runner.close()


def converse_all(url: str, folder: Path) -> None:
    with ThreadPoolExecutor(len(LANGUAGES)) as pool:
        for outcomes in pool.map(lambda language: converse(language, url, folder), LANGUAGES):
            for capability, outcome in outcomes.items():
                assert (outcome.code, outcome.err, outcome.out) == (0, "", CAPABILITIES[capability])


def test_conversations_of_parallel_clients_are_separated(script_url: str, tmp_path: Path) -> None:
    for language in LANGUAGES:
        skip_without(language)
    with backends.proxy(script_url, tmp_path / "tapes") as url:
        converse_all(url, tmp_path / "recorded")
    names = [path.name for path in (tmp_path / "tapes").rglob("*.yaml")]
    begun = [name.removesuffix(".yaml") for name in names if name.count(".") == 1]
    assert len(begun) == len(TOLD_APART)
    assert sorted(names) == sorted(
        f"{name}{number}.yaml" for name in begun for number in ("", ".2", ".3")
    )
    with backends.cassettes(tmp_path / "tapes") as url:
        converse_all(url, tmp_path / "replayed")
