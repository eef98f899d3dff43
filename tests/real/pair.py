"""A CRM over loopback HTTP and a real mailing list, kept in agreement by the whole engine under the real clock."""

import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from optsync.clock import SystemClock
from optsync.config.load import load
from optsync.connect.mock import Person
from optsync.connect.registry import mocks
from optsync.model.change import ChangeState
from optsync.state.issues import Issue
from optsync.sync.compose import compose
from optsync.sync.report import SyncReport
from optsync.sync.run import run_cycle
from optsync_mock.server import RunningServer
from tests.real.mailman_server import MailmanServer

CRM = "bitrix24"
SYNC = "news"


class Pair:
    """``crm`` is the mock's server, ``list_id`` a list of ``mailman``; use it in a ``with``.

    Everybody in ``people`` who is ``in_esp`` is a member before the first sync.
    """

    def __init__(
        self, mailman: MailmanServer, folder: Path, people: Iterable[Person], *, esp: Mapping[str, Any] | None = None
    ) -> None:
        self.mailman = mailman
        self.list_id = mailman.new_list()
        population = list(people)
        for person in population:
            if person.in_esp:
                mailman.subscribe(self.list_id, person.addresses[0])
        clock = SystemClock()
        mock = mocks()[CRM](clock=clock, rng=random.Random(1))
        mock.populate(population)
        self.crm = RunningServer(mocks={CRM: mock}, clock=clock)
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(self._document(esp or {})))
        self.engine = compose(load(path, {}), clock=clock, rng=random.Random(2))

    def __enter__(self) -> Self:
        self.crm.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()
        self.crm.__exit__(None, None, None)

    def _document(self, esp: Mapping[str, Any]) -> dict[str, Any]:
        entries = self.crm.config(CRM)
        side = {key: value for key, value in entries.side.items() if key != "topics"}
        return {
            "state": {"url": "sqlite:///optsync.db"},
            "brands": {"acme": {"purposes": {"marketing": {"kind": "commercial", "basis": "consent"}}}},
            "systems": {"crm": entries.system, "mailman": self.mailman.entry()},
            "syncs": {
                SYNC: {
                    "scope": "acme/marketing",
                    "crm": {"system": "crm", **side},
                    "esp": {"system": "mailman", "audience": self.list_id, **esp},
                }
            },
        }

    def sync(self) -> SyncReport:
        """One cycle in which every system could be reached and every change was taken."""
        report = run_cycle(self.engine).syncs[SYNC]
        assert report.failures == []
        assert {c.state for c in report.changes} <= {ChangeState.APPLIED, ChangeState.SAME}
        return report

    def changes(self) -> set[tuple[str, str, str, str]]:
        """What one cycle brought: (system, who, kind, rule)."""
        return {(c.system, str(c.email).partition("@")[0], c.kind, c.rule) for c in self.sync().changes}

    def settle(self) -> None:
        """Nothing is left to do: a cycle sends the CRM no writing request and leaves the list as it is."""
        self.crm.clear_log(CRM)
        roster = self.roster()
        assert self.changes() == set()
        assert self.crm.log(CRM)["writes"] == 0
        assert self.roster() == roster

    def roster(self) -> dict[str, str]:
        """Who is on the list: local part -> delivery status."""
        members = self.mailman.members(self.list_id)
        return {email.partition("@")[0]: status for email, status in members.items()}

    def flags(self, name: str) -> tuple[bool, bool]:
        """(opted out, opted in) as the CRM shows it."""
        view = self.crm.act(CRM, "view", email=address(name))
        return view["opt_out"], view["opt_in"]

    def issues(self) -> list[Issue]:
        with self.engine.store.reading() as unit:
            return unit.issues.list()


def address(name: str) -> str:
    return f"{name}@example.com"


def member(name: str, **details: Any) -> Person:
    """Somebody known to both sides, subscribed, of whom nobody knows a consent."""
    return Person(
        **{"number": 1, "first_name": name.title(), "last_name": "Lee", "addresses": (address(name),), **details}
    )
