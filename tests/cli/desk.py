"""A person at a terminal: a configuration, two imitated systems over HTTP, and the command line."""

import json
import random
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from optsync.cli.app import run
from optsync.clock import SystemClock
from optsync.connect.mock import Person, VendorMock
from optsync.connect.registry import mocks
from optsync_mock.server import RunningServer
from tests.scenarios.world import BRANDS

CRM, ESP = "bitrix24", "mailchimp"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits from now on sets the machine's clock ahead instead; everybody sees the time pass."""
    ahead = 0.0
    now, monotonic = SystemClock.now, SystemClock.monotonic

    def sleep(_: SystemClock, seconds: float) -> None:
        nonlocal ahead
        ahead += max(0.0, seconds)

    monkeypatch.setattr(SystemClock, "sleep", sleep)
    monkeypatch.setattr(SystemClock, "now", lambda clock: now(clock) + timedelta(seconds=ahead))
    monkeypatch.setattr(SystemClock, "monotonic", lambda clock: monotonic(clock) + ahead)


def imitations(people: list[Person]) -> dict[str, VendorMock]:
    """Both systems with these people."""
    found = {name: kind(clock=SystemClock(), rng=random.Random(name)) for name, kind in mocks().items()}
    for mock in found.values():
        mock.populate(people)
    return {name: found[name] for name in (CRM, ESP)}


class Desk:
    """``optsync(…)`` runs a command with this folder's configuration. Without a server the systems are out of reach."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], server: RunningServer | None) -> None:
        self.folder = folder
        self.path = folder / "config.yaml"
        self.database = folder / "optsync.db"
        self.server = server
        self._capsys = capsys
        self.document = self._document(server)
        self.write()

    def write(self, **changes: Any) -> None:
        """Saves the configuration, with these top-level keys replaced."""
        self.document.update(changes)
        self.path.write_text(yaml.safe_dump(self.document), encoding="utf-8")

    def optsync(self, *arguments: str, verbose: bool = False) -> Answer:
        self._capsys.readouterr()
        code = run([*(["-v"] if verbose else []), "-c", str(self.path), *arguments])
        printed = self._capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    def act(self, mock: str, action: str, **arguments: Any) -> Any:
        assert self.server is not None
        return self.server.act(mock, action, **arguments)

    def writes(self) -> int:
        """Writing requests that reached the systems so far."""
        assert self.server is not None
        return sum(int(self.server.log(mock)["writes"]) for mock in (CRM, ESP))

    def calls(self) -> int:
        assert self.server is not None
        return sum(int(self.server.log(mock)["calls"]) for mock in (CRM, ESP))

    def dump(self) -> list[str]:
        """Everything in the state database."""
        with closing(sqlite3.connect(self.database)) as connection:
            return list(connection.iterdump())

    def _document(self, server: RunningServer | None) -> dict[str, Any]:
        made = imitations([]) if server is None else server.mocks
        base = "http://127.0.0.1:9" if server is None else server.url
        crm, esp = made[CRM].config(f"{base}/{CRM}"), made[ESP].config(f"{base}/{ESP}")
        names = ("first_name", "last_name")
        sync: Mapping[str, Any] = {
            "scope": "acme/marketing",
            "crm": {"system": "crm", **crm.side},
            "esp": {"system": "mc", **esp.side},
            "fields": [{"crm": crm.fields[n], "esp": esp.fields[n]} for n in names],
        }
        return {
            "secret_keys": ["a secret of the tests"],
            "brands": BRANDS,
            "systems": {"crm": crm.system, "mc": esp.system},
            "syncs": {"newsletter": sync},
        }
