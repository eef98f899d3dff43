"""Which syncs may run side by side: those that share no system."""

from collections.abc import Collection, Mapping

MOST = 32
"""Lanes are threads, and nearly all of them wait for a vendor."""


def lanes(systems: Mapping[str, Collection[str]], *, most: int = MOST) -> dict[str, int]:
    """The lane of each sync, from 0. ``systems``: those that each sync reads and writes.

    Syncs that share a system, be it through others, share a lane and so run one after the other: they read the same
    collections, and a vendor's limit is one for all. With more groups than ``most``, groups share lanes.
    """
    groups: list[tuple[set[str], list[str]]] = []
    for sync, used in systems.items():
        touched = [group for group in groups if group[0] & set(used)]
        groups = [group for group in groups if group not in touched]
        groups.append((set(used).union(*(g[0] for g in touched)), [s for g in touched for s in g[1]] + [sync]))
    return {sync: number % most for number, (_, syncs) in enumerate(groups) for sync in syncs}
