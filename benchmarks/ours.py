"""Our connectors and the usual way, measured as other people's tools are: without an engine, in a process of its own.

``python -m benchmarks.ours`` reads an order as JSON from its standard input: ``what``, ``side``, ``config``,
``clock``, ``most`` (records to write). It writes what it took.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import md5
from itertools import islice
from pathlib import Path
from typing import Any

import requests
import structlog
from requests.auth import HTTPBasicAuth

from benchmarks.clock import SharedClock
from benchmarks.memory import peak_mib
from optsync.collecting import collect_rarely
from optsync.config.load import load
from optsync.connect.contract import CanReadRows, Connector
from optsync.connect.ratelimit import Pace
from optsync.model.change import Result, Write, WriteKind
from optsync.model.record import Record, Side, Status
from optsync.sync.binding import SourceBinding
from optsync.sync.compose import compose
from optsync.sync.engine import Engine

_FLAG = "UF_CRM_OPT_OUT"
_OUT = {_FLAG: 1, "UF_CRM_OPT_IN": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One side: its connector, its collection and what is asked of it."""

    engine: Engine
    connector: Connector
    binding: SourceBinding
    clock: SharedClock

    def records(self) -> Iterator[Record]:
        for page in self.connector.read(self.binding.spec, None):
            yield from page.records

    def rows(self) -> int:
        """How many rows there are, each with its digest: what the engine does with all that has not changed."""
        assert isinstance(self.connector, CanReadRows)
        return sum(page.count for page in self.connector.read_rows(self.binding.spec, None))

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.engine.config.systems[self.binding.system].model_dump())


def place(side: Side, config: str, clock: str) -> Place:
    shared = SharedClock(Path(clock))
    engine = compose(load(Path(config), {}), clock=shared)
    binding = next(one for one in engine.bound.sources.values() if one.side is side)
    return Place(engine=engine, connector=engine.connectors[binding.system], binding=binding, clock=shared)


def writable(at: Place, most: int) -> list[Record]:
    """The first ``most`` people who are not out and have an address."""
    is_esp = at.binding.side is Side.ESP
    able = (r for r in at.records() if r.addresses and (r.status is Status.IN if is_esp else not r.fields[_FLAG]))
    return list(islice(able, most))


def write_ours(at: Place, records: list[Record]) -> int:
    """As the engine has them written: as many at once as the connector asks for."""
    writes = [_write(at.binding, record) for record in records]
    size, done = type(at.connector).capabilities.write_batch, 0
    for start in range(0, len(writes), size):
        outcomes = at.connector.write(writes[start : start + size], at.binding.spec)
        done += sum(one.result in (Result.APPLIED, Result.SAME) for one in outcomes)
    return done


def _write(binding: SourceBinding, record: Record) -> Write:
    is_esp = binding.side is Side.ESP
    return Write(
        key=record.id,
        kind=WriteKind.STATUS,
        collection=binding.collection,
        record=record.id,
        address=record.addresses[0] if is_esp else None,
        status=Status.OUT if is_esp else None,
        fields={} if is_esp else {_FLAG: True, "UF_CRM_OPT_IN": False},
        restrictive=True,
    )


def write_one_by_one(at: Place, records: list[Record]) -> int:
    """One call each with ``requests``, as most integrations do; a kept connection, and the vendor's pace."""
    session = requests.Session()
    session.trust_env = False
    is_esp, done = at.binding.side is Side.ESP, 0
    pace = Pace(at.clock, per_second=10.0 if is_esp else 2.0, burst=10 if is_esp else 40)
    send = _patch(session, at) if is_esp else _update(session, at)
    for record in records:
        for _ in range(100):
            pace.wait()
            answer = send(record)
            if answer.status_code not in (429, 503):
                break
            at.clock.sleep(10.0)
        done += answer.ok
    return done


def _update(session: requests.Session, at: Place) -> Callable[[Record], requests.Response]:
    url = at.settings["webhook_url"].get_secret_value().rstrip("/")
    return lambda record: session.post(
        f"{url}/crm.contact.update.json", json={"id": record.id, "fields": _OUT}, timeout=60
    )


def _patch(session: requests.Session, at: Place) -> Callable[[Record], requests.Response]:
    url = f"{at.settings['base_url'].rstrip('/')}/lists/{at.binding.collection}/members"
    auth = HTTPBasicAuth("any", at.settings["api_key"].get_secret_value())

    def send(record: Record) -> requests.Response:
        digest = md5(record.addresses[0].strip().lower().encode(), usedforsecurity=False).hexdigest()
        return session.patch(f"{url}/{digest}", json={"status": "unsubscribed"}, auth=auth, timeout=60)

    return send


def main() -> None:
    collect_rarely()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    order = json.loads(sys.stdin.read())
    at = place(Side(order["side"]), order["config"], order["clock"])
    work: Callable[[], int] = lambda: sum(1 for _ in at.records())  # noqa: E731 - replaced below
    if order["what"] == "read rows":
        work = at.rows
    elif order["what"] != "read":
        records = writable(at, order["most"])
        way = write_ours if order["what"] == "write" else write_one_by_one
        work = lambda: way(at, records)  # noqa: E731
    moment, cpu, wall = at.clock.monotonic(), time.process_time(), time.perf_counter()
    calls = at.connector.calls
    done = work()
    took = {
        "records": done,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "vendor_s": at.clock.monotonic() - moment,
        "calls": at.connector.calls - calls if order["what"] != "one by one" else len(records),
        "peak_mib": peak_mib(),
    }
    at.engine.close()
    sys.stdout.write(json.dumps(took) + "\n")


if __name__ == "__main__":
    main()
