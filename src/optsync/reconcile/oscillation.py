"""Values that two systems keep taking back from each other.

A copy to one side that is undone on that very side and comes back from there is a bounce: somebody, mostly an
automation, insists on the other form. A person who changes their mind on one side makes none, and neither does one
who takes a week.
"""

from datetime import datetime, timedelta

from optsync.model.link import Agreed, Move
from optsync.model.record import Side, Value
from optsync.reconcile.transforms import same

LIMIT = 2
"""The bounce that is not copied any more."""
WITHIN = timedelta(days=7)
"""Two copies further apart have nothing to do with each other."""


def moved(last: Move | None, agreed: Agreed | None, new: Value, target: Side, now: datetime) -> Move:
    """The copy that is about to be made of ``new``, given in the ESP's form: from what both had to ``new``.

    The same copy once more, because it failed or was held, is the same move."""
    old = agreed.esp if agreed else None
    move = Move(old=old, new=new, target=target, at=now)
    if last is None or now - last.at > WITHIN:
        return move
    if last.target is target and same(last.old, old) and same(last.new, new):
        return last
    is_bounce = last.target is not target and same(last.old, new) and same(last.new, old)
    return Move(old=old, new=new, target=target, at=now, bounces=last.bounces + 1) if is_bounce else move


def is_oscillating(move: Move) -> bool:
    """Whether the copy is not made and its rule frozen."""
    return move.bounces >= LIMIT
