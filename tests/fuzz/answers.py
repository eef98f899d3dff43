"""A world whose vendors answer in wrong shapes for a while, and what must hold nevertheless."""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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


@dataclass(slots=True)
class Fuzzed:
    """One world. ``wrong`` names what did not hold."""

    folder: Path
    seed: int
    wrong: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def play(self) -> "Fuzzed":
        rng = random.Random(self.seed)
        w = World(self.folder, _people(), policy={"enter": rng.choice(["subscribe", "request"])})
        spoiler = Spoiler(w, rng)
        self.done = spoiler.done
        w.use(spoiler)
        spoiler.share = rng.choice([0.0, 0.0, 0.3])
        w.sync()
        w.esp.act("unsubscribe", email=_email(3))
        w.crm.act("opt_out", email=_email(4))
        w.crm.act("set_field", email=_email(5), field="city", value="Oslo")
        spoiler.share = rng.choice([0.2, 0.6, 1.0])
        for _ in range(rng.choice([1, 2, 3])):
            w.sync(full=rng.random() < 0.5)
        spoiler.share = 0.0
        for full in (True, True, False):
            w.sync(full=full)
        self._judge(w, spoiler)
        return self

    def _judge(self, w: World, spoiler: Spoiler) -> None:
        for number, how in _SAID_NO.items():
            email = _email(number)
            for side, mock in (("CRM", w.crm), ("ESP", w.esp)):
                view = mock.act("view", email=email)
                if view is None or (view["status"] != Status.OUT if side == "ESP" else not view["opt_out"]):
                    self.wrong.append(f"{email} ({how}) is not shown as out in the {side}: {view}")
        for number in _SAID_NOTHING:
            view = w.esp.act("view", email=_email(number))
            if view is None or view["status"] != Status.IN:
                self.wrong.append(f"{_email(number)} said nothing and is shown otherwise: {view}")
        if w.esp.act("view", email=_email(7))["status"] != Status.PENDING:
            self.wrong.append(f"{_email(7)} has not confirmed and was raised")
        before = len([r for r in spoiler.requests if _writes(w, r)])
        report = w.sync()
        if len([r for r in spoiler.requests if _writes(w, r)]) != before:
            self.wrong.append(f"does not come to rest: {report.to_json()}")


def _writes(w: World, sent: Any) -> bool:
    return (w.crm if sent.base_url == CRM else w.esp).is_write(sent)


def _email(number: int) -> str:
    return f"ann{number}@example.com"


def _people() -> list[Person]:
    return [
        person(1, status=Status.OUT),
        person(2, opt_out=True),
        person(3),
        person(4),
        person(5),
        person(6, crm_topics={"news": True}, esp_topics={"news": True}),
        person(7, status=Status.PENDING),
    ]
