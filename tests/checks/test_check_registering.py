"""User-defined checks: registered by a decorator, in the registry of the built-in ones."""

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
    """Return a separate registry, so that no test leaves a check behind."""
    registry: Registry[type[Check]] = Registry("check", "evalkit.checks")
    monkeypatch.setattr(plugins, "CHECKS", registry)
    return registry


def messages(
    registry: Registry[type[Check]],
    name: str,
    argument: Any = None,
    *,
    bare: bool = False,
    text: str = "please",
) -> list[str]:
    check = Catalog(registry).build(name, argument, bare=bare)
    namespace = transcript({"text": text})
    result = run_check(
        check,
        View(namespace, namespace.turns[0]),
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
    assert messages(registry, "polite", bare=True) == []
    assert messages(registry, "polite", bare=True, text="no") == ["not polite"]
    assert Catalog(registry).schema("polite")["description"] == "The answer is polite."


def test_a_function_takes_options(registry: Registry[type[Check]]) -> None:
    @evalkit.check("says_often")
    def anything(view: View, word: str, *, least: int = 1) -> str | None:
        assert view.last is not None
        found = view.last.text.count(word)
        return None if found >= least else f"{word} {found} times, not {least}"

    assert messages(registry, "says_often", "please") == []
    assert messages(registry, "says_often", {"word": "please", "least": 2}) == [
        "please 1 times, not 2"
    ]
    with pytest.raises(BadArguments, match="unknown option 'lest'"):
        messages(registry, "says_often", {"word": "please", "lest": 2})
    with pytest.raises(BadArguments, match="must be a whole number"):
        messages(registry, "says_often", {"word": "please", "least": "2"})
    with pytest.raises(BadArguments, match="needs an argument"):
        messages(registry, "says_often", bare=True)


@pytest.mark.parametrize("word", ["name", "run", "rest", "function", "shorthand", "spell", "view"])
@pytest.mark.parametrize("default", ["", " = 'none'", " = ()"])
def test_an_option_of_a_function_may_have_the_name_of_a_class_attribute(
    registry: Registry[type[Check]], word: str, default: str
) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def says(seen, {word}: object{default}): return str({word})", namespace)
    evalkit.check(namespace["says"])
    assert messages(registry, "says", {word: "hello"}) == ["hello"]
    assert messages(registry, "says", "hello") == ["hello"]
    with pytest.raises(BadArguments, match="unknown option"):
        messages(registry, "says", {f"option_{word}": "hello"})


def test_a_default_list_is_not_shared(registry: Registry[type[Check]]) -> None:
    @evalkit.check("lists")
    # The mutable default is what is tested.
    def lists(view: View, most: int = 3, words: list[str] = []) -> str:  # noqa: B006
        words.append("more")
        return " ".join(words)

    assert [messages(registry, "lists", bare=True), messages(registry, "lists", 4)] == [
        ["more"],
        ["more"],
    ]


def test_a_class_may_use_pydantic_fields_and_validators(registry: Registry[type[Check]]) -> None:
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

    assert messages(registry, "worded", bare=True) == ["3 []"]
    assert messages(registry, "worded", {"most": 1, "says": ["a"]}) == ["1 ['a']"]
    for options, problem in (
        ({"most": 0}, "at least 1"),
        ({"most": 1, "says": ["a", "b"]}, "too many"),
        ({"mos": 1}, "did you mean 'most'"),
    ):
        with pytest.raises(BadArguments, match=problem):
            messages(registry, "worded", options)

    @evalkit.check
    class Wordier(Worded):
        """One option more, declared plainly."""

        name: ClassVar[str] = "wordier"

        least: int = 0

        def run(self, view: View) -> Iterator[Finding]:
            """Say the options."""
            yield Finding("options", f"{self.least} {self.most} {self.words}")

    assert messages(registry, "wordier", {"least": 2}) == ["2 3 []"]


@pytest.mark.parametrize(
    "body",
    [
        "words: list[str] = []",
        "words: list[str] = []; most: int = pydantic.Field(3)",
        "words: dict[str, int] = {}",
    ],
)
def test_a_mutable_default_is_copied(registry: Registry[type[Check]], body: str) -> None:
    namespace: dict[str, Any] = {"__name__": __name__, "Check": Check, "pydantic": pydantic}
    exec(
        f"class Worded(Check):\n    {body}\n    kinds: ClassVar[list[int]] = [1]\n",
        {**namespace, "ClassVar": ClassVar},
        namespace,
    )
    evalkit.check(namespace["Worded"])
    first, second = (
        vars(Catalog(registry).build("worded", None, bare=True))["words"] for _ in range(2)
    )
    assert first == second
    assert first is not second
    assert namespace["Worded"].kinds == [1]


def test_a_built_in_check_may_be_extended(registry: Registry[type[Check]]) -> None:
    @evalkit.check
    class Short(Text):
        """The text is short, and whatever else is asked of it."""

        name: ClassVar[str] = "short"
        max_chars: int | None = 5

    assert messages(registry, "short", "ab", text="abc") == []
    assert messages(registry, "short", {"contains": "b"}, text="abcdefg") == [
        "the text has 7 characters, expected at most 5"
    ]


def test_a_class_with_an_unknown_type_is_reported(registry: Registry[type[Check]]) -> None:
    @evalkit.check
    class Odd(Check):
        """An option of a type that does not exist."""

        most: Nowhere  # type: ignore[name-defined]  # noqa: F821 - this is what is tested

    with pytest.raises(BadArguments, match=r"the check's class .*Odd cannot be read: .*Nowhere"):
        messages(registry, "odd", {"most": 1})


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
        messages(registry, "word_count", {"most": 0})
    assert raised.value.problems == [(("most",), "an answer of no words cannot be asked for")]
    assert messages(registry, "word_count", 1, text="a b") == ["2 words"]


def test_the_examples_of_user_defined_checks_in_the_docs_work(
    registry: Registry[type[Check]],
) -> None:
    function, written = re.findall(
        r"^```python\n(.*?)^```", (DOCS / "README.md").read_text(encoding="utf-8"), re.M | re.S
    )
    exec(function, {})  # the page's own code
    for argument in (2, {"minimum": 2}):
        assert messages(registry, "polite", argument) == ["expected 2 times 'please', got 1"]
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(written, namespace)
    polite = evalkit.check("kind")(namespace["Polite"])
    assert polite.name == "kind"
    assert messages(registry, "kind", bare=True) == []
    assert messages(registry, "kind", 2) == ["expected 2 times 'please', got 1"]
    with pytest.raises(BadArguments, match="must be at least 1, got 0"):
        messages(registry, "kind", {"minimum": 0})


@pytest.mark.parametrize("field", ["pydantic.Field(0, ge=0)", "0"])
def test_a_model_validator_checks_several_options(
    registry: Registry[type[Check]], field: str
) -> None:
    namespace: dict[str, Any] = {"__name__": __name__, "Check": Check, "pydantic": pydantic}
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
        namespace,
    )
    evalkit.check(namespace["Between"])
    assert messages(registry, "between", {"least": 9}) == []
    with pytest.raises(BadArguments) as raised:
        messages(registry, "between", {"least": 10})
    assert raised.value.problems == [((), "least is above most")]


@pytest.mark.parametrize(
    ("thing", "error", "message"),
    [
        (3, TypeError, "a check is a class or a function, not int"),
        (int, TypeError, "a check class must be an evalkit.Check, int is not"),
        (list, ValueError, "'<lambda>' cannot be a check's name"),
    ],
)
def test_a_thing_that_is_not_a_check_is_refused(
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


def test_a_name_is_unique_but_the_same_definition_may_be_loaded_again(
    registry: Registry[type[Check]],
) -> None:
    def define(answer: str) -> Any:
        def again(view: View) -> str:
            return answer

        return evalkit.check(again)

    define("one")
    define("two")
    assert messages(registry, "again", bare=True) == ["two"]

    def other(view: View) -> None: ...

    with pytest.raises(ValueError, match="a check named 'again' is registered already"):
        evalkit.check("again")(other)
    with pytest.raises(ValueError, match="a check named 'status' is registered already"):
        evalkit.check("status")(other)


def test_an_unknown_name_is_reported_with_the_nearest_one(registry: Registry[type[Check]]) -> None:
    with pytest.raises(BadArguments, match=r"unknown check 'stat' \(did you mean 'status'\?\)"):
        Catalog(registry).build("stat", 1, bare=False)


def test_every_built_in_check_is_registered_by_its_entry_point() -> None:
    for point in entry_points(group="evalkit.checks"):
        if point.value.startswith("evalkit."):
            assert point.load().name == point.name
            assert issubclass(point.load(), Check)


def test_a_function_that_crashes_is_errored(registry: Registry[type[Check]]) -> None:
    @evalkit.check
    def broken(view: View) -> None:
        raise ZeroDivisionError("by zero")

    namespace = transcript({})
    check = Catalog(registry).build("broken", None, bare=True)
    result = run_check(
        check,
        View(namespace),
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
