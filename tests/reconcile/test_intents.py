"""What each rule's change carries, whole: what is written, what it was, why, and what is remembered afterwards."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from optsync.model.change import ChangeKind, GrantEvidence, WriteKind
from optsync.model.link import Agreed
from optsync.model.record import Status
from optsync.model.statement import Source
from optsync.reconcile.plan import decide
from optsync.reconcile.rules import Rule
from optsync.reconcile.view import Intent, Neighbourhood
from tests.reconcile.places import before
from tests.reconcile.test_plan import NAME, SINGLE

PROOF = GrantEvidence(at=before(60), ip=None, source=Source.LINK, text=None)


def to_member(kind: ChangeKind, write: WriteKind, rule: Rule, after: Mapping[str, Any], **parts: Any) -> Intent:
    """A change of the member 2 at the point 1; ``parts`` replace what is usual."""
    usual: dict[str, Any] = {"record": 2, "point": 1, "address": "p1@example.com"}
    return Intent(kind=kind, write=write, rule=rule, after=after, system="mc", collection="list", **{**usual, **parts})


def to_contact(kind: ChangeKind, write: WriteKind, rule: Rule, after: Mapping[str, Any], **parts: Any) -> Intent:
    """The same of the contact 1; what is written are fields."""
    usual: dict[str, Any] = {"record": 1, "point": 1, "address": "p1@example.com", "fields": after}
    return Intent(
        kind=kind, write=write, rule=rule, after=after, system="crm", collection="contact", **{**usual, **parts}
    )


def to_name_there(rule: Rule, was: str | None, value: str) -> Intent:
    return to_member(
        ChangeKind.FIELD,
        WriteKind.FIELDS,
        rule,
        {"FNAME": value},
        before={"FNAME": was},
        fields={"FNAME": value},
        agreed={NAME.key: Agreed(value, value)},
        counterpart=1,
    )


def to_name_here(rule: Rule, was: str, value: str) -> Intent:
    return to_contact(
        ChangeKind.FIELD,
        WriteKind.FIELDS,
        rule,
        {"NAME": value},
        before={"NAME": was},
        agreed={NAME.key: Agreed(value, value)},
        counterpart=2,
    )


def to_list(rule: Rule, status: Status, **parts: Any) -> Intent:
    return to_member(
        ChangeKind.ARCHIVE, WriteKind.ARCHIVE, rule, {"status": status}, before={"status": Status.IN}, **parts
    )


def to_tag(rule: Rule, tag: str, **parts: Any) -> Intent:
    return to_member(ChangeKind.ARCHIVE, WriteKind.TAG, rule, {"tag": None}, tags={tag: False}, **parts)


WHOLE: dict[Rule, list[Intent]] = {
    Rule.OUT_TRAVELS: [
        to_member(
            ChangeKind.OPT_OUT,
            WriteKind.STATUS,
            Rule.OUT_TRAVELS,
            {"status": Status.OUT},
            before={"status": Status.IN},
            causes=("out",),
            is_restrictive=True,
            status=Status.OUT,
        )
    ],
    Rule.RESTRICTIVE_WINS: [
        to_contact(
            ChangeKind.OPT_OUT,
            WriteKind.STATUS,
            Rule.RESTRICTIVE_WINS,
            {"OUT": True, "IN": False},
            before={"OUT": None, "IN": True},
            causes=("out",),
            is_restrictive=True,
        )
    ],
    Rule.GRANT_TRAVELS: [
        to_member(
            ChangeKind.OPT_IN,
            WriteKind.STATUS,
            Rule.GRANT_TRAVELS,
            {"status": Status.IN},
            before={"status": Status.UNKNOWN},
            causes=("grant",),
            status=Status.IN,
            evidence=PROOF,
        )
    ],
    Rule.GRANT_LIFTS_OUT: [
        to_member(
            ChangeKind.OPT_IN,
            WriteKind.STATUS,
            Rule.GRANT_LIFTS_OUT,
            {"status": Status.IN},
            before={"status": Status.OUT},
            causes=("grant",),
            status=Status.IN,
            evidence=PROOF,
        )
    ],
    Rule.TOPIC_OUT_TRAVELS: [
        to_member(
            ChangeKind.TOPIC,
            WriteKind.TOPICS,
            Rule.TOPIC_OUT_TRAVELS,
            {"Offers": False},
            before={"Offers": True},
            causes=("out",),
            is_restrictive=True,
            topics={"Offers": False},
        )
    ],
    Rule.TOPICS_DISAGREE: [
        to_member(
            ChangeKind.TOPIC,
            WriteKind.TOPICS,
            Rule.TOPICS_DISAGREE,
            {"Offers": False},
            before={"Offers": True},
            causes=("out",),
            is_restrictive=True,
            topics={"Offers": False},
        )
    ],
    Rule.TOPIC_TRAVELS: [
        to_member(
            ChangeKind.TOPIC,
            WriteKind.TOPICS,
            Rule.TOPIC_TRAVELS,
            {"Offers": True},
            before={"Offers": None},
            causes=("grant",),
            topics={"Offers": True},
        )
    ],
    Rule.ADDRESS_CHANGED: [
        to_member(
            ChangeKind.RENAME,
            WriteKind.RENAME,
            Rule.ADDRESS_CHANGED,
            {"address": "p5@example.com"},
            before={"address": "p1@example.com"},
            point=5,
            address="p5@example.com",
            counterpart=1,
        )
    ],
    Rule.ADDRESS_LEFT: [to_list(Rule.ADDRESS_LEFT, Status.ARCHIVED, left=True)],
    Rule.BOUNCE_MARKED: [
        to_contact(
            ChangeKind.BOUNCE,
            WriteKind.FIELDS,
            Rule.BOUNCE_MARKED,
            {"BOUNCED": True},
            before={"BOUNCED": None},
            causes=("hard_bounce",),
            is_restrictive=True,
        )
    ],
    Rule.BOUNCE_CLEARED: [
        to_contact(
            ChangeKind.BOUNCE,
            WriteKind.FIELDS,
            Rule.BOUNCE_CLEARED,
            {"BOUNCED": False},
            before={"BOUNCED": True},
            causes=("hard_bounce",),
        )
    ],
    Rule.PROOF_COPIED: [
        to_contact(
            ChangeKind.GRANT,
            WriteKind.FIELDS,
            Rule.PROOF_COPIED,
            {"CONSENT": "2026-06-01T11:00:00Z", "CONSENT_SOURCE": "mc"},
            before={"CONSENT": None, "CONSENT_SOURCE": None},
            causes=("grant",),
        )
    ],
    Rule.REASON_NOTED: [
        to_contact(
            ChangeKind.OPT_OUT,
            WriteKind.STATUS,
            Rule.OUT_TRAVELS,
            {"OUT": True},
            before={"OUT": None},
            causes=("out",),
            is_restrictive=True,
        ),
        to_contact(
            ChangeKind.FIELD,
            WriteKind.FIELDS,
            Rule.REASON_NOTED,
            {"REASON": "link · mc · too many · 2026-06-01"},
            before={"REASON": None},
            causes=("out",),
        ),
    ],
    Rule.ONE_SIDE_CHANGED: [to_name_there(Rule.ONE_SIDE_CHANGED, "a", "b")],
    Rule.FIRST_FILL: [to_name_there(Rule.FIRST_FILL, None, "a")],
    Rule.CONFLICT_CRM: [to_name_there(Rule.CONFLICT_CRM, "c", "b")],
    Rule.CONFLICT_ESP: [to_name_here(Rule.CONFLICT_ESP, "b", "c")],
    Rule.CONFLICT_NON_EMPTY: [to_name_here(Rule.CONFLICT_NON_EMPTY, "", "c")],
    Rule.ENTERED_LIST: [
        to_member(
            ChangeKind.CREATE,
            WriteKind.CREATE,
            Rule.ENTERED_LIST,
            {"address": "p1@example.com", "status": Status.IN, "Offers": True, "FNAME": "a"},
            record=None,
            causes=("grant",),
            status=Status.IN,
            topics={"Offers": True},
            fields={"FNAME": "a"},
            evidence=PROOF,
            agreed={NAME.key: Agreed("a", "a")},
            counterpart=1,
        )
    ],
    Rule.ASKED_ONCE: [
        to_member(
            ChangeKind.REQUEST,
            WriteKind.CREATE,
            Rule.ASKED_ONCE,
            {"address": "p1@example.com", "status": Status.PENDING},
            record=None,
            status=Status.PENDING,
            counterpart=1,
        )
    ],
    Rule.ASKED_FOR_GRANT: [
        to_member(
            ChangeKind.REQUEST,
            WriteKind.STATUS,
            Rule.ASKED_FOR_GRANT,
            {"status": Status.PENDING},
            before={"status": Status.OUT},
            causes=("grant",),
            status=Status.PENDING,
        )
    ],
    Rule.LEFT_LIST: [to_list(Rule.LEFT_LIST, Status.ARCHIVED, left=True)],
    Rule.RETURNED_TO_LIST: [to_tag(Rule.RETURNED_TO_LIST, "left list", left=False)],
    Rule.INACTIVE: [to_list(Rule.INACTIVE, Status.ARCHIVED, inactive=True)],
    Rule.SIGN_OF_LIFE: [to_tag(Rule.SIGN_OF_LIFE, "inactive", inactive=False)],
    Rule.PUT_BACK: [
        to_contact(
            ChangeKind.OPT_IN,
            WriteKind.STATUS,
            Rule.PUT_BACK,
            {"OUT": False, "IN": True},
            before={"OUT": True, "IN": None},
            causes=("retract",),
        )
    ],
    Rule.ESP_ONLY: [
        to_contact(
            ChangeKind.CREATE,
            WriteKind.CREATE,
            Rule.ESP_ONLY,
            {"address": "p1@example.com", "TYPE": "CLIENT", "NAME": "a"},
            record=None,
            fields={"TYPE": "CLIENT", "NAME": "a"},
            agreed={NAME.key: Agreed("a", "a")},
            counterpart=2,
        )
    ],
}


def with_named_causes(intent: Intent, found: Neighbourhood) -> Intent:
    """The kinds of the statements in place of their identities."""
    kinds = {s.uid: s.kind.value for point in found.points.values() for s in point.statements}
    return replace(intent, causes=tuple(kinds[cause] for cause in intent.causes))


@pytest.mark.parametrize("rule", SINGLE)
def test_each_change_is_whole(rule: Rule) -> None:
    found, how, _ = SINGLE[rule]

    assert [with_named_causes(i, found) for i in decide([1], found, how).intents] == WHOLE[rule]
