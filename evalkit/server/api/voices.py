"""Voices: those of the service, and those that clients create. Sans-IO.

A voice is a record; the sounds of this server do not depend on it. A ``prompted`` voice is
described in words and always stored. A ``replicated`` one has audio samples, which no reply
repeats; if it is not stored, the reply has a key instead of an id.
"""

import hmac

from evalkit._lib.json import JSON, dumps
from evalkit.server.api.collection import ResourceCollection, page_body
from evalkit.server.calls import Call, Reply
from evalkit.server.requests.bodies import (
    BOOLEAN,
    OBJECT,
    STRING,
    closed_object,
    read_object,
    validator,
)
from evalkit.server.requests.error_response import ErrorResponse, bad_request

_PREBUILT = {"Puck": "male", "Charon": "male", "Kore": "female", "Aoede": "female"}
_TEXTS = (
    "accent",
    "context",
    "description",
    "display_name",
    "gender",
    "language_code",
    "model",
    "persona",
    "pitch",
    "region_code",
)
_VOICE = {
    **closed_object(
        {
            **dict.fromkeys(_TEXTS, STRING),
            "type": {"enum": ["prompted", "replicated"]},
            "prompted": {**OBJECT, "required": ["input"]},
            "replicated": {**OBJECT, "required": ["consent_audio", "source_audio"]},
            "sample_audio": OBJECT,
        },
        "type",
    ),
    "type": "object",
}
_CREATE = validator(closed_object({"voice": _VOICE, "store": BOOLEAN}, "voice"))
_NOT_RETURNED = ("replicated", "sample_audio")


class Voices(ResourceCollection[dict[str, JSON]]):
    """``/voices``."""

    def __init__(self, key: bytes) -> None:
        super().__init__("voice", "voices")
        self._key = key
        self._created = 0
        for name, gender in _PREBUILT.items():
            fields = {"type": "prebuilt", "gender": gender, "language_code": "en-US"}
            self.add(name, {"id": name, "display_name": name, **fields})

    def create(self, call: Call) -> Reply:
        """``POST /voices``."""
        body = read_object(call.body, _CREATE)
        voice, is_stored = body["voice"], body.get("store") is True
        kind = voice["type"]
        if voice.get(kind) is None:
            raise bad_request(f"'voice.{kind}' is required.")
        if kind == "prompted" and not is_stored:
            raise bad_request("'store' must be true for a voice of type prompted.")
        self._created += 1
        token = hmac.digest(self._key, f"voice {self._created}".encode(), "sha256")[:6].hex()
        if not is_stored:
            return Reply(200, dumps({"key": f"voicekey_{token}", "type": kind}))
        voice_id = f"voice_{token}"
        fields = {name: item for name, item in voice.items() if name not in _NOT_RETURNED}
        return Reply(200, dumps(self.add(voice_id, {"id": voice_id, **fields})))

    def list_page(self, call: Call) -> Reply:
        """``GET /voices``: one page of those that have the values of the query."""
        numbered = [
            (number, voice)
            for number, voice in self.numbered()
            if all(
                voice.get(name) == value
                for name, value in call.query.items()
                if name in _TEXTS or name == "type"
            )
        ]
        return Reply(200, page_body("voices", numbered, call.query, lambda voice: voice))

    def delete(self, call: Call, resource_id: str) -> Reply:
        """``DELETE /voices/{id}``."""
        if resource_id in _PREBUILT:
            raise ErrorResponse(403, f"Voice '{resource_id}' cannot be deleted.")
        return super().delete(call, resource_id)
