"""A state database with rows of every kind, written by the program: ``python -m tests.state.released.story FILE``.

Run it at a release whose schema is new, and keep the file as ``REVISION.json`` beside this file: the tests then
upgrade that data for ever.
"""

import json
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
import sqlalchemy as sa

from optsync.connect.mock import MockTransport
from optsync.model.record import Status
from optsync.state.schema import metadata
from tests.scenarios.world import CRM, ESP, START, World, person


class Killed(BaseException):
    """The process is gone."""


class KillingTransport(MockTransport):
    """Shows nothing of what members did, and ends the process after a request that writes to the platform has
    arrived."""

    def __init__(self, w: World) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self.esp = w.esp

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if "activity-feed" in str(request.url):
            self.esp.act("fail", kind="InternalServerError")
        answer = super().send(request, *args, **options)
        if self.requests[-1].base_url == ESP and self.esp.is_write(self.requests[-1]):
            raise Killed
        return answer


def told(folder: Path, *, state_url: str | None = None) -> World:
    """Two systems with a past: opt-outs and consents of both sides, topics, fields, an address that cannot be used, a
    person asked to confirm, an opt-out that being archived hides, and a process that was killed in the middle of a
    write."""
    both = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    people = [
        *(person(n, **both) for n in range(1, 9)),
        person(10, addresses=("ann at example",), in_esp=False),
        person(11, opt_out=True),
        person(12, status=Status.OUT),
        person(13, in_esp=False, opt_in=True, consent_at=START - timedelta(days=3), consent_text="yes, the monthly"),
        person(14, addresses=("ann14@example.com", "zoë@bücher.example"), last_name="Łuczak"),
    ]
    w = World(folder, people, state_url=state_url)
    w.sync()
    w.esp.act("unsubscribe", email="ann1@example.com")
    w.crm.act("opt_out", email="ann2@example.com")
    w.esp.act("set_topic", email="ann3@example.com", topic="news", wanted=False)
    w.crm.act("set_field", email="ann4@example.com", field="city", value="Łódź")
    w.esp.act("complain", email="ann5@example.com")
    w.esp.act("bounce", email="ann6@example.com")
    w.sync()
    w.esp.act("resubscribe", email="ann1@example.com")
    w.esp.act("flip_in", email="ann2@example.com")
    w.crm.act("opt_in", email="ann12@example.com", at=w.clock.now().isoformat())
    w.sync()
    w.sync()
    _since_the_second(w)
    w.crm.act("opt_out", email="ann7@example.com")
    w.crm.act("opt_out", email="ann8@example.com")
    w.esp.act("unsubscribe", email="ann1@example.com")
    w.esp.act("archive", email="ann1@example.com")
    w._transport = KillingTransport(w)
    w.engine = w.compose()
    try:
        w.sync()
    except Killed:
        return w
    raise AssertionError("nothing was written")


def _since_the_second(w: World) -> None:
    """What the first release did not know: a plan that is held, and a person who was forgotten."""
    if "erasure" not in metadata.tables:
        return
    from optsync.sync.forget import forget

    forget(w.engine, "ann14@example.com", actor="Nora")
    for number in (3, 4):
        w.crm.act("opt_out", email=f"ann{number}@example.com")
    w.document["guard"] = {"opt_outs": {"max": 1, "percent": 1, "cap": 10}}
    w.reconfigure(lambda _: None)
    assert w.sync().state == "held"
    del w.document["guard"]
    w.reconfigure(lambda _: None)


def rows(w: World) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table; bytes as hexadecimal digits."""
    found = {}
    with w.store._engine.connect() as connection:
        for table in metadata.sorted_tables:
            names = [c.name for c in table.columns]
            plain = connection.execute(sa.select(*(sa.type_coerce(c, _raw(c)).label(c.name) for c in table.columns)))
            found[table.name] = [{n: _shown(v) for n, v in zip(names, row, strict=True)} for row in plain]
    return found


def _raw(column: sa.Column[Any]) -> sa.types.TypeEngine[Any]:
    """What the database holds, before the program reads it as a time or a text."""
    kind = column.type
    return kind.impl_instance if isinstance(kind, sa.types.TypeDecorator) else kind


def _shown(value: Any) -> Any:
    return {"hex": value.hex()} if isinstance(value, bytes) else value


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        tables = rows(told(Path(name)))
    lines = (
        f'"{table}": [' + ",".join(f"\n {json.dumps(row, ensure_ascii=False)}" for row in found) + "]"
        for table, found in tables.items()
    )
    Path(sys.argv[1]).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
