"""The guard: how much of one kind a plan may change before a person must look at it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from optsync.model.change import ChangeKind
from optsync.reconcile.plan import priority


class GuardKind(StrEnum):
    """What is limited together, as ``guard:`` in the configuration names it."""

    OPT_OUTS = "opt_outs"
    OPT_INS = "opt_ins"
    CREATES = "creates"
    ARCHIVES = "archives"
    UPDATES = "updates"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLimit:
    """Exceeded above ``max``, and then above ``percent`` of the known records or above ``cap``."""

    max: int
    percent: float
    cap: int

    def is_exceeded(self, count: int, known: int) -> bool:
        return count > self.max and (count * 100 > self.percent * known or count > self.cap)


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """A kind of change in one system that is more than its limit allows. ``known``: records of that side."""

    system: str
    kind: GuardKind
    count: int
    known: int
    limit: GuardLimit


_KINDS = {
    ChangeKind.OPT_OUT: GuardKind.OPT_OUTS,
    ChangeKind.OPT_IN: GuardKind.OPT_INS,
    ChangeKind.REQUEST: GuardKind.OPT_INS,
    ChangeKind.CREATE: GuardKind.CREATES,
    ChangeKind.ARCHIVE: GuardKind.ARCHIVES,
}


def guard_kind(kind: ChangeKind, rank: int) -> GuardKind:
    """What a change counts as; ``rank`` is its place in the queues, which tells a topic's direction."""
    if kind is ChangeKind.TOPIC:
        is_off = rank == priority(kind, is_restrictive=True)
        return GuardKind.OPT_OUTS if is_off else GuardKind.OPT_INS
    return _KINDS.get(kind, GuardKind.UPDATES)


def excesses(
    counts: Mapping[tuple[str, GuardKind], int],
    known: Mapping[str, int],
    limits: Mapping[GuardKind, GuardLimit],
    *,
    exempt: Iterable[GuardKind] = (),
) -> tuple[Excess, ...]:
    """What a plan exceeds, by system and kind; ``counts`` are its changes, ``known`` the records of each system.
    Empty: the plan may go."""
    spared = frozenset(exempt)
    return tuple(
        Excess(system=system, kind=kind, count=count, known=known.get(system, 0), limit=limits[kind])
        for (system, kind), count in sorted(counts.items())
        if kind not in spared and limits[kind].is_exceeded(count, known.get(system, 0))
    )


_FEW = 50
_SHARE = 20


def has_shrunk(*, known: int, missing: int) -> bool:
    """Whether a complete read is not believed: it shows none of several known records, or misses more than 50 and
    more than 20 % of them. A broken filter or a wrong account looks like this; people leave one by one."""
    return (known > 1 and missing == known) or (missing > _FEW and missing * 100 > _SHARE * known)
