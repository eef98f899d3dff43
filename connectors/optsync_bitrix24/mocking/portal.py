"""One portal: its records, clock, switches and the person in whose name a call is made."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from optsync.clock import Clock
from optsync_bitrix24.mocking.filters import Filters
from optsync_bitrix24.mocking.moments import Moments
from optsync_bitrix24.mocking.php import Params
from optsync_bitrix24.mocking.store import Row, Store, Table
from optsync_bitrix24.mocking.switches import Switches
from optsync_bitrix24.mocking.values import Values


@dataclass(slots=True, kw_only=True)
class Call:
    """A method call after authentication."""

    params: Params
    user: int
    is_webhook: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """An entry of a record's timeline."""

    id: int
    entity_type: str
    entity_id: int
    text: str
    author: int
    created: int


@dataclass(slots=True)
class Marketing:
    """The mailing tool's own opt-outs: kept by address, out of reach of REST."""

    unsubscribed: set[str] = field(default_factory=set)


class Portal:
    """What the methods work on."""

    def __init__(self, clock: Clock, rng: random.Random, switches: Switches) -> None:
        self.clock = clock
        self.switches = switches
        self.secret = switches.secret or "".join(rng.choice("0123456789abcdefghijklmnopqrstuvwxyz") for _ in range(16))
        self.store = Store()
        self.moments = Moments(clock, switches.offset_minutes)
        self.values = Values(self.moments, switches.booleans)
        self.filters = Filters(self.moments, switches.email_filter)
        self.comments: list[Comment] = []
        self.marketing = Marketing()

    def table(self, entity: str) -> Table:
        return self.store.tables[entity]

    def sees(self, entity: str, row_id: int) -> bool:
        """Whether the owner of the credential may read the row."""
        return self.switches.can_see is None or self.switches.can_see(entity, row_id)

    def viewer(self, entity: str) -> Callable[[int], bool] | None:
        """The test of :meth:`sees` for one entity; None where everything may be read."""
        can_see = self.switches.can_see
        return None if can_see is None else lambda row_id: can_see(entity, row_id)

    def stamped(self, values: dict[str, Any], user: int) -> dict[str, Any]:
        """The values of a new row, with its creation stamps."""
        now = self.moments.now()
        stamps = {"DATE_CREATE": now, "DATE_MODIFY": now, "LAST_ACTIVITY_TIME": now}
        return {**stamps, "CREATED_BY_ID": user, "MODIFY_BY_ID": user, "LAST_ACTIVITY_BY": user, **values}

    def touch(self, table: Table, row: Row, user: int) -> None:
        """The row was modified now."""
        table.touch(row, self.moments.now(), user)
