"""Mailman's words and ours. Pure tables and functions.

Mailman core documentation, "REST API" and the enumeration ``DeliveryStatus``; observed on 3.3.10.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from optsync.connect.contract import FieldInfo
from optsync.model.change import Fact, Result
from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.record import Origin, Record, Status, Value

DISPLAY_NAME = "display_name"
FIELDS = (FieldInfo(name=DISPLAY_NAME, label="Name", type="text", is_clearable=False),)

ENABLED = "enabled"
STATUSES: Mapping[str, tuple[Status, Origin]] = {
    "by_user": (Status.OUT, Origin.PERSON),
    "by_moderator": (Status.OUT, Origin.ADMIN),
    "by_bounces": (Status.BOUNCED, Origin.UNKNOWN),
    "unknown": (Status.UNKNOWN, Origin.UNKNOWN),
    ENABLED: (Status.IN, Origin.UNKNOWN),
}
"""Delivery status -> what it shows, the most restrictive first."""

SUSPENDED = tuple(word for word in STATUSES if word != ENABLED)

REFUSALS: tuple[tuple[str, Result, Fact | None, str | None], ...] = (
    ("Membership is banned", Result.REFUSED, Fact.BANNED, None),
    ('Invalid Parameter "subscriber"', Result.INVALID, None, "email"),
    ("List posting address cannot subscribe", Result.REFUSED, Fact.NOT_ALLOWED, None),
    ("No such list", Result.FAILED, None, None),
)
"""Start of the description of a 400 to a subscription -> result, fact, field."""

SUBSCRIPTION, UNSUBSCRIPTION = "subscription", "unsubscription"
"""Kinds of waiting requests."""

ALREADY_MEMBER = "Member already subscribed"
ALREADY_PENDING = "Subscription request already pending"


def record_id(address: str) -> str:
    """The address in lower case, its domain in the ASCII form: Mailman compares without case and takes no other
    domains. A membership's own id would change when the person comes back."""
    if address.isascii():
        return address.strip().lower()
    try:
        return normalise(address)
    except InvalidAddress:
        return address.strip().lower()


def member(email: str, words: Iterable[str], display_name: object, asked: Iterable[str]) -> Record:
    """A person on the list. ``words`` are the delivery statuses of all their memberships there (one as an address,
    one as a user): the most restrictive is shown; a word that is in no table counts like ``unknown``."""
    word = min(words, key=_permissiveness)
    status, origin = STATUSES.get(word, (Status.UNKNOWN, Origin.UNKNOWN))
    return Record(
        id=record_id(email),
        addresses=(email,),
        status=status,
        origin=origin,
        reason=None if word == ENABLED else word,
        fields=fields(display_name, asked),
        word=word,
        is_word_known=word in STATUSES,
    )


def pending(request: Mapping[str, Any], asked: Iterable[str]) -> Record:
    """A subscription that waits: for the person's confirmation or a moderator's decision, as ``word`` says."""
    email = str(request["email"])
    return Record(
        id=record_id(email),
        addresses=(record_id(email),),
        status=Status.PENDING,
        status_at=moment(request.get("when")),
        fields=fields(request.get(DISPLAY_NAME), asked),
        word=str(request.get("token_owner", "")) or None,
    )


def is_confirmed(request: Mapping[str, Any]) -> bool:
    """Whether a waiting request waits for nobody but a moderator: what waits for the person may be anybody's doing."""
    return request.get("token_owner") == "moderator"


def leaving(shown: Record, request: Mapping[str, Any]) -> Record:
    """A member who asked to leave, and whom a moderator has yet to let go: they have said no."""
    return replace(
        shown,
        status=Status.OUT,
        origin=Origin.PERSON,
        status_at=moment(request.get("when")),
        reason="asked to leave; waits for a moderator",
        is_asked=True,
    )


def absent(address: str) -> Record:
    """Somebody who is no member (any more)."""
    return Record(id=record_id(address), addresses=(record_id(address),), status=Status.ABSENT)


def fields(display_name: object, asked: Iterable[str]) -> dict[str, Value]:
    """Exactly the fields asked for; there is only the name."""
    name = display_name if isinstance(display_name, str) and display_name else None
    return {field: name if field == DISPLAY_NAME else None for field in asked}


def moment(text: object) -> datetime | None:
    """A time of Mailman, which is UTC without saying so; "never" is its year 1."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    if time.year == 1:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def refusal(description: str) -> tuple[Result, Fact | None, str | None]:
    """What a 400 to a subscription means; an unknown one is a refusal, since asking again changes nothing."""
    for start, result, fact, field in REFUSALS:
        if description.startswith(start):
            return result, fact, field
    return Result.REFUSED, Fact.NOT_ALLOWED, None


def _permissiveness(word: str) -> int:
    order = list(STATUSES)
    return order.index(word if word in order else "unknown")
