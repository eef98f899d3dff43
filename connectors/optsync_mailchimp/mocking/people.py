"""The population, and what people and administrators do by other ways than the API."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from optsync.connect.mock import Person
from optsync.model.record import Origin, Status
from optsync_mailchimp.mocking.account import Account
from optsync_mailchimp.mocking.envelope import Json, show_time
from optsync_mailchimp.mocking.merge_fields import MergeField
from optsync_mailchimp.mocking.problems import Problem
from optsync_mailchimp.mocking.status import (
    BY_ADMIN,
    NONE_GIVEN,
    archive,
    check_move,
    move,
    note_subscription,
    opt_out,
    record,
    sign_up,
)
from optsync_mailchimp.mocking.store import Audience, Category, Interest, Member, member_hash

AUDIENCE = "4c1a9f02bb"
CATEGORY = "Topics"
TOPICS = {"news": "News", "offers": "Offers", "events": "Events"}
FIELDS = {"first_name": "FNAME", "last_name": "LNAME", "phone": "PHONE", "city": "CITY", "plan": "PLAN"}
WORDS: Mapping[Status, str] = {
    Status.IN: "subscribed",
    Status.OUT: "unsubscribed",
    Status.PENDING: "pending",
    Status.BOUNCED: "cleaned",
    Status.ARCHIVED: "archived",
    Status.UNKNOWN: "transactional",
}
_SHOWS = {word: status for status, word in WORDS.items()}
_ORIGINS = {Origin.PERSON: "self", Origin.ADMIN: "adm", Origin.COMPLAINT: "abuse", Origin.UNKNOWN: "adm"}
_VISITOR = "203.0.113.7"


def furnish(account: Account, audience_id: str, name: str) -> Audience:
    """A new audience with the fields and groups that the population uses."""
    audience = Audience(audience_id, name, account.number(), account.now())
    for number, (tag, label) in enumerate(
        (("FNAME", "First Name"), ("LNAME", "Last Name"), ("CITY", "City"), ("PLAN", "Plan"), ("PHONE", "Phone")), 1
    ):
        audience.merge_fields[number] = MergeField(
            merge_id=number, tag=tag, name=label, type="text", display_order=number + 1, options={"size": 25}
        )
    audience.merge_fields[4].type, audience.merge_fields[4].options = "dropdown", {"choices": ["Gold", "Silver"]}
    audience.merge_fields[5].type, audience.merge_fields[5].options = "phone", {"phone_format": "none"}
    category = Category(id=account.short_id(), title=CATEGORY, type="checkboxes", order=0)
    for order, label in enumerate(TOPICS.values(), 1):
        interest = Interest(id=account.short_id(), category_id=category.id, name=label, order=order)
        category.interests[interest.id] = interest
    audience.categories[category.id] = category
    account.audiences[audience_id] = audience
    return audience


def populate(account: Account, audience: Audience, people: Iterable[Person]) -> None:
    """One contact for each address (without case); the first person of an address wins."""
    now = account.now()
    interests = _interest_ids(audience)
    members: dict[str, Member] = {}
    for person in people:
        address = person.addresses[0].strip() if person.addresses else ""
        if not person.in_esp or not address:
            continue
        key = member_hash(address)
        if key not in members and audience.find(key) is None:
            members[key] = _member(account, person, address, now, interests)
            _remember(audience, members[key], person, now)
    audience.load(list(members.values()))


def _member(account: Account, person: Person, address: str, now: int, interests: Mapping[str, str]) -> Member:
    word = WORDS[person.status]
    values = {tag: getattr(person, name) for name, tag in FIELDS.items() if getattr(person, name)}
    changed = _seconds(person.created_at)
    return Member(
        contact_id=account.long_id(),
        web_id=account.number(),
        email=address,
        id=member_hash(address),
        status=word,
        last_changed=now if changed is None else changed,
        merge_fields=values,
        interests=frozenset(interests[name] for name, on in person.esp_topics.items() if on),
        timestamp_opt=_seconds(person.opted_in_at),
        ip_opt=_VISITOR if person.opted_in_at else "",
        in_compliance=word == "cleaned",
        pre_archive_status="subscribed" if word == "archived" else "",
        source="Import",
    )


def _remember(audience: Audience, member: Member, person: Person, now: int) -> None:
    if person.opted_in_at is not None:
        audience.feed[member.contact_id] = [
            {"activity_type": "signup", "created_at_timestamp": show_time(_seconds(person.opted_in_at))}
        ]
    if person.status is Status.OUT:
        origin = _ORIGINS[person.origin]
        reason = BY_ADMIN if origin == "adm" else NONE_GIVEN
        opt_out(audience, member, min(member.last_changed, now), origin=origin, reason=reason)
        if origin == "abuse":
            _report_abuse(audience, member, member.last_changed)


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _interest_ids(audience: Audience) -> dict[str, str]:
    """Of the topics whose groups still have the names that the population came with."""
    by_name = {item.name: key for key, item in audience.interests().items()}
    return {topic: by_name[label] for topic, label in TOPICS.items() if label in by_name}


def _report_abuse(audience: Audience, member: Member, now: int) -> None:
    audience.abuse_reports.append(
        {
            "id": len(audience.abuse_reports) + 1,
            "campaign_id": "",
            "list_id": audience.id,
            "email_id": member.id,
            "email_address": member.email,
            "merge_fields": dict(member.merge_fields),
            "vip": member.vip,
            "date": show_time(now),
        }
    )
    record(audience, member, "abuse", now, None)


class Hands:
    """The actions on one audience. ``email`` is matched without case; ``KeyError`` when there is no such contact."""

    def __init__(self, account: Account, audience: Audience) -> None:
        self._account = account
        self._audience = audience
        self.actions: dict[str, Callable[..., Any]] = {
            "view": self.view,
            "count": self.count,
            "unsubscribe": self.unsubscribe,
            "complain": self.complain,
            "bounce": self.bounce,
            "admin_unsubscribe": self.admin_unsubscribe,
            "resubscribe": self.resubscribe,
            "confirm": self.confirm,
            "flip_in": self.flip_in,
            "archive": self.archive,
            "delete": self.archive,
            "forget": self.forget,
            "change_address": self.change_address,
            "set_field": self.set_field,
            "set_topic": self.set_topic,
            "keep_topic": self.keep_topic,
            "throttle": self.throttle,
            "let_lapse": self.let_lapse,
            "unlist": self.unlist,
            "ask": self.ask,
            "asked": self.asked,
        }

    def _member(self, email: str) -> Member:
        member = self._audience.find(email.strip())
        if member is None:
            raise KeyError(f"no contact with the address {email}")
        return member

    def view(self, email: str) -> Json | None:
        """What the audience holds, hidden parts included, or None."""
        member = self._audience.find(email.strip())
        if member is None:
            return None
        interests = _interest_ids(self._audience)
        return {
            "address": member.email,
            "status": _SHOWS[member.status].value,
            "word": member.status,
            "origin": member.origin,
            "topics": {topic: key in member.interests for topic, key in interests.items()},
            "fields": {name: member.merge_fields.get(tag, "") for name, tag in FIELDS.items()},
            "tags": sorted(self._audience.tags[key].name for key in member.tags),
            "opted_in_at": show_time(member.timestamp_opt),
            "last_changed": show_time(member.last_changed),
        }

    def count(self) -> Json:
        """All contacts, archived ones included, and by status word."""
        sizes = {word: self._audience.index.size(word) for word in WORDS.values()}
        return {"records": len(self._audience.members), **sizes}

    def unsubscribe(self, email: str, campaign_id: str = "", reason: str = NONE_GIVEN) -> None:
        """The contact uses the link of a mail."""
        self._opt_out(email, "self", reason, campaign_id)

    def complain(self, email: str, campaign_id: str = "", *, cleans: bool = False) -> None:
        """The contact's mail provider reports a mail as spam; ``cleans``: the service takes the contact out of all
        mailings (the webhook ``cleaned`` with the reason ``abuse``) instead of unsubscribing it."""
        if cleans:
            member, now = self._member(email), self._account.now()
            with self._audience.edit(member, now):
                move(self._audience, member, "cleaned", now)
        else:
            member = self._opt_out(email, "abuse", NONE_GIVEN, campaign_id)
        _report_abuse(self._audience, member, self._account.now())

    def admin_unsubscribe(self, email: str) -> None:
        """In the web interface."""
        if self._member(email).status != "unsubscribed":
            self._opt_out(email, "adm", BY_ADMIN, "")

    def _opt_out(self, email: str, origin: str, reason: str, campaign_id: str) -> Member:
        member, now = self._member(email), self._account.now()
        campaign = {"campaign_id": campaign_id, "campaign_title": "Mailing"} if campaign_id else None
        with self._audience.edit(member, now):
            opt_out(self._audience, member, now, origin=origin, reason=reason, campaign=campaign)
        return member

    def bounce(self, email: str) -> None:
        """A hard bounce."""
        member, now = self._member(email), self._account.now()
        with self._audience.edit(member, now):
            move(self._audience, member, "cleaned", now)
        self._audience.feed.setdefault(member.contact_id, []).append(
            {"activity_type": "bounce", "created_at_timestamp": show_time(now), "bounce_type": "hard"}
        )
        record(self._audience, member, "bounce", now, None, type="hard")

    def resubscribe(self, email: str, kind: str = "signup", **detail: str) -> None:
        """The contact fills in a sign-up form again; works in every state, forgotten and unknown included. ``kind`` and
        ``detail`` as :func:`sign_up`: ``landing_page_signup`` has a ``landing_page_title``."""
        address, now = email.strip(), self._account.now()
        member = self._audience.find(address)
        if member is None:
            self._audience.forgotten.discard(member_hash(address))
            member = Member(
                contact_id=self._account.long_id(),
                web_id=self._account.number(),
                email=address,
                id=member_hash(address),
                status="subscribed",
                last_changed=now,
                source="Hosted Signup Form",
            )
            self._audience.add(member)
        with self._audience.edit(member, now):
            sign_up(self._audience, member, now, _VISITOR, kind=kind, detail=detail)

    def confirm(self, email: str) -> None:
        """The contact clicks the link of the confirmation mail; without effect unless pending."""
        member, now = self._member(email), self._account.now()
        if member.status == "pending":
            with self._audience.edit(member, now):
                sign_up(self._audience, member, now, _VISITOR)

    def flip_in(self, email: str, *, force: bool = False) -> bool:
        """Another integration writes ``subscribed`` over the API; False when the API refuses it.

        ``force`` writes what the API would refuse, without any evidence.
        """
        member, now = self._member(email), self._account.now()
        try:
            check_move(member, "subscribed", self._account.switches)
        except Problem:
            if not force:
                return False
        if self._account.switches.api_sign_up_in_feed and member.status != "subscribed":
            note_subscription(self._audience, member, now)
        with self._audience.edit(member, now):
            move(self._audience, member, "subscribed", now)
        return True

    def let_lapse(self, email: str) -> None:
        """Nobody clicks the link of the confirmation mail for so long that the service discards the contact."""
        member = self._member(email)
        if member.status == "pending":
            self._audience.discard(member)

    def unlist(self, email: str) -> None:
        """Another integration makes the contact a non-subscribed one."""
        member = self._member(email)
        with self._audience.edit(member, self._account.now()):
            move(self._audience, member, "transactional", self._account.now())

    def ask(self, email: str) -> None:
        """Another integration has the contact confirm a subscription."""
        member = self._member(email)
        with self._audience.edit(member, self._account.now()):
            move(self._audience, member, "pending", self._account.now())

    def asked(self, email: str) -> int:
        """How many confirmation mails the address was sent so far."""
        return [address.lower() for address in self._audience.confirmations].count(email.strip().lower())

    def archive(self, email: str) -> None:
        """In the web interface, where deleting a contact archives it, whatever its status."""
        member = self._member(email)
        if member.status != "archived":
            with self._audience.edit(member, self._account.now()):
                archive(member)

    def forget(self, email: str) -> None:
        """Deleted permanently, in the web interface."""
        self._audience.forget(self._member(email))

    def change_address(self, email: str, to: str) -> bool:
        """In the contact's profile; False when the new address is a contact already."""
        member, address = self._member(email), to.strip()
        taken = self._audience.find(address)
        if taken is not None and taken is not member:
            return False
        with self._audience.edit(member, self._account.now()):
            self._audience.rename(member, address)
        return True

    def set_field(self, email: str, field: str, value: Any) -> None:
        """In the contact's profile; ``field`` is a neutral name, an empty value clears."""
        member, tag = self._member(email), FIELDS[field]
        with self._audience.edit(member, self._account.now()):
            rest = {key: held for key, held in member.merge_fields.items() if key != tag}
            member.merge_fields = rest | ({tag: value} if value not in {None, ""} else {})

    def set_topic(self, email: str, topic: str, wanted: bool) -> None:
        """In the contact's preferences."""
        member, key = self._member(email), _interest_ids(self._audience)[topic]
        with self._audience.edit(member, self._account.now()):
            member.interests = member.interests | {key} if wanted else member.interests - {key}

    def keep_topic(self, topic: str, *, is_kept: bool = True) -> None:
        """From now on programs cannot take the group off anybody; the answer is a success all the same."""
        kept, key = self._audience.kept_interests, _interest_ids(self._audience)[topic]
        kept.add(key) if is_kept else kept.discard(key)

    def throttle(self, email: str, on: bool = True) -> None:
        """The address signed up to many lists of the service lately."""
        change = self._account.throttled.add if on else self._account.throttled.discard
        change(email.strip().lower())
