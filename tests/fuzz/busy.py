"""Worlds in which much is asked for besides: people who are made, looked up, asked about and archived, many at once,
and commands that are run while the answers are wrong."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from optsync.connect.mock import Person
from optsync.errors import OptsyncError
from optsync.sync.check import check_systems
from optsync.sync.forget import forget, forget_at_vendors
from optsync.sync.undo import undo
from tests.fuzz.answers import Fuzzed, Spoiler, email_of
from tests.scenarios.world import World, person

_MADE = (8, 9, 10, 11)
"""In the CRM alone: members are made of them together."""
_LEFT_TOPIC, _HIDDEN, _BACK, _GONE = 12, 13, 14, 15
_KNOWN = 16


class Busy(Fuzzed):
    policy: ClassVar[Mapping[str, str]] = {"leave": "archive"}

    def people(self) -> list[Person]:
        topic: dict[str, Any] = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
        return [
            *super().people(),
            *(person(number, in_esp=False, opt_in=True) for number in _MADE[:2]),
            *(person(number, **topic) for number in (_LEFT_TOPIC, _HIDDEN, _BACK, _GONE, _KNOWN)),
        ]

    def act(self, w: World) -> None:
        super().act(w)
        for number in (_HIDDEN, _BACK):
            w.esp.act("unsubscribe", email=email_of(number))
        w.esp.act("set_topic", email=email_of(_LEFT_TOPIC), topic="news", wanted=False)
        for number in (5, 6, _LEFT_TOPIC, _KNOWN):
            w.crm.act("set_field", email=email_of(number), field="city", value="Oslo")
        w.crm.populate([person(number, in_esp=False, opt_in=True) for number in _MADE[2:]])

    def meanwhile(self, w: World, run: str) -> None:
        w.esp.act("archive", email=email_of(_HIDDEN))
        w.wait(minutes=10)
        w.esp.act("resubscribe", email=email_of(_BACK))
        # Whatever else than a failure in words leaves a command ends the world.
        with suppress(OptsyncError):
            check_systems(w.engine)
        for connector in w.engine.connectors.values():
            with suppress(OptsyncError):
                connector.describe()
        with suppress(OptsyncError):
            undo(w.engine, run, actor="Kim", is_approved=True)
        with suppress(OptsyncError):
            forget_at_vendors(w.engine, forget(w.engine, email_of(_GONE), actor="Kim"), email_of(_GONE))

    def judge(self, w: World, spoiler: Spoiler) -> None:
        super().judge(w, spoiler)
        for side, mock in (("CRM", w.crm), ("ESP", w.esp)):
            view = mock.act("view", email=email_of(_LEFT_TOPIC))
            if view is None or view["topics"].get("news"):
                self.wrong.append(f"{email_of(_LEFT_TOPIC)} left a topic and has it in the {side}: {view}")
            hidden = mock.act("view", email=email_of(_HIDDEN))
            if hidden is None or hidden.get("opt_in") or hidden.get("status") == "in":
                self.wrong.append(f"{email_of(_HIDDEN)} left, was archived and is raised in the {side}: {hidden}")
