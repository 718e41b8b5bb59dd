"""No message about a base URL repeats a password or a key."""

from __future__ import annotations

import pytest

from evalkit.errors import UsageError
from evalkit.transports.address import parse_base_url


@pytest.mark.parametrize(
    "url",
    [
        "https://user:secret-word@127.0.0.1:9",
        "http://u:secret-word@h:99999999",
        "http://127.0.0.1:9/?key=secret-word",
        "ftp://u:secret-word@h",
        "u:secret-word@h",
        "http://u:secret-word@",
        "http://u:secret-word@h /x",
    ],
)
def test_a_refused_base_url_is_shown_without_secrets(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_base_url(url)
    assert "secret-word" not in str(caught.value)
