"""How each planted bug gets into the engine."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import optsync_bitrix24.cursor
import optsync_mailchimp.payload
import optsync_mailchimp.reading
import optsync_mailchimp.writing
from optsync.model.change import ChangeState
from optsync.model.scope import Kind, Purpose, purpose_of
from optsync.model.statement import StatementKind, Strength
from optsync.reconcile import consent, detect, fields, pairing
from optsync.reconcile.moments import parse_moment
from optsync.state import points
from optsync.sync import apply, carrying, departures, echoes, guard, holding, ingest, observe, permission, run, settle
from optsync_bitrix24 import listing

Put = Callable[[Any, str, Any], None]
"""``setattr``, undone afterwards."""


def future(put: Put) -> None:
    def believe(self: Any, value: str) -> Any:
        at = parse_moment(value)
        return None if at is None else (at, None, {"consent_date": value})

    put(detect._Teller, "_typed_evidence", believe)


def resend(put: Put) -> None:
    def again(self: Any, unit: Any, **_: Any) -> None:
        sent = [c.id for c in unit.changes.open_of(self._sync) if c.state is ChangeState.SENDING]
        unit.changes.set_state(sent, ChangeState.READY)

    put(holding.Holding, "recover", again)
    put(apply, "needs_another_look", lambda _: False)


def no_reread(put: Put) -> None:
    put(apply, "needs_another_look", lambda _: False)


def status_in_fields(put: Put) -> None:
    usual = optsync_mailchimp.payload.fields_body
    put(optsync_mailchimp.writing, "fields_body", lambda *args: {**usual(*args), "status": "subscribed"})


def topic_leaks(put: Put) -> None:
    usual = detect._Teller._say

    def say(self: Any, kind: StatementKind, scope: str, **more: Any) -> None:
        usual(self, kind, purpose_of(scope) or scope if kind is StatementKind.OUT else scope, **more)

    put(detect._Teller, "_say", say)


def no_tombstone(put: Put) -> None:
    usual = points.Points.forget

    def forget(self: Any, address: str, *, at: datetime) -> int:
        key = usual(self, address, at=at)
        self._connection.exec_driver_sql("UPDATE contact_point SET hash = NULL, hash_key = NULL")
        return key

    put(points.Points, "forget", forget)


def any_grant(put: Put) -> None:
    put(consent, "_is_strong_enough", lambda _grant, _out: True)


def plain_complaint(put: Put) -> None:
    put(consent, "_is_strong_enough", lambda grant, _out: grant.strength >= Strength.EVIDENCED)


def cursor_first(put: Put) -> None:
    usual = observe.Observer.take

    def take(self: Any, *args: Any, then: Callable[[Any, Any], None] = lambda *_: None, **more: Any) -> Any:
        with self._engine.store.transaction() as unit:
            then(unit, None)
        return usual(self, *args, **more)

    put(observe.Observer, "take", take)


def no_overlap(put: Put) -> None:
    put(optsync_bitrix24.cursor, "OVERLAP", timedelta(0))
    put(optsync_mailchimp.reading, "OVERLAP", timedelta(0))


def no_margin(put: Put) -> None:
    put(consent, "is_later", lambda grant, out, _: grant.at > out.at)


def last_wins(put: Put) -> None:
    put(consent, "beats", lambda grant, out, _: grant.scope == out.scope and grant.at >= out.at)


def same_state(put: Put) -> None:
    put(detect._Teller, "_was_in_between", lambda _: False)
    put(detect._Teller, "_has_newer_event", lambda *_: False)


def echo(put: Put) -> None:
    put(settle.Settler, "_receipt", lambda *_: None)


def merge_loses(put: Put) -> None:
    put(carrying.Carrier, "_merged", lambda *_: ())


def move_loses(put: Put) -> None:
    put(carrying, "restrictions", lambda *_args, **_more: ())


def no_meaning(put: Put) -> None:
    put(guard.Guard, "_meaning", lambda _: "the same")


def no_volume(put: Put) -> None:
    put(guard, "excesses", lambda *_args, **_more: [])


def blocks_service(put: Put) -> None:
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


def never_asks(put: Put) -> None:
    put(departures.Departures, "ask", lambda *_: None)
    put(departures.Departures, "left_open", lambda *_: set())


def policy_for_nobody(put: Put) -> None:
    put(run, "is_decided_alike", lambda *_: True)


def vanished_field(put: Put) -> None:
    put(listing.Listing, "check_spec", lambda *_: None)
    put(listing.Listing, "check_rows", lambda *_: None)


def vanished_group(put: Put) -> None:
    put(ingest, "with_untold", lambda record, *_, **_known: record)


def own_echo(put: Put) -> None:
    put(echoes.Echoes, "without", lambda _, said: list(said))


def unheard_sign_up(put: Put) -> None:
    put(
        observe.Observer,
        "_confirm",
        lambda _, __, needed, ___: dict.fromkeys((n.uid for n in needed.nominations), None),
    )


def no_agreement(put: Put) -> None:
    usual = fields.merge
    put(pairing, "merge", lambda rule, crm, esp, _: usual(rule, crm, esp, None))
