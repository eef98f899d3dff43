"""Updates of one record that travel as one. Each has its own outcome; the portal runs one update instead of three."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optsync_bitrix24.client import Command
from optsync_bitrix24.preparing import Job

# Nobody's activity stream is to fill up with what optsync writes; the record's history still shows it.
PARAMS = {"REGISTER_SONET_EVENT": "N"}


@dataclass(frozen=True, slots=True)
class Parcel:
    """Jobs about one record that are sent by one command."""

    jobs: Sequence[Job]

    @property
    def key(self) -> str:
        """Of the command, in a batch."""
        return f"u{self.jobs[0].place}"

    @property
    def is_joint(self) -> bool:
        return len(self.jobs) > 1

    @property
    def travels_alone(self) -> bool:
        return any(job.travels_alone for job in self.jobs)

    @property
    def is_permissive(self) -> bool:
        return any(job.is_permissive for job in self.jobs)

    @property
    def command(self) -> Command:
        write = self.jobs[0].write
        values: dict[str, Any] = {}
        for job in self.jobs:
            values |= job.values
        params = {"id": str(write.record), "fields": values, "params": PARAMS}
        return Command(method=f"crm.{write.collection}.update", params=params)

    def apart(self) -> list["Parcel"]:
        """One for each of the jobs: the portal refuses an update as a whole, whatever it is about."""
        return [Parcel([job]) for job in self.jobs]


def joined(jobs: Sequence[Job]) -> list[Parcel]:
    """The jobs in order, those of one record that may travel together at the place of the first of them."""
    groups: list[list[Job]] = []
    of_record: dict[str | None, list[Job]] = {}
    for job in jobs:
        group = of_record.get(job.write.record) if _may_travel_along(job) else None
        if group is None or any(name in other.values for other in group for name in job.values):
            groups.append(group := [])
            if _may_travel_along(job):
                of_record[job.write.record] = group
        group.append(job)
    return [Parcel(group) for group in groups]


def _may_travel_along(job: Job) -> bool:
    """What restricts never waits for something else, nor fails with it."""
    return not (job.write.restrictive or job.needs_rows or job.travels_alone)
