"""Decisions: appended only, bound to digests, void for changed results."""

from __future__ import annotations

import json
import threading
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib import yaml
from evalkit._lib.files import sha256
from evalkit.errors import IntegrityError, UsageError
from evalkit.review.decisions import CHOICES, HEAD, Decision, DecisionFile, parse, render
from evalkit.review.session import DecisionRefused, ReviewSession, StaleView
from evalkit.review.state import (
    ItemState,
    group_members,
    item_statuses,
    undecided,
    view_digest,
)
from evalkit.verdict import Finding, Where
from tests.review.runs_to_review import (
    ADA,
    BOB,
    decide,
    errs,
    fails,
    passes,
    project,
    session,
    snapshot,
)
from tests.review.test_review_queue import queue

DIGEST = "ab" * 32
ENTRY: dict[str, Any] = {
    "item": "3f2a91bc04d7",
    "result": "weather::london[stateless]",
    "check": "text",
    "code": "not_contained",
    "location": "turn 1",
    "digest": DIGEST,
    "decision": "accept",
    "by": "Ada <ada@example.org>",
    "at": "2026-11-22T13:00:00Z",
}
SCHEMA = json.loads(
    (files("evalkit.results") / "schemas" / "decisions.schema.json").read_text(encoding="utf-8")
)


def decision(**changes: Any) -> Decision:
    return Decision(**{**ENTRY, **changes})


def test_an_entry_is_rendered_one_key_per_line() -> None:
    assert render(decision(comment='the "new" wording\nis right', regression=True)) == (
        '  - item: "3f2a91bc04d7"\n'
        '    result: "weather::london[stateless]"\n'
        '    check: "text"\n'
        '    code: "not_contained"\n'
        '    location: "turn 1"\n'
        f'    digest: "{DIGEST}"\n'
        '    decision: "accept"\n'
        '    comment: "the \\"new\\" wording\\nis right"\n'
        "    regression: true\n"
        '    by: "Ada <ada@example.org>"\n'
        '    at: "2026-11-22T13:00:00Z"\n'
    )


_SHOWABLE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
_DECISIONS = st.builds(
    Decision,
    item=_SHOWABLE,
    result=_SHOWABLE,
    check=_SHOWABLE,
    code=_SHOWABLE,
    location=_SHOWABLE,
    digest=st.just(DIGEST),
    decision=st.sampled_from(CHOICES),
    comment=_SHOWABLE | st.just("no: null # - [x] ---\n..."),
    regression=st.booleans(),
    by=_SHOWABLE,
    at=st.just("2026-11-22T13:00:00Z"),
)


@given(st.lists(_DECISIONS, max_size=4))
def test_rendered_decisions_parse_to_the_same_values(decisions: list[Decision]) -> None:
    text = HEAD + "".join(map(render, decisions))
    actual = parse(text, "x")
    assert "".join(map(render, actual)) == "".join(map(render, decisions))
    jsonschema.Draft202012Validator(SCHEMA).validate(
        yaml.load(text) | {"decisions": yaml.load(text)["decisions"] or []}
    )


_GOOD = HEAD + render(decision())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "decisions.yaml:1: "),
        ("[]", "decisions.yaml:1: "),
        ("\x00", "decisions.yaml:1: "),
        ("evalkit_decisions: 2\ndecisions:\n", "evalkit_decisions: Input should be 1"),
        ("evalkit_decisions: 1\nmore: 1\n", "more: Extra inputs are not permitted"),
        ("evalkit_decisions: 1\ndecisions: x\n", "decisions: Input should be a valid list"),
        (_GOOD + render(decision())[:40], "decisions.yaml:1"),
        (_GOOD + "  - item: 1\n", "decisions.yaml:13"),
        (
            _GOOD.replace(DIGEST, "zz"),
            "decisions.yaml:4: not a file that `evalkit review` wrote (digest",
        ),
        (_GOOD.replace('"accept"', '"approve"'), "decision: "),
        (_GOOD + "    sure: yes\n", "sure: "),
        (_GOOD + '    item: "again"\n', "duplicate key"),
        (_GOOD[:-8], "decisions.yaml:"),
        (_GOOD.replace("decisions:\n", "decisions: &a\n") + "more: *a\n", "more: Extra inputs"),
    ],
)
def test_an_invalid_file_is_an_integrity_error_and_unchanged(
    tmp_path: Path, text: str, message: str
) -> None:
    built = session(tmp_path, [fails()])
    path = built.run.directory / "decisions.yaml"
    path.write_text(text)
    with pytest.raises(IntegrityError) as caught:
        built.state()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(IntegrityError):
        decide(built, [queue(fails()).items[0].key], "accept", ADA)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "before", [HEAD, _GOOD, _GOOD.replace("\n", "\r\n"), _GOOD + "# by hand", _GOOD[:-1]]
)
def test_existing_text_stays_byte_for_byte(tmp_path: Path, before: str) -> None:
    file = DecisionFile(tmp_path)
    file.path.write_bytes(before.encode())
    count = len(file.read())
    with file.locked():
        file.append([decision(comment="new")])
    assert file.path.read_bytes().startswith(before.encode())
    assert [one.comment for one in file.read()][count:] == ["new"]


def test_a_file_that_cannot_be_appended_to_is_unchanged(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path)
    file.path.write_text("evalkit_decisions: 1\ndecisions: []\n")
    assert file.read() == []
    with file.locked(), pytest.raises(IntegrityError):
        file.append([decision()])
    assert file.path.read_text() == "evalkit_decisions: 1\ndecisions: []\n"


def test_the_last_decision_counts_and_a_changed_result_voids_it() -> None:
    actual = queue(fails())
    (item,) = actual.items

    def built(**changes: Any) -> Decision:
        return decision(**{"item": item.key, "digest": item.digest, **changes})

    table: list[tuple[list[Decision], ItemState]] = [
        ([], ItemState.OPEN),
        ([built()], ItemState.ACCEPTED),
        ([built(), built(decision="reject")], ItemState.REJECTED),
        ([built(), built(decision="skip")], ItemState.SKIPPED),
        ([built(digest=DIGEST)], ItemState.VOID),
        ([built(), built(digest=DIGEST)], ItemState.VOID),
        ([built(digest=DIGEST, decision="reject"), built()], ItemState.ACCEPTED),
        ([built(item="another")], ItemState.OPEN),
    ]
    for decisions, state in table:
        (one,) = item_statuses(actual, decisions)
        assert (one.state, one.is_undecided) == (
            state,
            state not in (ItemState.ACCEPTED, ItemState.REJECTED),
        )
        assert bool(one.void_reason) is (state is ItemState.VOID)


def test_an_acceptance_without_a_comment_is_void_for_a_regression() -> None:
    actual = queue(fails(), regressed=("weather::london[stateless]",))
    (item,) = actual.items
    bare = decision(item=item.key, digest=item.digest)
    assert item_statuses(actual, [bare])[0].state is ItemState.VOID
    assert (
        item_statuses(actual, [bare.model_copy(update={"comment": "known"})])[0].state
        is ItemState.ACCEPTED
    )
    assert (
        item_statuses(actual, [bare.model_copy(update={"decision": "reject"})])[0].state
        is ItemState.REJECTED
    )
    assert item_statuses(actual, [], [bare])[0].offer is None


def test_a_decision_is_written_and_counts(tmp_path: Path) -> None:
    built = session(tmp_path, [fails("a"), fails("b"), errs()])
    keys = [one.item.key for one in built.state().statuses]
    (entry,) = decide(built, keys[:1], "accept", ADA, "  fine \x1b[31m ")
    assert (entry.comment, entry.by, entry.group, entry.regression) == (
        "fine <U+001B>[31m",
        "Ada <ada@example.org>",
        "",
        False,
    )
    state = built.state()
    assert state.summary == {
        "items": 2,
        "groups": 1,
        "open": 1,
        "void": 0,
        "skipped": 0,
        "accepted": 1,
        "rejected": 0,
        "errored": 1,
        "obsolete": 0,
        "undecided": 1,
    }
    assert [one.item.key for one in undecided(state.statuses)] == keys[1:]
    assert decide(built, keys[1:], "skip", ADA)
    decide(built, keys[:1], "reject", BOB)
    assert [one.state for one in built.state().statuses] == [ItemState.REJECTED, ItemState.SKIPPED]
    assert len(DecisionFile(built.run.directory).read()) == 3


def test_a_group_decision_leaves_earlier_decisions_unchanged(tmp_path: Path) -> None:
    built = session(tmp_path, [fails(name) for name in "abcd"])
    keys = [one.item.key for one in built.state().statuses]
    decide(built, keys[:1], "reject", ADA)
    state = built.state()
    together = group_members(state.statuses, state.statuses[1].item)
    assert [one.item.key for one in together] == keys[1:]
    entries = decide(
        built,
        [one.item.key for one in together],
        "accept",
        ADA,
        seen=view_digest(together),
        group=together[0].item.group,
    )
    assert {entry.group for entry in entries} == {together[0].item.group}
    assert [one.state for one in built.state().statuses] == [
        ItemState.REJECTED,
        *[ItemState.ACCEPTED] * 3,
    ]


def test_a_regression_is_accepted_only_with_a_comment(tmp_path: Path) -> None:
    baseline = project(tmp_path, [passes("a"), passes("b")], "main")
    built = session(tmp_path, [fails("a"), fails("b"), fails("c")], baseline=baseline)
    state = built.state()
    assert [one.item.regressed for one in state.statuses] == [True, True, False]
    keys = [one.item.key for one in state.statuses]
    with pytest.raises(DecisionRefused, match="needs a comment"):
        decide(built, keys, "accept", ADA, " \n")
    assert built.state().summary["undecided"] == 3
    decide(built, keys[:2], "accept", ADA, "the old text was wrong")
    decide(built, keys[2:], "accept", ADA)
    assert all(
        entry.regression == (entry.item != keys[2])
        for entry in DecisionFile(built.run.directory).read()
    )
    assert built.state().summary["undecided"] == 0


def test_repeating_a_run_voids_only_changed_results(tmp_path: Path) -> None:
    built = session(tmp_path, [fails("a"), fails("b"), fails("c")])
    keys = [one.item.key for one in built.state().statuses]
    decide(built, keys, "accept", ADA)
    seen = view_digest(built.state().statuses)
    project(
        tmp_path,
        [
            fails("a"),
            fails(
                "b",
                Finding(
                    "not_contained", "the text does not contain '24'", Where(turn=1), expected="24"
                ),
            ),
        ],
    )
    state = built.state()
    assert [(one.item.result[9:10], one.state) for one in state.statuses] == [
        ("a", ItemState.ACCEPTED),
        ("b", ItemState.VOID),
    ]
    assert [one.result for one in state.obsolete] == ["weather::c[stateless]"]
    assert (state.summary["undecided"], state.summary["obsolete"]) == (1, 1)
    with pytest.raises(StaleView):
        decide(built, keys[:2], "accept", ADA, seen=seen)
    with pytest.raises(StaleView):
        decide(built, keys, "accept", ADA)


def test_results_that_changed_since_they_were_shown_are_not_decided(tmp_path: Path) -> None:
    built = session(tmp_path, [fails("a")])
    (one,) = built.state().statuses
    project(tmp_path, [fails("a"), passes("b")])
    with pytest.raises(StaleView, match="have changed"):
        decide(built, [one.item.key], "accept", ADA)
    assert DecisionFile(built.run.directory).read() == []


def test_results_that_another_tab_has_reloaded_are_not_decided(tmp_path: Path) -> None:
    built = session(tmp_path, [fails("a")])
    (shown,) = built.state().statuses
    other = Finding("not_contained", "another message", Where(turn=1), expected="23")
    project(tmp_path, [fails("a", other)])
    (reloaded,) = built.state().statuses
    assert reloaded.item.key == shown.item.key
    with pytest.raises(StaleView, match="has decided about this item, or its result has changed"):
        decide(built, [shown.item.key], "accept", ADA, seen=view_digest([shown]))
    assert DecisionFile(built.run.directory).read() == []


def test_a_changed_line_is_an_integrity_error_with_its_number(tmp_path: Path) -> None:
    run = project(tmp_path, [passes("a"), fails("b")])
    path = run.directory / "results.jsonl"
    path.write_text(path.read_text().replace("'23'", "'24'"))
    with pytest.raises(IntegrityError, match=r"results.jsonl:2: changed since it was written"):
        session(tmp_path, path.read_text().splitlines())


@pytest.mark.parametrize("line", ["{", "{}", '{"id":"x"}'])
def test_an_invalid_result_is_reported_with_its_line(tmp_path: Path, line: str) -> None:
    sealed = f'{line[:-1]},"digest":"{sha256(line)}"}}' if "id" in line else line
    with pytest.raises(
        (UsageError, IntegrityError), match=r"results.jsonl:1: (not|changed) "
    ) as caught:
        session(tmp_path, [sealed])
    assert "\n" not in str(caught.value)


def test_decisions_of_another_run_are_refused(tmp_path: Path) -> None:
    built = session(tmp_path, [fails("a")])
    decide(built, [built.state().statuses[0].item.key], "accept", ADA)
    project(tmp_path, [fails("b"), passes("c")])
    with pytest.raises(IntegrityError, match=r"none of its 1 decisions is about this run"):
        built.state()
    project(tmp_path, [fails("b"), passes("a")])
    assert built.state().summary["obsolete"] == 1


def test_a_second_decision_on_the_same_view_is_refused(tmp_path: Path) -> None:
    first, second = session(tmp_path, [fails("a")]), session(tmp_path, [fails("a")])
    (one,) = first.state().statuses
    seen = view_digest([one])
    decide(first, [one.item.key], "accept", ADA, seen=seen)
    with pytest.raises(StaleView, match="somebody else has decided"):
        decide(second, [one.item.key], "reject", BOB, seen=seen)
    assert [entry.by for entry in DecisionFile(first.run.directory).read()] == [
        "Ada <ada@example.org>"
    ]
    decide(second, [one.item.key], "reject", BOB, seen=view_digest(second.state().statuses))
    assert first.state().summary["rejected"] == 1


def test_concurrent_writers_lose_nothing(tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(12)]
    run = project(tmp_path, [fails(name) for name in names])
    sessions = [ReviewSession(run, lambda: tmp_path) for _ in range(4)]
    keys = [one.item.key for one in sessions[0].state().statuses]
    start = threading.Barrier(4)

    def write(number: int) -> None:
        start.wait()
        for key in keys[number::4]:
            decide(sessions[number], [key], "accept", ADA)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.item for entry in DecisionFile(run.directory).read()) == sorted(keys)
    assert sessions[0].state().summary["accepted"] == 12


def test_offered_decisions_count_only_when_they_are_kept(tmp_path: Path) -> None:
    old = session(tmp_path, [fails("a"), fails("b"), fails("c")])
    keys = [one.item.key for one in old.state().statuses]
    decide(old, keys[:1], "accept", ADA, "known since May")
    decide(old, keys[1:2], "reject", ADA)
    decide(old, keys[2:], "skip", ADA)
    earlier = old.run
    changed = fails(
        "b",
        Finding("not_contained", "the text does not contain '24'", Where(turn=1), expected="24"),
    )
    run = project(tmp_path, [fails("a"), changed, fails("c")], "next")
    built = ReviewSession(run, lambda: tmp_path, earlier=earlier)
    state = built.state()
    assert [(one.state, one.offer is not None) for one in state.statuses] == [
        (ItemState.OPEN, True),
        (ItemState.OPEN, False),
        (ItemState.OPEN, False),
    ]
    with pytest.raises(DecisionRefused, match="no earlier decision"):
        decide(built, keys[1:2], "keep", BOB)
    (entry,) = decide(built, keys[:1], "keep", BOB, seen=view_digest(state.statuses[:1]))
    assert (entry.decision, entry.comment, entry.by) == (
        "accept",
        "known since May",
        "Bob <bob@example.org>",
    )
    assert entry.kept_from.startswith("Ada <ada@example.org>, 20")
    assert built.state().statuses[0].offer is None


def test_a_write_error_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = session(tmp_path, [fails()])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evalkit.review.decisions.write_atomic", full)
    with pytest.raises(UsageError, match=r"decisions.yaml: cannot be written .No space left"):
        decide(built, [built.state().statuses[0].item.key], "accept", ADA)


def test_a_result_is_read_again_only_if_unchanged(tmp_path: Path) -> None:
    built = session(tmp_path, [passes("a"), snapshot("b", "hello")])
    item = built.state().statuses[0].item
    assert built.result(item)["id"] == "weather::b[stateless]"
    project(tmp_path, [passes("a"), passes("b")])
    with pytest.raises(StaleView):
        built.result(item)
