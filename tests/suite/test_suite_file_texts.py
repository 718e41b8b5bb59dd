"""``{file: path}``: texts and values in files of their own."""

from __future__ import annotations

import pytest

from evalkit.errors import SuiteErrors
from tests.suite.project import Project
from tests.suite.test_suite_schema import accepted

HEAD = "suite: shop\ndefaults: {model: m}\nvars: {shop: Lumen}\n"


def suite(scenario: str, top: str = "") -> str:
    return f"{HEAD}{top}scenarios:\n  - id: a\n    turns: [{{user: hi}}]\n{scenario}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Be kind.\n", "Be kind.\n"),
        ("You work for {{ shop }}.", "You work for Lumen."),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\ufeffBe kind.", "Be kind."),
        ("# YAML: [is not\n- read", "# YAML: [is not\n- read"),
    ],
)
def test_a_text_is_rendered_as_if_it_was_in_the_suite(
    project: Project, content: str, expected: str
) -> None:
    project.write("prompts/support.md", content)
    text = suite("    system_instruction: {file: ../prompts/support.md}\n")
    (variant,) = project.expand(text)

    assert variant.fields["system_instruction"] == expected
    assert [name for name, _ in variant.suite.used_files] == ["prompts/support.md"]
    assert accepted(text)


def test_a_message_may_read_earlier_turns(project: Project) -> None:
    project.write("suites/mail.txt", "About {{ previous.text }} of {{ shop }}")
    text = HEAD + "scenarios:\n  - {id: a, turns: [{user: hi}, {user: {file: mail.txt}}]}\n"
    (variant,) = project.expand(text)

    class Earlier:
        text = "it"

    assert variant.turns[1].content({"previous": Earlier, "turns": []}) == "About it of Lumen"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("look.json", '{"type": "object", "properties": {"x": {"type": "string"}}}'),
        ("look.yaml", "type: object\nproperties: {x: {type: string}}\n"),
        ("look.YML", "type: object\nproperties: {x: {type: string}}\n"),
    ],
)
def test_schemas_and_results_are_values(project: Project, name: str, content: str) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "string"}}}
    project.write(f"suites/{name}", content)
    project.write("suites/result.json", '{"shop": "{{ shop }}", "n": [1, null]}')
    project.write("suites/result.txt", "{{ arguments.x }} of {{ shop }}\n")
    top = (
        f"tools:\n  look:\n    parameters: {{file: {name}}}\n    results:\n"
        "      - {when: {x: a}, result: {file: result.json}}\n"
        "      - {result: {file: result.txt}}\n"
    )
    text = suite(
        "    tools: [look]\n"
        f"    response_format: {{type: text, schema: {{file: {name}}}}}\n", top
    )  # fmt: skip
    (variant,) = project.expand(text)

    assert variant.fields["tools"][0]["parameters"] == schema
    assert variant.fields["response_format"]["schema"] == schema
    run = variant.tools["look"].run
    assert run({"x": "a"}, variant.variables, lambda *_: None).result == {
        "shop": "Lumen",
        "n": [1, None],
    }
    assert run({"x": "b"}, variant.variables, lambda *_: None).result == "b of Lumen\n"
    assert accepted(text)


def test_a_check_takes_what_a_file_has(project: Project) -> None:
    project.write("suites/needle.md", "{{ shop }}")
    for argument in ("{file: needle.md}", "{contains: {file: needle.md}}"):
        (variant,) = project.expand(suite(f"    expect: [{{text: {argument}}}]\n"))
        assert variant.expect[0].built.contains == "Lumen"


def test_a_choice_and_the_defaults_may_name_files(project: Project) -> None:
    project.write("a.md", "A")
    project.write("b.md", "B")
    text = (
        "suite: shop\ndefaults:\n  model: m\n  system_instruction: {file: a.md}\n"
        "  matrix: {prompt: {current: {}, other: {system_instruction: {file: b.md}}}}\n"
        "scenarios: [{id: a, turns: [{user: hi}]}]\n"
    )
    assert [variant.fields["system_instruction"] for variant in project.expand(text)] == ["A", "B"]


def test_the_digest_changes_with_a_file(project: Project) -> None:
    text = suite("    system_instruction: {file: a.md}\n")
    digests = set()
    for content in ("A", "B"):
        project.write("suites/a.md", content)
        digests.add(project.load(text).digest)
    assert len(digests) == 2


REFUSED = [
    ("system_instruction: {file: none.md}", "8:32 scenario 'a': no such file: 'none.md' in suites/ or "
     "the project root"),
    ("system_instruction: {file: ../../x.md}", "8:32 scenario 'a': '../../x.md' is outside the project "
     "(project)"),
    ("system_instruction: {file: /etc/hosts}", "8:32 scenario 'a': '/etc/hosts' is an absolute path; "
     "write it relative to the suite file or the project root"),
    ("system_instruction: {file: link.md}", "8:32 scenario 'a': 'link.md' is outside the project "
     "(project)"),
    ("system_instruction: {file: ..}", "8:32 scenario 'a': '..' is a directory, not a file"),
    ('system_instruction: {file: "{{ shop }}.md"}', "8:32 scenario 'a': templates are not rendered in "
     "the path of a file; write the path"),
    ("system_instruction: {file: empty.md}", "suites/empty.md:1:1 scenario 'a': empty file: "
     "'system_instruction' takes text"),
    ("system_instruction: {file: bad.md}", "suites/bad.md:3:4 scenario 'a': undefined variable 'shp' "
     "(did you mean 'shop'?)"),
    ("system_instruction: {file: syntax.md}", "suites/syntax.md:1:1 scenario 'a': template: "
     "unexpected '}'"),
    ("system_instruction: {file: latin.md}", "suites/latin.md:1:2 not UTF-8 text (byte 0xE4); save the "
     "file as UTF-8"),
    ("system_instruction: {file: 1}", "8:32 scenario 'a': 'file' takes text, not a number (1)"),
    ("system_instruction: {path: a.md}", "8:25 scenario 'a': missing key 'file'"),
    ("system_instruction: {file: good.md, as: json}", "8:41 scenario 'a': unknown key 'as'"),
    ("response_format: {schema: {file: good.md}}", "suites/good.md:1:1 scenario 'a': 'schema' takes a "
     "mapping, not the text 'good'"),
    ("response_format: {schema: {file: list.json}}", "suites/list.json:1:1 scenario 'a': 'schema' takes "
     "a mapping, not a list"),
    ("response_format: [{schema: {file: broken.json}}]", "suites/broken.json:1:1 a '{' that is never "
     "closed"),
    ("expect: [{text: {file: bad.md}}]", "suites/bad.md:3:4 scenario 'a': undefined variable 'shp' (did "
     "you mean 'shop'?)"),
    ("expect: [{usage: {total_tokens: {file: list.json}}}]", "suites/list.json:1:1 scenario 'a': "
     "usage.total_tokens: "),
]  # fmt: skip


@pytest.mark.parametrize(("scenario", "expected"), REFUSED, ids=range(len(REFUSED)))
def test_a_mistake_is_located_in_the_suite_or_in_the_file(
    project: Project, scenario: str, expected: str
) -> None:
    outside = project.root.parent / "outside.md"
    outside.write_text("secret")
    (project.suites / "link.md").symlink_to(outside)
    for name, content in (
        ("good.md", b"good"), ("empty.md", b" \n"), ("bad.md", b"# Shop\n\n{{ shp }}"),
        ("syntax.md", b"{{ shop }"), ("latin.md", b"l\xe4mp"), ("list.json", b"[1]"),
        ("broken.json", b'{"a": 1'),
    ):  # fmt: skip
        project.write(f"suites/{name}", content)
    (problem, *_) = project.problems(
        f"suite: shop\n\nvars: {{shop: Lumen}}\nscenarios:\n  - id: a\n    model: m\n"
        f"    turns: [{{user: hi}}]\n    {scenario}\n"
    )
    assert problem.startswith(expected)


def test_an_error_during_the_conversation_is_located_in_the_file(project: Project) -> None:
    project.write("suites/mail.txt", "Hello\n{{ previous.json.x }}\n")
    text = HEAD + "scenarios:\n  - {id: a, turns: [{user: hi}, {user: {file: mail.txt}}]}\n"
    (variant,) = project.expand(text)

    class Earlier:
        json = 1

    with pytest.raises(SuiteErrors) as caught:
        variant.turns[1].content({"previous": Earlier, "turns": []})
    assert str(caught.value).startswith("suites/mail.txt:1:1 scenario 'a', turn 2: ")
