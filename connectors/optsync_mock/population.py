"""A believable population: the names, addresses and contradictions that real address books hold.

The same seed and moment give the same people, whoever asks, so each mock can be filled from its own pass and
nothing has to be kept in memory. All addresses lie in domains reserved for examples and tests (RFC 2606).
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate

from optsync.connect.mock import Person
from optsync.model.record import Origin, Status
from optsync_mock.names import COUNTRIES, Country, Name

TOPICS = ("news", "offers", "events")

_WEIGHTS = tuple(accumulate(c.weight for c in COUNTRIES))
_DOMAINS = (
    "example.com", "example.org", "example.net", "mail.example.com", "post.example.net",
    "kanzlei.example", "atelier.example", "shop.test", "uni.example.org",
)  # fmt: skip
_IDN_DOMAINS = ("bücher.example", "müller-söhne.example", "café-zoé.example", "例え.example", "пошта.test")
_UNICODE_LOCALS = ("jürgen", "søren", "用户", "олена")
_STRAY = (" {}", "{} ", "  {}", "{}\u00a0", "\t{}")
_SOURCES = ("web form", "trade fair", "phone call", "shop checkout", "paper form")
_TEXTS = ("I would like to receive the newsletter.", "Ja, ich möchte den Newsletter erhalten.", "")
_PLANS = ("", "", "", "Gold", "Silver")
_YEARS = 6 * 365 * 86_400

# Share of the members at the ESP: status, who caused it, cumulated.
_STATUSES: tuple[tuple[float, Status, Origin], ...] = (
    (0.060, Status.OUT, Origin.PERSON),
    (0.072, Status.OUT, Origin.ADMIN),
    (0.075, Status.OUT, Origin.COMPLAINT),
    (0.095, Status.BOUNCED, Origin.UNKNOWN),
    (0.105, Status.PENDING, Origin.UNKNOWN),
    (0.115, Status.ARCHIVED, Origin.UNKNOWN),
    (0.125, Status.UNKNOWN, Origin.UNKNOWN),
    (1.000, Status.IN, Origin.UNKNOWN),
)


@dataclass(slots=True)
class _Household:
    """People in a row who use one address: a family, or the colleagues behind info@."""

    address: str
    last: Name
    left: int


def people(seed: int, count: int, now: datetime) -> Iterator[Person]:
    """``count`` people, numbered from 1, made one at a time.

    Args:
        seed: the same seed and ``now`` give the same people; a longer run begins with the shorter one.
        now: aware; nothing in anybody's history is later, the oldest is six years before.
    """
    rng = random.Random(f"people/{seed}")
    household: _Household | None = None
    for number in range(1, count + 1):
        country = rng.choices(COUNTRIES, cum_weights=_WEIGHTS)[0]
        if household is None and rng.random() < 0.012:
            household = _new_household(rng, country, number)
            yield _person(rng, number, country, now, household, is_follower=False)
        else:
            yield _person(rng, number, country, now, household, is_follower=household is not None)
        if household is not None:
            household.left -= 1
            household = household if household.left else None


def _new_household(rng: random.Random, country: Country, number: int) -> _Household:
    last = rng.choice(country.last)
    stem = rng.choice(("info", "office", f"family.{last.ascii}", f"familie-{last.ascii}"))
    return _Household(f"{stem}{number}@{rng.choice(_DOMAINS)}", last, rng.choice((2, 2, 3)))


def _person(
    rng: random.Random, number: int, country: Country, now: datetime, household: _Household | None, *, is_follower: bool
) -> Person:
    first = rng.choice(country.first)
    last = household.last if household else rng.choice(country.last)
    own, is_plain = _addresses(rng, number, first, last)
    addresses = (household.address, *own[1:]) if household else own
    # An audience holds an address once, and none that mail servers hardly accept.
    may_join = not is_follower and (is_plain or household is not None)
    whereabouts = rng.random()
    in_crm, in_esp = whereabouts >= 0.08 or not may_join, may_join and not 0.08 <= whereabouts < 0.20
    created = now - timedelta(seconds=rng.randrange(86_400, _YEARS))
    written_first, written_last = _written(rng, first, last)
    is_lead = in_crm and rng.random() < 0.05
    crm = _crm_side(rng, now, created, is_only_there=not in_esp) if in_crm else _CrmSide()
    esp = _esp_side(rng, now, created, crm) if in_esp else _EspSide()
    return Person(
        number=number,
        first_name=written_first,
        last_name=written_last,
        addresses=addresses,
        phone=f"{country.dial} {rng.randrange(100, 999)} {rng.randrange(100_000, 9_999_999)}"
        if rng.random() < 0.6
        else "",
        city=rng.choice(country.cities) if rng.random() < 0.8 else "",
        plan=rng.choice(_PLANS),
        is_client=in_crm and not is_lead and rng.random() < 0.85,
        in_crm=in_crm,
        in_esp=in_esp,
        crm_entity="lead" if is_lead else "contact",
        opt_out=crm.opt_out,
        opt_in=crm.opt_in,
        consent_at=crm.consent_at,
        consent_source=crm.source,
        consent_text=crm.text,
        crm_topics=crm.topics,
        status=esp.status,
        origin=esp.origin,
        opted_in_at=esp.opted_in_at,
        esp_topics=esp.topics,
        created_at=created,
    )


def _written(rng: random.Random, first: Name, last: Name) -> tuple[str, str]:
    """Names as typed: a few are missing, a few carry stray spaces or shout."""
    kind = rng.random()
    if kind < 0.01:
        return "", ""
    if kind < 0.04:
        return "", last.written
    if kind < 0.06:
        return first.written, ""
    if kind < 0.08:
        return f"{first.written} ", f" {last.written}"
    if kind < 0.09:
        return first.written.upper(), last.written.upper()
    return first.written, last.written


def _addresses(rng: random.Random, number: int, first: Name, last: Name) -> tuple[tuple[str, ...], bool]:
    """Addresses as typed and whether mail servers everywhere accept the primary one.

    The number ends every local part, so different people never meet by accident.
    """
    form = rng.random()
    if form < 0.002:
        return (f"{rng.choice(_UNICODE_LOCALS)}{number}@{rng.choice(_IDN_DOMAINS)}",), False
    if form < 0.4:
        local = f"{first.ascii}.{last.ascii}{number}"
    elif form < 0.7:
        local = f"{first.ascii[0]}{last.ascii}{number}"
    else:
        local = f"{last.ascii}_{number}" if form < 0.85 else f"{first.ascii}-{number}"
    domain = rng.choice(_IDN_DOMAINS) if rng.random() < 0.015 else rng.choice(_DOMAINS)
    addresses = [_typed(rng, f"{local}@{domain}")]
    if rng.random() < 0.08:
        addresses.append(_typed(rng, f"{first.ascii}+private{number}@{rng.choice(_DOMAINS)}"))
        if rng.random() < 0.25:
            addresses.append(f"work.{last.ascii}{number}@{rng.choice(_DOMAINS)}")
    return tuple(addresses), True


def _typed(rng: random.Random, address: str) -> str:
    kind = rng.random()
    if kind < 0.05:
        return address.title()
    if kind < 0.08:
        return address.upper()
    if kind < 0.095:
        return rng.choice(_STRAY).format(address)
    return address


@dataclass(frozen=True, slots=True)
class _CrmSide:
    opt_out: bool = False
    opt_in: bool = False
    consent_at: datetime | None = None
    source: str = ""
    text: str = ""
    topics: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _EspSide:
    status: Status = Status.ABSENT
    origin: Origin = Origin.UNKNOWN
    opted_in_at: datetime | None = None
    topics: Mapping[str, bool] = field(default_factory=dict)


def _crm_side(rng: random.Random, now: datetime, created: datetime, *, is_only_there: bool) -> _CrmSide:
    has_consent = rng.random() < (0.25 if is_only_there else 0.55)
    opt_out = rng.random() < 0.04
    return _CrmSide(
        opt_out=opt_out,
        opt_in=has_consent and not opt_out,
        consent_at=_between(rng, created, now) if has_consent else None,
        source=rng.choice(_SOURCES) if has_consent else "",
        text=rng.choice(_TEXTS) if has_consent else "",
        topics=_topics(rng) if rng.random() < 0.6 else {},
    )


def _esp_side(rng: random.Random, now: datetime, created: datetime, crm: _CrmSide) -> _EspSide:
    draw = rng.random()
    status, origin = next((s, o) for limit, s, o in _STATUSES if draw < limit)
    has_stamp = status not in (Status.PENDING, Status.UNKNOWN) and rng.random() < 0.7
    is_same = bool(crm.topics) and rng.random() < 0.95
    return _EspSide(
        status=status,
        origin=origin,
        opted_in_at=(crm.consent_at or _between(rng, created, now)) if has_stamp else None,
        topics=crm.topics if is_same else _topics(rng),
    )


def _topics(rng: random.Random) -> dict[str, bool]:
    return {topic: rng.random() < 0.6 for topic in TOPICS}


def _between(rng: random.Random, start: datetime, end: datetime) -> datetime:
    return start + timedelta(seconds=rng.randrange(max(1, int((end - start).total_seconds()))))
