from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice

import pytest

from optsync.connect.mock import Person
from optsync.model.contact_point import normalise
from optsync.model.record import Origin, Status
from optsync_mock.population import TOPICS, people

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RESERVED = ("example.com", "example.org", "example.net", ".example", ".test")


@cache
def crowd() -> tuple[Person, ...]:
    return tuple(people(7, 20_000, NOW))


def test_the_same_seed_gives_the_same_people_and_another_gives_others() -> None:
    assert list(people(3, 500, NOW)) == list(people(3, 500, NOW)) != list(people(4, 500, NOW))


def test_a_longer_run_begins_with_the_shorter_one_and_nobody_is_made_before_asked_for() -> None:
    assert list(islice(people(3, 10**9, NOW), 100)) == list(people(3, 100, NOW))


def test_every_address_is_one_that_can_be_mailed_in_a_reserved_domain() -> None:
    for person in crowd():
        assert person.addresses
        for address in person.addresses:
            domain = address.strip().rpartition("@")[2].lower()
            assert domain.endswith(RESERVED), address
            assert "@" in normalise(address)


def test_only_shared_addresses_occur_twice_and_an_audience_never_sees_one_twice() -> None:
    members = [normalise(p.addresses[0]) for p in crowd() if p.in_esp]
    assert len(members) == len(set(members))
    holders = Counter(normalise(a) for p in crowd() for a in p.addresses)
    assert all("info" in a or "office" in a or "famil" in a for a, count in holders.items() if count > 1)
    assert max(holders.values()) == 3


@pytest.mark.parametrize(
    ("low", "high", "has"),
    [
        (0.07, 0.09, lambda p: len(p.addresses) > 1),
        (0.11, 0.15, lambda p: not p.in_esp),
        (0.07, 0.09, lambda p: not p.in_crm),
        (0.03, 0.05, lambda p: p.opt_out),
        (0.04, 0.06, lambda p: p.crm_entity == "lead"),
        (0.04, 0.07, lambda p: p.status is Status.OUT and p.origin is Origin.PERSON),
        (0.005, 0.02, lambda p: p.status is Status.OUT and p.origin is Origin.ADMIN),
        (0.001, 0.005, lambda p: p.origin is Origin.COMPLAINT),
        (0.01, 0.03, lambda p: p.status is Status.BOUNCED),
        (0.005, 0.015, lambda p: p.status is Status.PENDING),
        (0.005, 0.015, lambda p: p.status is Status.ARCHIVED),
        (0.005, 0.015, lambda p: p.status is Status.UNKNOWN),
        (0.40, 0.55, lambda p: p.consent_at is not None),
        (0.01, 0.03, lambda p: p.addresses[0] != p.addresses[0].strip()),
        (0.05, 0.10, lambda p: p.addresses[0] != p.addresses[0].lower()),
        (0.01, 0.03, lambda p: not p.addresses[0].isascii()),
        (0.03, 0.08, lambda p: not p.first_name),
        (0.30, 0.60, lambda p: not p.first_name.isascii()),
    ],
)
def test_oddities_have_their_share(low: float, high: float, has: Callable[[Person], bool]) -> None:
    assert low < sum(map(has, crowd())) / len(crowd()) < high


def test_a_quarter_of_the_clients_whom_only_the_crm_knows_have_a_consent() -> None:
    clients = [p for p in crowd() if p.is_client and not p.in_esp]
    assert 0.2 < sum(p.consent_at is not None for p in clients) / len(clients) < 0.3


def test_nobody_is_nowhere_and_nobody_has_a_history_where_they_are_not() -> None:
    for person in crowd():
        assert person.in_crm or person.in_esp
        if not person.in_crm:
            assert not any((person.opt_out, person.opt_in, person.consent_at, person.crm_topics, person.is_client))
        if not person.in_esp:
            assert person.status is Status.ABSENT
            assert person.opted_in_at is None


def test_histories_lie_in_the_past_and_begin_with_the_record() -> None:
    for person in crowd():
        assert person.created_at is not None
        assert NOW - timedelta(days=6 * 365 + 1) < person.created_at < NOW
        for moment in (person.consent_at, person.opted_in_at):
            assert moment is None or person.created_at <= moment < NOW


def test_topics_are_known_ones_and_the_sides_sometimes_disagree() -> None:
    both = [p for p in crowd() if p.crm_topics and p.esp_topics]
    assert {t for p in crowd() for t in (*p.crm_topics, *p.esp_topics)} == set(TOPICS)
    assert 0 < sum(p.crm_topics != p.esp_topics for p in both) / len(both) < 0.1
