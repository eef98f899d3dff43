"""A world whose vendors answer in wrong shapes for a while, and what must hold nevertheless."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import requests

from optsync.connect.mock import MockTransport, Person
from optsync.model.record import Status
from tests.fuzz.shapes import spoiled
from tests.scenarios.world import CRM, ESP, World, person

_SAID_NO = {1: "unsubscribed before", 2: "ticked before", 3: "unsubscribes", 4: "is ticked"}
_SAID_NOTHING = (5, 6)


class Spoiler(MockTransport):
    """Spoils a share of the answers, in one to three places each; ``done`` says what it did."""

    def __init__(self, w: World, rng: random.Random) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self.rng = rng
        self.share = 0.0
        self.done: list[str] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        response = super().send(request, *args, **options)
        if self.rng.random() < self.share and response.content:
            body = json.loads(response.content)
            for _ in range(self.rng.choice([1, 1, 2, 3])):
                body, what = spoiled(body, self.rng)
                self.done.append(f"{request.method} {str(request.url).partition('?')[0]}: {what}")
            response._content = json.dumps(body).encode()
        return response


@dataclass
class Fuzzed:
    """One world. ``wrong`` names what did not hold."""

    policy: ClassVar[Mapping[str, str]] = {}

    folder: Path
    seed: int
    wrong: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def play(self) -> "Fuzzed":
        rng = random.Random(self.seed)
        w = World(self.folder, self.people(), policy={**self.policy, "enter": rng.choice(["subscribe", "request"])})
        spoiler = Spoiler(w, rng)
        self.done = spoiler.done
        w.use(spoiler)
        spoiler.share = rng.choice([0.0, 0.0, 0.3])
        w.sync()
        self.act(w)
        spoiler.share = rng.choice([0.2, 0.6, 1.0])
        for _ in range(rng.choice([1, 2, 3])):
            report = w.sync(full=rng.random() < 0.5)
            self.meanwhile(w, report.run)
        spoiler.share = 0.0
        for full in (True, True, False):
            w.sync(full=full)
        self.judge(w, spoiler)
        return self

    def people(self) -> list[Person]:
        return [
            person(1, status=Status.OUT),
            person(2, opt_out=True),
            person(3),
            person(4),
            person(5),
            person(6, crm_topics={"news": True}, esp_topics={"news": True}),
            person(7, status=Status.PENDING),
        ]

    def act(self, w: World) -> None:
        """What people do before the answers go wrong."""
        w.esp.act("unsubscribe", email=email_of(3))
        w.crm.act("opt_out", email=email_of(4))
        w.crm.act("set_field", email=email_of(5), field="city", value="Oslo")

    def meanwhile(self, w: World, run: str) -> None:
        """What is done besides while they are, after a run."""

    def judge(self, w: World, spoiler: Spoiler) -> None:
        for number, how in _SAID_NO.items():
            email = email_of(number)
            for side, mock in (("CRM", w.crm), ("ESP", w.esp)):
                view = mock.act("view", email=email)
                if view is None or (view["status"] != Status.OUT if side == "ESP" else not view["opt_out"]):
                    self.wrong.append(f"{email} ({how}) is not shown as out in the {side}: {view}")
        for number in _SAID_NOTHING:
            view = w.esp.act("view", email=email_of(number))
            if view is None or view["status"] != Status.IN:
                self.wrong.append(f"{email_of(number)} said nothing and is shown otherwise: {view}")
        if w.esp.act("view", email=email_of(7))["status"] != Status.PENDING:
            self.wrong.append(f"{email_of(7)} has not confirmed and was raised")
        before = len([r for r in spoiler.requests if _writes(w, r)])
        report = w.sync()
        if len([r for r in spoiler.requests if _writes(w, r)]) != before:
            self.wrong.append(f"does not come to rest: {report.to_json()}")


def _writes(w: World, sent: Any) -> bool:
    return (w.crm if sent.base_url == CRM else w.esp).is_write(sent)


def email_of(number: int) -> str:
    return f"ann{number}@example.com"
