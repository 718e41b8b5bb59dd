"""A secret is found in every encoding and in two of them, and its position is exact."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.cassette.redaction import Redactor
from evalkit.cassette.secret_search import SecretSearch
from tests.cassette.encodings import ENCODINGS, SECRETS

KEY = SECRETS["API key"]


@pytest.mark.parametrize("first", ENCODINGS)
@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_and_replaced_in_two_encodings(kind: str, first: str) -> None:
    secret = SECRETS[kind]
    search = SecretSearch([secret])
    # Inside Base64 or hexadecimal digits, escapes are undone in ASCII only.
    seconds = ENCODINGS if secret.isascii() else ("plain",)
    for second in seconds:
        text = f"before {ENCODINGS[second](ENCODINGS[first](secret))} after it"
        document = json.dumps({"a": text})
        assert search.find(text), second
        for clean in (
            Redactor([secret]).text(text),
            json.loads(Redactor([secret]).text(document))["a"],
        ):
            assert not search.has_secret(clean), second
            assert clean.startswith("before "), second
            assert clean.endswith(" after it"), second


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        (KEY, 0, len(KEY)),
        (f"a {KEY}.", 2, 2 + len(KEY)),
        (f"a\\{KEY[:5]}\\{KEY[5:]}.", 2, 3 + len(KEY)),
        (f"é%20&lt;{KEY}&gt;", 8, 8 + len(KEY)),
        (f"x\n{KEY[:9]}\n   {KEY[9:]}\ny", 2, 6 + len(KEY)),
        (f"**{KEY[:9]}**{KEY[9:]}", 2, 4 + len(KEY)),
        (f"{KEY[:9]}\u200b\u00ad{KEY[9:]} z", 0, 2 + len(KEY)),
        (f"{KEY[:9]}\x1b[1;31m{KEY[9:]}\x1b[0m z", 0, 7 + len(KEY)),
        (f"{KEY[:9]}<wbr>{KEY[9:14]}<b class=x>{KEY[14:]}</b>", 0, 16 + len(KEY)),
        (f"~~{KEY[:9]}~~{KEY[9:]}", 2, 4 + len(KEY)),
        (f"a {base64.b64encode(KEY.encode('utf-16-be')).decode()}", 3, 2 + 104),
        (":".join(f"{ord(char):02x}" for char in KEY) + " z", 0, 3 * len(KEY) - 1),
    ],
)
def test_the_position_is_that_in_the_text_before_decoding(text: str, start: int, end: int) -> None:
    assert [match[:2] for match in SecretSearch([KEY]).find(text)] == [(start, end)]


@given(st.text(max_size=300), st.sampled_from(["", "%", "\\u00", "&#", "\\\\x4"]))
def test_any_text_is_searched_without_a_match(text: str, mark: str) -> None:
    assert SecretSearch([KEY]).find(text.replace(" ", mark)) == []


PIECES = st.sampled_from(
    [KEY[:13], KEY[13:26], KEY[26:], *(encode(KEY) for encode in ENCODINGS.values())]
)
BETWEEN = st.text(st.sampled_from('"\\":,<b> %&u002;{}n#x'), max_size=6) | st.sampled_from(
    [
        '","',
        '":"',
        "<b class=x>",
        '<b class="x">',
        '<b a="1","b>',
        "%25",
        "&amp;",
        "\\u0022",
        "&quot;",
    ]
)


@given(st.lists(PIECES | BETWEEN, max_size=8).map("".join), st.booleans())
def test_whether_there_is_a_secret_agrees_with_its_positions(text: str, has_quote: bool) -> None:
    search = SecretSearch([KEY, 'a "quoted" password'] if has_quote else [KEY])
    for document in (text, json.dumps([text, text], separators=(",", ":"))):
        assert search.has_secret(document) == bool(search.find(document))


def test_secrets_that_overlap_are_one_match() -> None:
    search = SecretSearch([KEY, KEY[4:] + "/tail", "unrelated-secret-123"])
    assert [match[:2] for match in search.find(f"a {KEY}/tail b {KEY}")] == [
        (2, 7 + len(KEY)),
        (10 + len(KEY), 10 + 2 * len(KEY)),
    ]
