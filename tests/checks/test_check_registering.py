"""Checks of the user's own: by decorator on functions and classes, by the same registry as the built-in ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any, ClassVar

import pydantic
import pytest

import evalkit
from evalkit import plugins
from evalkit._lib.registry import Registry
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.runner import run_check
from evalkit.checks.text import Text
from evalkit.plugins import Catalog
from evalkit.suite import BadArguments
from evalkit.verdict import Finding, Severity, Verdict
from tests.checks.building import transcript
from tests.checks.examples import DOCS


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry[type[Check]]:
    """A registry of its own, so that no test leaves a check behind."""
    mine: Registry[type[Check]] = Registry("check", "evalkit.checks")
    monkeypatch.setattr(plugins, "CHECKS", mine)
    return mine


def judge(
    registry: Registry[type[Check]],
    name: str,
    argument: Any = None,
    *,
    bare: bool = False,
    text: str = "please",
) -> list[str]:
    check = Catalog(registry).build(name, argument, bare=bare)
    made = transcript({"text": text})
    result = run_check(
        check,
        View(made, made.turns[0]),
        name=name,
        negate=False,
        severity=Severity.ERROR,
        turn=1,
        declared="",
    )
    return [finding.message for finding in result.findings]


def test_a_function_is_a_check(registry: Registry[type[Check]]) -> None:
    @evalkit.check
    def polite(view: View) -> list[str]:
        """The answer is polite."""
        assert view.last is not None
        return [] if "please" in view.last.text else ["not polite"]

    assert polite.__name__ == "polite", "the function stays what it was"
    assert judge(registry, "polite", bare=True) == []
    assert judge(registry, "polite", bare=True, text="no") == ["not polite"]
    assert Catalog(registry).schema("polite")["description"] == "The answer is polite."


def test_a_function_takes_options(registry: Registry[type[Check]]) -> None:
    @evalkit.check("says_often")
    def anything(view: View, word: str, *, least: int = 1) -> str | None:
        assert view.last is not None
        found = view.last.text.count(word)
        return None if found >= least else f"{word} {found} times, not {least}"

    assert judge(registry, "says_often", "please") == []
    assert judge(registry, "says_often", {"word": "please", "least": 2}) == [
        "please 1 times, not 2"
    ]
    with pytest.raises(BadArguments, match="unknown option 'lest'"):
        judge(registry, "says_often", {"word": "please", "lest": 2})
    with pytest.raises(BadArguments, match="must be a whole number"):
        judge(registry, "says_often", {"word": "please", "least": "2"})
    with pytest.raises(BadArguments, match="needs an argument"):
        judge(registry, "says_often", bare=True)


@pytest.mark.parametrize("word", ["name", "run", "rest", "function", "shorthand", "spell", "view"])
@pytest.mark.parametrize("default", ["", " = 'none'", " = ()"])
def test_an_option_of_a_function_may_be_called_as_something_of_its_class_is(
    registry: Registry[type[Check]], word: str, default: str
) -> None:
    made: dict[str, Any] = {}
    exec(f"def says(seen, {word}: object{default}): return str({word})", made)
    evalkit.check(made["says"])
    assert judge(registry, "says", {word: "hello"}) == ["hello"]
    assert judge(registry, "says", "hello") == ["hello"]
    with pytest.raises(BadArguments, match="unknown option"):
        judge(registry, "says", {f"option_{word}": "hello"})


def test_a_default_that_is_a_list_is_nobody_elses(registry: Registry[type[Check]]) -> None:
    @evalkit.check("lists")
    def lists(view: View, most: int = 3, words: list[str] = []) -> str:  # noqa: B006 - this is what is tested
        words.append("more")
        return " ".join(words)

    assert [judge(registry, "lists", bare=True), judge(registry, "lists", 4)] == [
        ["more"],
        ["more"],
    ]


def test_a_class_may_speak_pydantics_language(registry: Registry[type[Check]]) -> None:
    @evalkit.check
    class Worded(Check):
        """Options as pydantic's own models declare them."""

        most: int = pydantic.Field(3, ge=1, description="Most words.")
        words: list[str] = pydantic.Field(default_factory=list, alias="says")

        @pydantic.model_validator(mode="after")
        def _enough(self) -> Worded:
            if len(self.words) > self.most:
                raise ValueError("too many of them")
            return self

        def run(self, view: View) -> Iterator[Finding]:
            """Say the options."""
            yield Finding("options", f"{self.most} {self.words}")

    assert judge(registry, "worded", bare=True) == ["3 []"]
    assert judge(registry, "worded", {"most": 1, "says": ["a"]}) == ["1 ['a']"]
    for options, problem in (
        ({"most": 0}, "at least 1"),
        ({"most": 1, "says": ["a", "b"]}, "too many"),
        ({"mos": 1}, "did you mean 'most'"),
    ):
        with pytest.raises(BadArguments, match=problem):
            judge(registry, "worded", options)

    @evalkit.check
    class Wordier(Worded):
        """One option more, declared plainly."""

        name: ClassVar[str] = "wordier"

        least: int = 0

        def run(self, view: View) -> Iterator[Finding]:
            """Say the options."""
            yield Finding("options", f"{self.least} {self.most} {self.words}")

    assert judge(registry, "wordier", {"least": 2}) == ["2 3 []"]


@pytest.mark.parametrize(
    "body",
    [
        "words: list[str] = []",
        "words: list[str] = []; most: int = pydantic.Field(3)",
        "words: dict[str, int] = {}",
    ],
)
def test_a_default_that_can_be_changed_is_copied(
    registry: Registry[type[Check]], body: str
) -> None:
    made: dict[str, Any] = {"__name__": __name__, "Check": Check, "pydantic": pydantic}
    exec(
        f"class Worded(Check):\n    {body}\n    kinds: ClassVar[list[int]] = [1]\n",
        {**made, "ClassVar": ClassVar},
        made,
    )
    evalkit.check(made["Worded"])
    first, second = (
        vars(Catalog(registry).build("worded", None, bare=True))["words"] for _ in range(2)
    )
    assert first == second
    assert first is not second
    assert made["Worded"].kinds == [1]


def test_a_built_in_check_may_be_extended(registry: Registry[type[Check]]) -> None:
    @evalkit.check
    class Short(Text):
        """The text is short, and whatever else is asked of it."""

        name: ClassVar[str] = "short"
        max_chars: int | None = 5

    assert judge(registry, "short", "ab", text="abc") == []
    assert judge(registry, "short", {"contains": "b"}, text="abcdefg") == [
        "the text has 7 characters, expected at most 5"
    ]


def test_a_class_whose_types_cannot_be_read_is_told(registry: Registry[type[Check]]) -> None:
    @evalkit.check
    class Odd(Check):
        """An option of a type that does not exist."""

        most: Nowhere  # type: ignore[name-defined]  # noqa: F821 - this is what is tested

    with pytest.raises(BadArguments, match=r"the check's class .*Odd cannot be read: .*Nowhere"):
        judge(registry, "odd", {"most": 1})


def test_a_class_is_a_check(registry: Registry[type[Check]]) -> None:
    @evalkit.check
    class WordCount(Check):
        """The answer has few words."""

        shorthand: ClassVar[str | None] = "most"
        most: int

        def run(self, view: View) -> Iterator[Finding]:
            """Count."""
            assert view.last is not None
            count = len(view.last.text.split())
            if count > self.most:
                yield Finding("too_many_words", f"{count} words")

        @pydantic.field_validator("most")
        @classmethod
        def _some(cls, most: int) -> int:
            if most < 1:
                raise ValueError("an answer of no words cannot be asked for")
            return most

    assert WordCount.name == "word_count"
    with pytest.raises(BadArguments) as raised:
        judge(registry, "word_count", {"most": 0})
    assert raised.value.problems == [(("most",), "an answer of no words cannot be asked for")]
    assert judge(registry, "word_count", 1, text="a b") == ["2 words"]


def test_the_examples_of_the_docs_do_what_is_said_of_them(registry: Registry[type[Check]]) -> None:
    function, written = re.findall(
        r"^```python\n(.*?)^```", (DOCS / "README.md").read_text(encoding="utf-8"), re.M | re.S
    )
    exec(function, {})  # the page's own code
    for argument in (2, {"minimum": 2}):
        assert judge(registry, "polite", argument) == ["expected 2 times 'please', got 1"]
    made: dict[str, Any] = {"__name__": __name__}
    exec(written, made)
    polite = evalkit.check("kind")(made["Polite"])
    assert polite.name == "kind"
    assert judge(registry, "kind", bare=True) == []
    assert judge(registry, "kind", 2) == ["expected 2 times 'please', got 1"]
    with pytest.raises(BadArguments, match="must be at least 1, got 0"):
        judge(registry, "kind", {"minimum": 0})


@pytest.mark.parametrize("field", ["pydantic.Field(0, ge=0)", "0"])
def test_several_options_are_looked_at_once_they_are_sound(
    registry: Registry[type[Check]], field: str
) -> None:
    made: dict[str, Any] = {"__name__": __name__, "Check": Check, "pydantic": pydantic}
    exec(
        f"""class Between(Check):
    least: int = {field}
    most: int = 9

    @pydantic.model_validator(mode="after")
    def _ordered(self):
        if self.least > self.most:
            raise ValueError("least is above most")
        return self

    def run(self, view):
        return []
""",
        made,
    )
    evalkit.check(made["Between"])
    assert judge(registry, "between", {"least": 9}) == []
    with pytest.raises(BadArguments) as raised:
        judge(registry, "between", {"least": 10})
    assert raised.value.problems == [((), "least is above most")]


@pytest.mark.parametrize(
    ("thing", "error", "message"),
    [
        (3, TypeError, "a check is a class or a function, not int"),
        (int, TypeError, "a check class must be an evalkit.Check, int is not"),
        (list, ValueError, "'<lambda>' cannot be a check's name"),
    ],
)
def test_what_is_no_check_is_refused(
    registry: Registry[type[Check]], thing: Any, error: type[Exception], message: str
) -> None:
    if message.startswith("'<lambda>'"):
        thing = lambda view: []  # noqa: E731
    with pytest.raises(error, match=message.replace("<", "<")):
        evalkit.check(thing)


def test_a_function_without_a_view_is_refused(registry: Registry[type[Check]]) -> None:
    def nothing() -> None: ...

    def anything(view: View, *more: int) -> None: ...

    with pytest.raises(TypeError, match="must be a function of a view"):
        evalkit.check(nothing)
    with pytest.raises(TypeError, match="must name its options"):
        evalkit.check(anything)


def test_a_name_is_taken_once_but_the_same_definition_may_be_read_again(
    registry: Registry[type[Check]],
) -> None:
    def define(answer: str) -> Any:
        def again(view: View) -> str:
            return answer

        return evalkit.check(again)

    define("one")
    define("two")
    assert judge(registry, "again", bare=True) == ["two"]

    def other(view: View) -> None: ...

    with pytest.raises(ValueError, match="a check named 'again' is registered already"):
        evalkit.check("again")(other)
    with pytest.raises(ValueError, match="a check named 'status' is registered already"):
        evalkit.check("status")(other)


def test_an_unknown_name_is_told_with_the_nearest(registry: Registry[type[Check]]) -> None:
    with pytest.raises(BadArguments, match=r"unknown check 'stat' \(did you mean 'status'\?\)"):
        Catalog(registry).build("stat", 1, bare=False)


def test_every_built_in_check_comes_by_the_public_road() -> None:
    for point in entry_points(group="evalkit.checks"):
        if point.value.startswith("evalkit."):
            assert point.load().name == point.name
            assert issubclass(point.load(), Check)


def test_a_crash_of_a_function_is_no_low_score(registry: Registry[type[Check]]) -> None:
    @evalkit.check
    def broken(view: View) -> None:
        raise ZeroDivisionError("by zero")

    made = transcript({})
    check = Catalog(registry).build("broken", None, bare=True)
    result = run_check(
        check,
        View(made),
        name="broken",
        negate=True,
        severity=Severity.WARN,
        turn=None,
        declared="suite.yaml:3",
    )
    assert result.verdict is Verdict.ERRORED
    assert [(finding.code, finding.message) for finding in result.findings] == [
        ("check_crashed", "the check broken crashed: ZeroDivisionError: by zero")
    ]
    assert "test_check_registering.py" in result.findings[0].detail
