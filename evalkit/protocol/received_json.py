"""JSON of a response or an event, with the arguments of a call whose keys repeat.

An object with a key twice means one thing to one reader and another to the next. In what the
service writes that is a broken response. The arguments of a call are written by the model: they
stay the text that was received, as streamed arguments do that are not JSON, and do not fit any
declaration.
"""

from typing import Any

from evalkit._lib.exact_json import Pairs, RepeatedKeyError, read_exact, values_in, write_exact
from evalkit._lib.json import JSON, loads


class _RepeatedKeys:
    """An object with all its keys and values."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs


def read_received(text: str) -> JSON:
    """Parse JSON; arguments in which a key repeats become text.

    Raises ValueError (RepeatedKeyError for a key that repeats anywhere else) and RecursionError.
    """
    try:
        return loads(text)
    except RepeatedKeyError as error:
        value = read_exact(text, _object)
        if _has_repeated_keys(value):
            raise error from None
        return value


def _object(pairs: Pairs) -> Any:
    value = dict(pairs)
    if len(value) < len(pairs):
        return _RepeatedKeys(pairs)
    if _has_repeated_keys(value.get("arguments")):
        value["arguments"] = _text(value["arguments"])
    return value


def _has_repeated_keys(value: Any) -> bool:
    return any(isinstance(item, _RepeatedKeys) for item in values_in(value))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if not isinstance(value, dict | _RepeatedKeys):
        return write_exact(value, ensure_ascii=False)
    pairs = value.pairs if isinstance(value, _RepeatedKeys) else value.items()
    return "{" + ", ".join(f"{write_exact(key)}: {_text(item)}" for key, item in pairs) + "}"
