"""Leases: one process at a time works on a sync; whoever lost its lease cannot commit any more."""

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from optsync.clock import Clock
from optsync.errors import StateLocked
from optsync.state.rows import insert_new
from optsync.state.schema import lease

BEAT = timedelta(seconds=20)
FREE_AFTER = timedelta(seconds=60)


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
        """Takes a lease that is free: never taken, given back, without a beat for 60 s, or held by a process
        of this host that is gone.

        Raises:
            StateLocked: somebody else holds it; the message says who and since when.
        """
        now = self._clock.now()
        insert_new(self._connection, lease, [{"name": name, "fence": 0}])
        row = self._connection.execute(sa.select(lease).where(lease.c.name == name).with_for_update()).mappings().one()
        if row["holder"] is not None and not _is_free(row["host"], row["pid"], row["beat_at"], now):
            raise StateLocked(
                f"{name} is being worked on by {row['holder']} on {row['host']} (process {row['pid']}) since "
                f"{row['taken_at']:%Y-%m-%d %H:%M:%S} UTC; wait for it to end, or stop that process"
            )
        fence = int(row["fence"]) + 1
        self._connection.execute(
            sa.update(lease)
            .where(lease.c.name == name)
            .values(
                fence=fence,
                holder=holder,
                host=socket.gethostname(),
                pid=os.getpid(),
                taken_at=now,
                beat_at=now,
            )
        )
        return Lease(name, fence)

    def beat(self, held: Lease) -> None:
        """Says that the holder is alive, and proves that it still is the holder.

        Raises:
            StateLocked: the lease was taken over.
        """
        result = self._connection.execute(
            sa.update(lease)
            .where(lease.c.name == held.name, lease.c.fence == held.fence, lease.c.holder.is_not(None))
            .values(beat_at=self._clock.now())
        )
        if not result.rowcount:
            raise StateLocked(f"{held.name} was taken over by another process; this one stops without committing")

    def give_back(self, held: Lease) -> None:
        self._connection.execute(
            sa.update(lease).where(lease.c.name == held.name, lease.c.fence == held.fence).values(holder=None)
        )


def _is_free(host: str, pid: int, beat_at: datetime, now: datetime) -> bool:
    if now - beat_at >= FREE_AFTER:
        return True
    return host == socket.gethostname() and pid != os.getpid() and not _is_running(pid)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
