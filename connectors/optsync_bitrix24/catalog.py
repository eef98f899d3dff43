"""The portal's fields, remembered for a while."""

from typing import Any

from optsync.clock import Clock
from optsync_bitrix24.client import Command
from optsync_bitrix24.mapping import Fields, descriptors

_MAX_AGE_S = 3600.0
_MIN_AGE_S = 60.0


class Catalog:
    """Descriptors by entity. They are refreshed by a command that rides in a batch that is sent anyway."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, Fields] = {}
        self._learnt_at: dict[str, float] = {}
        self._doubted: set[str] = set()

    def command(self, entity: str) -> Command | None:
        """What to ask along with the next batch; None while the known ones will do."""
        # An option that stays unknown must not cost a command in every batch.
        limit = _MIN_AGE_S if entity in self._doubted else _MAX_AGE_S
        return None if self._age(entity) < limit else fields_command(entity)

    def is_new(self, entity: str) -> bool:
        """Whether they were learnt so lately that asking again is too soon."""
        return self._age(entity) < _MIN_AGE_S

    def _age(self, entity: str) -> float:
        """Seconds; those that are not known are older than anything."""
        return self._clock.monotonic() - self._learnt_at.get(entity, float("-inf"))

    def learn(self, entity: str, answer: Any) -> None:
        """Takes in an answer to :meth:`command`; an empty one teaches nothing."""
        if found := descriptors(answer):
            self._known[entity] = found
            self._learnt_at[entity] = self._clock.monotonic()
            self._doubted.discard(entity)

    def doubt(self, entity: str) -> None:
        """Something was seen that the known descriptors lack."""
        self._doubted.add(entity)

    def drop(self, entity: str) -> None:
        """Something that the known descriptors have was not seen: nothing is believed before they are learnt anew,
        however young they are."""
        self._known.pop(entity, None)
        self._learnt_at.pop(entity, None)

    def get(self, entity: str) -> Fields | None:
        return self._known.get(entity)


def fields_command(entity: str) -> Command:
    return Command(method=f"crm.{entity}.fields", params={})
