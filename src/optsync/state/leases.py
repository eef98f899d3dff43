"""Leases: one process at a time works on a sync; whoever lost its lease cannot commit any more."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from optsync.clock import Clock
from optsync.errors import CommandRefused, StateLocked
from optsync.state.prepared import Prepared, any_of
from optsync.state.revisions import VERSION_TABLE, newest
from optsync.state.rows import insert_new
from optsync.state.schema import lease

BEAT = timedelta(seconds=20)
FREE_AFTER = timedelta(seconds=60)
_FRESH = timedelta(seconds=10)
"""A beat this young is not renewed: the proof that goes with a commit reads, where it may."""
_AHEAD = timedelta(hours=1)
"""No two hosts' clocks are so far apart: a beat from so far ahead was noted by a clock that was set back since."""

# In the order of the names, so that two who lock some of the same leases wait for each other and never in a circle.
_LOCKED = Prepared(sa.select(lease).where(lease.c.name.in_(any_of("names"))).order_by(lease.c.name).with_for_update())
_ALL = Prepared(sa.select(lease).order_by(lease.c.name))
_HELD = Prepared(
    sa.select(lease.c.name, lease.c.fence, lease.c.beat_at)
    .where(lease.c.name.in_(any_of("names")), lease.c.holder.is_not(None))
    .order_by(lease.c.name)
    .with_for_update()
)
_TAKE = Prepared(
    sa.update(lease)
    .where(lease.c.name.in_(any_of("names")))
    .values(
        fence=lease.c.fence + 1,
        holder=bindparam("by"),
        host=bindparam("at_host"),
        pid=bindparam("process"),
        taken_at=bindparam("now"),
        beat_at=bindparam("now"),
    )
)
_BEAT = Prepared(sa.update(lease).where(lease.c.name.in_(any_of("names"))).values(beat_at=bindparam("now")))
_GIVE_BACK = Prepared(
    sa.update(lease).where(lease.c.name == bindparam("of"), lease.c.fence == bindparam("taken")).values(holder=None)
)
_SCHEMA = Prepared(sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE)))


@dataclass(frozen=True, slots=True)
class Lease:
    """``fence`` grows with every taking; a commit names it."""

    name: str
    fence: int


class Leases:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def take(self, name: str, *, holder: str) -> Lease:
        """As :meth:`take_all`, for one."""
        return self.take_all([name], holder=holder)[0]

    def take_all(self, names: Sequence[str], *, holder: str) -> tuple[Lease, ...]:
        """Takes leases that are free: never taken, given back, without a beat for 60 s, or held by a process
        of this host that is gone. All or none.

        Raises:
            StateLocked: somebody else holds one; the message says which, who and since when.
            CommandRefused: another optsync has brought the database to another schema since this process began.
        """
        self.require_schema()
        now = self._clock.now()
        found = self._locked(names)
        if unknown := sorted(set(names) - found.keys()):
            insert_new(self._connection, lease, [{"name": name, "fence": 0} for name in unknown])
            found = self._locked(names)
        for name in names:
            row = found[name]
            if _is_held(row, now):
                raise StateLocked(f"{_told(row)}; wait for it to end, or stop that process")
        by = {"by": holder, "at_host": socket.gethostname(), "process": os.getpid()}
        _TAKE.run(self._connection, names=names, now=now, **by)
        return tuple(Lease(name, int(found[name]["fence"]) + 1) for name in names)

    def beat(self, *held: Lease) -> None:
        """Says that the holder is alive, and proves that it still is the holder: nobody takes the leases over before
        this transaction ends.

        Raises:
            StateLocked: one of them was taken over.
        """
        self._prove(held)
        self._renew(held)

    def prove(self, *held: Lease) -> None:
        """As :meth:`beat`, but writes only where the last beat was a while ago.

        Raises:
            StateLocked: one of them was taken over.
        """
        if self._clock.now() - self._prove(held) >= _FRESH:
            self._renew(held)

    def give_back(self, *held: Lease) -> None:
        _GIVE_BACK.run_each(self._connection, [{"of": each.name, "taken": each.fence} for each in held])

    def live(self) -> list[str]:
        """Who works on what at this moment: a clause for each lease that is not free."""
        now = self._clock.now()
        return [_told(row) for row in _ALL.dicts(self._connection) if _is_held(row, now)]

    def require_schema(self) -> None:
        """Nothing may be written into a schema that this process does not know.

        Raises:
            CommandRefused: another optsync has brought the database to it since this process began.
        """
        found = _SCHEMA.scalar(self._connection)
        if found != newest():
            raise CommandRefused(
                f"another optsync has brought the state database to schema {found}, and this process works with "
                f"{newest()}: start it again, with the optsync that did so"
            )

    def _prove(self, held: Sequence[Lease]) -> datetime:
        """Returns the oldest of the last beats."""
        # SQLite needs no lock of a row: there is one writer at a time, and each begins as one.
        found = {name: (fence, at) for name, fence, at in _HELD.all(self._connection, names=[h.name for h in held])}
        beats: list[datetime] = []
        for each in held:
            fence, at = found.get(each.name, (None, None))
            if fence != each.fence:
                raise StateLocked(f"{each.name} was taken over by another process; this one stops without committing")
            beats.append(at)
        return min(beats)

    def _renew(self, held: Sequence[Lease]) -> None:
        _BEAT.run(self._connection, names=[each.name for each in held], now=self._clock.now())

    def _locked(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in _LOCKED.dicts(self._connection, names=names)}


def _told(row: Mapping[str, Any]) -> str:
    return (
        f"{row['name']} is being worked on by {row['holder']} on {row['host']} (process {row['pid']}) since "
        f"{row['taken_at']:%Y-%m-%d %H:%M:%S} UTC"
    )


def _is_held(row: Mapping[str, Any], now: datetime) -> bool:
    return row["holder"] is not None and not _is_free(row["host"], row["pid"], row["beat_at"], now)


def _is_free(host: str, pid: int, beat_at: datetime, now: datetime) -> bool:
    if now - beat_at >= FREE_AFTER:
        return True
    if host == socket.gethostname() and pid != os.getpid():
        return not _is_running(pid)
    return beat_at - now >= _AHEAD


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
