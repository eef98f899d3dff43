"""Planted bugs: mutations of the engine that the simulation must find. Each says within how many worlds of a theme.

``python -m tests.simulation.bugs NAME --from SEED --worlds N`` measures how many worlds it takes to find one."""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import structlog

import optsync_bitrix24.cursor
import optsync_bitrix24.outcomes
import optsync_bitrix24.writing
import optsync_mailchimp.payload
import optsync_mailchimp.reading
import optsync_mailchimp.writing
from optsync.model.change import ChangeState
from optsync.model.scope import Kind, Purpose, purpose_of
from optsync.model.statement import StatementKind, Strength
from optsync.reconcile import consent, detect
from optsync.reconcile.moments import parse_moment
from optsync.state import points
from optsync.sync import apply, carrying, departures, guard, holding, observe, permission, run, settle
from tests.simulation.chance import make, seeds
from tests.simulation.law import Law
from tests.simulation.script import Script, load
from tests.simulation.shrink import Ending, play
from tests.simulation.twists import POLICIES

Put = Callable[[Any, str, Any], None]
"""``setattr``, undone afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """``within``: worlds of the theme or twist, from the seed ``start`` on, one of which must break a law. ``kept``:
    where chance takes too long, the script of a world that does, in ``kept/``."""

    name: str
    says: str
    plant: Callable[[Put], None]
    theme: str
    within: int
    start: int = 0
    kept: str = ""


def _future(put: Put) -> None:
    def believe(self: Any, value: str) -> Any:
        at = parse_moment(value)
        return None if at is None else (at, None, {"consent_date": value})

    put(detect._Teller, "_typed_evidence", believe)


def _resend(put: Put) -> None:
    def again(self: Any, unit: Any, **_: Any) -> None:
        sent = [c.id for c in unit.changes.open_of(self._sync) if c.state is ChangeState.SENDING]
        unit.changes.set_state(sent, ChangeState.READY)

    put(holding.Holding, "recover", again)
    put(apply, "needs_another_look", lambda _: False)


def _no_reread(put: Put) -> None:
    put(apply, "needs_another_look", lambda _: False)


def _status_in_fields(put: Put) -> None:
    usual = optsync_mailchimp.payload.fields_body
    put(optsync_mailchimp.writing, "fields_body", lambda *args: {**usual(*args), "status": "subscribed"})


def _topic_leaks(put: Put) -> None:
    usual = detect._Teller._say

    def say(self: Any, kind: StatementKind, scope: str, **more: Any) -> None:
        usual(self, kind, purpose_of(scope) or scope if kind is StatementKind.OUT else scope, **more)

    put(detect._Teller, "_say", say)


def _no_tombstone(put: Put) -> None:
    usual = points.Points.forget

    def forget(self: Any, address: str, *, at: datetime) -> int:
        key = usual(self, address, at=at)
        self._connection.exec_driver_sql("UPDATE contact_point SET hash = NULL, hash_key = NULL")
        return key

    put(points.Points, "forget", forget)


def _any_grant(put: Put) -> None:
    put(consent, "_is_strong_enough", lambda _grant, _out: True)


def _plain_complaint(put: Put) -> None:
    put(consent, "_is_strong_enough", lambda grant, _out: grant.strength >= Strength.EVIDENCED)


def _cursor_first(put: Put) -> None:
    usual = observe.Observer.take

    def take(self: Any, *args: Any, then: Callable[[Any, Any], None] = lambda *_: None, **more: Any) -> Any:
        with self._engine.store.transaction() as unit:
            then(unit, None)
        return usual(self, *args, **more)

    put(observe.Observer, "take", take)


def _no_overlap(put: Put) -> None:
    put(optsync_bitrix24.cursor, "OVERLAP", timedelta(0))
    put(optsync_mailchimp.reading, "OVERLAP", timedelta(0))


def _no_margin(put: Put) -> None:
    put(consent, "is_later", lambda grant, out, _: grant.at > out.at)


def _last_wins(put: Put) -> None:
    put(consent, "beats", lambda grant, out, _: grant.scope == out.scope and grant.at >= out.at)


def _same_state(put: Put) -> None:
    put(detect._Teller, "_was_in_between", lambda _: False)
    put(detect._Teller, "_has_newer_event", lambda *_: False)


def _echo(put: Put) -> None:
    put(settle.Settler, "_receipt", lambda *_: None)


def _merge_loses(put: Put) -> None:
    put(carrying.Carrier, "_merged", lambda *_: ())


def _move_loses(put: Put) -> None:
    put(carrying, "restrictions", lambda *_args, **_more: ())


def _no_meaning(put: Put) -> None:
    put(guard.Guard, "_meaning", lambda _: "the same")


def _no_volume(put: Put) -> None:
    put(guard, "excesses", lambda *_args, **_more: [])


def _blocks_service(put: Put) -> None:
    usual = consent.may_mail

    def may_mail(wish: consent.Wish, mailbox: consent.Deliverability, purpose: Purpose) -> consent.Permission:
        if wish is consent.Wish.OUT and purpose.kind is Kind.TRANSACTIONAL:
            return consent.Permission(False, "opted out")
        return usual(wish, mailbox, purpose)

    put(permission, "may_mail", may_mail)
    path = permission.Permissions.standing

    def standing(self: Any, said: Any, scope: str) -> consent.Standing:
        return path(self, said, "acme/marketing" if scope == "acme/service" else scope)

    put(permission.Permissions, "standing", standing)


def _never_asks(put: Put) -> None:
    put(departures.Departures, "ask", lambda *_: None)
    put(departures.Departures, "left_open", lambda *_: set())


def _policy_for_nobody(put: Put) -> None:
    put(run, "is_decided_alike", lambda *_: True)


BUGS = (
    Bug(name="future", says="a grant counts at a time in the future", plant=_future, theme="tug", start=0, within=20),
    Bug(
        name="resend",
        says="what was sent before a crash is sent again",
        plant=_resend,
        theme="crash",
        start=235,
        within=10,
    ),
    Bug(
        name="no_reread",
        says="an opt-in is written without another look",
        plant=_no_reread,
        theme="crash",
        start=235,
        within=10,
    ),
    Bug(
        name="status_in_fields",
        says="a field update carries a status",
        plant=_status_in_fields,
        theme="all",
        start=0,
        within=12,
    ),
    Bug(
        name="topic_leaks",
        says="a topic's no closes its purpose",
        plant=_topic_leaks,
        theme="topics",
        start=0,
        within=6,
    ),
    Bug(name="no_tombstone", says="an erasure keeps no hash", plant=_no_tombstone, theme="moves", start=0, within=10),
    Bug(name="any_grant", says="a grant of any strength lifts", plant=_any_grant, theme="all", start=0, within=4),
    Bug(
        name="plain_complaint",
        says="a complaint is an out like any other",
        plant=_plain_complaint,
        theme="tug",
        start=270,
        within=15,
    ),
    Bug(name="no_overlap", says="readings do not overlap", plant=_no_overlap, theme="crash", start=0, within=18),
    Bug(
        name="no_margin",
        says="times of two clocks are compared to the second",
        plant=_no_margin,
        theme="tug",
        start=265,
        within=15,
    ),
    Bug(
        name="last_wins",
        says="whoever spoke last wins, however strong",
        plant=_last_wins,
        theme="tug",
        start=0,
        within=18,
    ),
    Bug(
        name="same_state",
        says="out as before, with a new proof or author, is no news",
        plant=_same_state,
        theme="tug",
        start=45,
        within=15,
    ),
    Bug(name="echo", says="our own write is taken for somebody's word", plant=_echo, theme="tug", start=0, within=12),
    Bug(
        name="move_loses",
        says="a new address inherits no restriction",
        plant=_move_loses,
        theme="moves",
        start=670,
        within=15,
    ),
    Bug(
        name="no_meaning",
        says="another mapping or list scope holds nothing",
        plant=_no_meaning,
        theme="crowds",
        start=0,
        within=8,
    ),
    Bug(name="no_volume", says="no volume is suspicious", plant=_no_volume, theme="crowds", start=0, within=10),
    Bug(
        name="blocks_service",
        says="an out blocks service mail",
        plant=_blocks_service,
        theme="all",
        start=0,
        within=3,
    ),
    Bug(
        name="policy_for_nobody",
        says="another policy is applied to nobody who is not read anew",
        plant=_policy_for_nobody,
        theme=POLICIES,
        start=0,
        within=20,
    ),
    Bug(
        name="cursor_first",
        says="the cursor is saved before the rows",
        plant=_cursor_first,
        theme="crash",
        within=1,
        kept="bug_cursor_first.json",
    ),
    Bug(
        name="merge_loses",
        says="a merge loses the loser's no",
        plant=_merge_loses,
        theme="moves",
        within=1,
        kept="bug_merge_loses.json",
    ),
    Bug(
        name="never_asks",
        says="nobody is asked about who is archived",
        plant=_never_asks,
        theme="all",
        within=1,
        kept="opt_out_hidden_by_our_archiving.json",
    ),
)


_LAWS = frozenset(law.value for law in Law)


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """The engine has the bug inside the block."""
    usual: list[tuple[Any, str, Any]] = []

    def put(owner: Any, name: str, value: Any) -> None:
        usual.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    bug.plant(put)
    try:
        yield
    finally:
        for owner, name, value in reversed(usual):
            setattr(owner, name, value)


def find(bug: Bug, *, start: int, worlds: int) -> tuple[int, int, Ending] | None:
    """How many worlds were played, the seed that shows it, and what went wrong. Only a world that passes without the
    bug shows it, and one that breaks a law with it: an error tells that the bug was planted badly."""
    for count, (seed, script) in enumerate(islice(_scripts(bug, start), worlds), 1):
        with planted(bug):
            ending = play(script)
        if ending.kind in _LAWS and play(script).kind is None:
            return count, seed, ending
    return None


def _scripts(bug: Bug, start: int) -> Iterator[tuple[int, Script]]:
    if bug.kept:
        script = load((Path(__file__).parent / "kept" / bug.kept).read_text(encoding="utf-8"))
        yield script.seed, script
        return
    for seed in seeds(bug.theme, start):
        yield seed, make(seed)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.bugs", description=__doc__)
    parser.add_argument("names", nargs="*", help="all, if none is named")
    parser.add_argument("--from", dest="start", type=int, help="seed; each bug's own, if none is given")
    parser.add_argument("--worlds", type=int, default=200)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for bug in BUGS:
        if options.names and bug.name not in options.names:
            continue
        start = bug.start if options.start is None else options.start
        found = find(bug, start=start, worlds=options.worlds)
        told = (
            f"not in {options.worlds}" if found is None else f"{found[0]} worlds, seed {found[1]}: {found[2].message}"
        )
        sys.stdout.write(f"{bug.name} ({bug.theme}): {told[:250]}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
