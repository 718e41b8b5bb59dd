"""Triggers (protocol section 1.4): an agent's run that is kept to be run again. Sans-IO, so no schedule ever comes due here.

A trigger is stored with its schedule and runs when it is told to (``POST …/executions``), paused or not; a run is over when it is answered.
As many failures in a row as it may have make its status ``error``, which setting it to ``active`` ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from evalkit._lib import clock
from evalkit._lib.json import JSON, dumps
from evalkit.server.api.collection import ResourceCollection
from evalkit.server.api.interactions import Interactions
from evalkit.server.calls import Call, Reply
from evalkit.server.requests.bodies import choice, read_object
from evalkit.server.requests.error_response import ErrorResponse, bad_request

_NAMED: dict[str, tuple[str, ...]] = {"display_name": ("string",)}
_FIELDS: dict[str, tuple[str, ...]] = {
    **_NAMED, "interaction": ("object",), "schedule": ("string",), "time_zone": ("string",), "environment_id": ("string",),
    "execution_timeout_seconds": ("number", "string"), "max_consecutive_failures": ("number",),
}  # fmt: skip
_CRON = re.compile(r"[-0-9*/,A-Za-z?#]+(?: +[-0-9*/,A-Za-z?#]+){4}\Z")


class Triggers:
    """``/triggers``. What a trigger runs, ``interactions`` answers."""

    def __init__(self, interactions: Interactions) -> None:
        self._interactions = interactions
        self._shelf: ResourceCollection[dict[str, JSON]] = ResourceCollection("trigger")
        self._executions: dict[str, ResourceCollection[dict[str, JSON]]] = {}
        self._made = 0

    def create(self, call: Call) -> Reply:
        """``POST /triggers``."""
        body = read_object(call.body, _FIELDS)
        for name in ("schedule", "time_zone", "interaction"):
            if name not in body:
                raise bad_request(f"'{name}' is required.")
        if not _CRON.match(body["schedule"].strip()):
            raise bad_request(
                f"'schedule' must be the five fields of a cron schedule, got '{body['schedule']}'."
            )
        self._interactions.check(_run_of(body), "interaction")
        self._made += 1
        now, id_ = clock.timestamp(), f"trigger_{self._made:08x}"
        counts = {"consecutive_failure_count": 0, "create_time": now, "update_time": now}
        self._executions[id_] = ResourceCollection("execution")
        return Reply(
            200, dumps(self._shelf.add(id_, {"id": id_, **body, "status": "active", **counts}))
        )

    def listed(self, call: Call) -> Reply:
        """``GET /triggers``."""
        return Reply(200, dumps(self._shelf.page("triggers", call.query, lambda trigger: trigger)))

    def get(self, call: Call, id: str) -> Reply:  # noqa: A002 - the path's own name
        """``GET /triggers/{id}``."""
        return Reply(200, dumps(self._shelf.get(id)))

    def update(self, call: Call, id: str) -> Reply:  # noqa: A002
        """``PATCH /triggers/{id}``: its name, and whether it is paused."""
        trigger = self._shelf.get(id)
        body = read_object(call.body, {**_NAMED, "status": ("string",)})
        now = clock.timestamp()
        if "status" in body:
            choice("status", body["status"], ("active", "paused", "error"))
            if body["status"] == "active":
                trigger |= {"last_resume_time": now, "consecutive_failure_count": 0}
            elif body["status"] == "paused":
                trigger["last_pause_time"] = now
        trigger.update(body, update_time=now)
        return Reply(200, dumps(trigger))

    def delete(self, call: Call, id: str) -> Reply:  # noqa: A002
        """``DELETE /triggers/{id}``; the interactions it made stay."""
        self._shelf.delete(id)
        del self._executions[id]
        return Reply(200, "{}")

    def run(self, call: Call, id: str) -> Reply:  # noqa: A002
        """``POST /triggers/{id}/executions``: run it now. A run that is refused or fails is a failed execution, not an error."""
        trigger = self._shelf.get(id)
        start = clock.timestamp()
        execution: dict[str, JSON] = {
            "id": f"{id}_{len(list(self._executions[id])) + 1}",
            "trigger_id": id,
            "start_time": start,
        }
        try:
            made = self._interactions.run(_run_of(trigger))
            execution |= {
                "interaction_id": made["id"],
                "status": "failed" if made["status"] == "failed" else "completed",
            }
            execution |= (
                {"environment_id": made["environment_id"]} if "environment_id" in made else {}
            )
            trigger["previous_interaction_id"] = made["id"]
            why = (made.get("error") or {}).get("message", "")
        except ErrorResponse as fault:
            execution["status"], why = "failed", fault.message
        except (ValueError, KeyError, TypeError):  # a fault of the script's garbled the answer
            execution["status"], why = "failed", "the answer was garbled"
        execution |= {"error": why} if execution["status"] == "failed" else {}
        trigger["last_run_time"] = execution["end_time"] = clock.timestamp()
        self._count(trigger, execution["status"] == "failed")
        return Reply(200, dumps(self._executions[id].add(execution["id"], execution)))

    def executions(self, call: Call, id: str) -> Reply:  # noqa: A002
        """``GET /triggers/{id}/executions``."""
        self._shelf.get(id)
        return Reply(
            200,
            dumps(
                self._executions[id].page(
                    "trigger_executions", call.query, lambda execution: execution
                )
            ),
        )

    @staticmethod
    def _count(trigger: dict[str, JSON], failed: bool) -> None:
        trigger["consecutive_failure_count"] = (
            trigger["consecutive_failure_count"] + 1 if failed else 0
        )
        if failed and trigger["consecutive_failure_count"] >= trigger.get(
            "max_consecutive_failures", float("inf")
        ):
            trigger["status"] = "error"


def _run_of(trigger: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the create request a trigger sends: kept, not streamed, in its environment where it has one."""
    environment = {"environment": trigger["environment_id"]} if "environment_id" in trigger else {}
    return {**trigger["interaction"], **environment, "stream": False, "store": True}
