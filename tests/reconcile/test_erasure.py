"""What may be kept of a record that holds a forgotten person's address."""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from optsync.model.record import Origin, Record, Status, Value
from optsync.model.statement import Source, StatementKind
from optsync.reconcile.carry import CARRIED
from optsync.reconcile.erasure import (
    as_before,
    gives_away,
    guessable,
    is_owner,
    kept,
    may_be_kept,
    mentions,
    spellings,
    usable,
    without_private_part,
)
from tests.reconcile.places import CRM, ESP, NOW, before, grant, out, say

ANN, BOB = "ann@example.com", "bob@example.com"
RECORD = Record(
    id="7",
    addresses=(ANN, BOB, "no address"),
    status=Status.OUT,
    origin=Origin.PERSON,
    reason=f"asked by {ANN}",
    topics={"T_OFFERS": False},
    fields={"OUT": True, "IN": False, "BOUNCED": True, "CONSENT": "2026-01-01", "NAME": "Ann", "NOTE": f"is {ANN}"},
    word="unsubscribed",
    is_word_known=False,
    is_asked=True,
    created_at=NOW,
    modified_at=NOW,
    status_at=NOW,
    complained_at=NOW,
    opted_in_at=NOW,
    lists=frozenset({"letter"}),
    rank=3,
)


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ((ANN, BOB), (ANN, BOB)),
        ((BOB, "Ann@Example.com", ANN), (BOB, ANN)),
        (("nonsense", ANN), (ANN,)),
        ((), ()),
    ],
)
def test_usable_addresses_are_normalised_and_each_named_once(
    addresses: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert usable(addresses) == expected


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [((ANN, BOB), True), (("Ann@Example.com",), True), ((BOB, ANN), False), (("nonsense", ANN), True), ((), False)],
)
def test_the_primary_address_says_whose_record_it_is(addresses: tuple[str, ...], expected: bool) -> None:
    record = replace(RECORD, addresses=addresses)

    assert is_owner(record, {ANN}) is expected
    assert is_owner(record, {"eve@example.com", ANN}) is expected
    assert not is_owner(record, ())


def test_of_their_own_record_only_id_and_wishes_are_kept_and_the_addresses_of_others() -> None:
    assert kept(RECORD, {ANN}, [CRM, ESP], NOW) == Record(
        id="7",
        addresses=(BOB,),
        status=Status.OUT,
        origin=Origin.PERSON,
        complained_at=NOW,
        topics={"T_OFFERS": False},
        fields={"OUT": True, "IN": False, "BOUNCED": True},
        word="unsubscribed",
        is_word_known=False,
        is_asked=True,
    )


@pytest.mark.parametrize(
    ("date", "is_kept"),
    [
        ("2026-06-01T12:00:01Z", True),
        ("2026-06-01T12:00:00Z", False),
        ("2026-06-02", True),
        ("soon", False),
        (7, False),
    ],
)
def test_of_their_own_record_a_consent_date_from_after_the_erasure_is_kept(date: Value, is_kept: bool) -> None:
    record = replace(RECORD, fields={**RECORD.fields, "CONSENT": date})

    assert kept(record, {ANN}, [CRM, ESP], NOW).fields.get("CONSENT") == (date if is_kept else None)


@pytest.mark.parametrize(("after", "is_kept"), [(-1, False), (0, False), (1, True)])
def test_of_their_own_record_a_stamp_of_an_opt_in_from_after_the_erasure_is_kept(after: int, is_kept: bool) -> None:
    stamp = NOW + timedelta(seconds=after)

    assert kept(replace(RECORD, opted_in_at=stamp), {ANN}, [ESP], NOW).opted_in_at == (stamp if is_kept else None)


@pytest.mark.parametrize(
    ("was", "shows", "expected"),
    [
        # not kept, so that it is what it was, up to the moment of the erasure
        ({}, "2026-01-01", "2026-01-01"),
        ({"CONSENT": None}, "2026-01-01", "2026-01-01"),
        ({}, "2026-06-01T12:00:00Z", "2026-06-01T12:00:00Z"),
        ({}, "soon", "soon"),
        # from after it, or known: whatever moved is news
        ({}, "2026-06-01T12:00:01Z", None),
        ({"CONSENT": "2026-06-02"}, "2026-06-03", "2026-06-02"),
        ({"CONSENT": "2026-06-02"}, "2026-01-01", "2026-06-02"),
        ({"CONSENT": "2026-06-02"}, None, "2026-06-02"),
        ({}, None, None),
        ({}, 7, None),
    ],
)
def test_a_consent_date_that_was_not_kept_has_not_moved(
    was: dict[str, Value], shows: Value, expected: str | None
) -> None:
    old = Record(id="7", status=Status.OUT, fields={"OUT": True, "IN": None, **was}, modified_at=before(60))
    now = replace(old, status=Status.IN, fields={"OUT": False, "IN": True, "CONSENT": shows}, modified_at=NOW)

    compared = as_before(old, now, [ESP, CRM], NOW)
    assert compared.fields.get("CONSENT") == expected
    assert replace(compared, fields={**compared.fields, "CONSENT": None}) == replace(
        old, fields={"OUT": True, "IN": None, "CONSENT": None}
    )


@pytest.mark.parametrize(
    ("was", "shows", "expected"),
    [
        (None, before(60), before(60)),
        (None, NOW, NOW),
        (None, before(-1), None),
        (None, None, None),
        (before(-1), before(-2), before(-1)),
        (before(-1), before(60), before(-1)),
        (before(-1), None, before(-1)),
    ],
)
def test_a_stamp_of_an_opt_in_that_was_not_kept_has_not_moved(
    was: datetime | None, shows: datetime | None, expected: datetime | None
) -> None:
    old = Record(id="7", status=Status.OUT, opted_in_at=was)

    assert as_before(old, replace(RECORD, opted_in_at=shows), [ESP], NOW) == replace(old, opted_in_at=expected)


def test_of_somebody_elses_record_only_the_address_goes_wherever_it_is_spelled() -> None:
    record = replace(RECORD, addresses=(BOB, "Ann@Example.com", f"copy to {ANN}"))

    assert kept(record, {ANN}, [CRM, ESP], None) == replace(
        record, addresses=(BOB,), reason=None, fields={**RECORD.fields, "NOTE": None}
    )
    plain = replace(record, reason="asked", fields={"NAME": "Bob"})
    assert kept(plain, {ANN}, [CRM], None) == replace(plain, addresses=(BOB,))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"write to {ANN.upper()}!", True),
        (("x", f"<{ANN}>"), True),
        ("write to bob", False),
        (("x", "y"), False),
        (7, False),
        (None, False),
    ],
)
def test_an_address_is_found_in_texts(value: Value, expected: bool) -> None:
    assert mentions(value, {ANN}) is expected
    assert not mentions(value, ())


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (ANN, True),
        (f" {ANN.upper()} ", True),
        (f"member:{ANN}", True),
        (hashlib.md5(ANN.encode(), usedforsecurity=False).hexdigest(), True),
        (hashlib.sha256(ANN.encode()).hexdigest().upper(), True),
        (hashlib.sha256(BOB.encode()).hexdigest(), False),
        ("4711", False),
    ],
)
def test_an_id_gives_an_address_away_if_it_is_one_or_its_plain_digest(record: str, expected: bool) -> None:
    assert gives_away(record, ANN) is expected


@pytest.mark.parametrize(
    "spelled",
    [
        "Zoë@Bücher.Example",
        "Zoe\u0308@BÜCHER.example",
        "zoë@xn--bcher-kva.example",
        hashlib.md5("zoë@bücher.example".encode(), usedforsecurity=False).hexdigest(),
    ],
)
def test_an_address_is_found_as_people_read_it_as_well(spelled: str) -> None:
    address = "zoë@xn--bcher-kva.example"
    assert mentions(f"write to {spelled}!", {address})
    assert gives_away(spelled, address)


def test_an_address_is_found_in_links() -> None:
    assert mentions("https://shop.example/leave?who=Ann%40Example.com&list=3", {ANN})
    assert mentions("https://shop.example/leave?who=zoë%40bücher.example", {"zoë@xn--bcher-kva.example"})


def test_the_domain_of_an_address_begins_after_its_last_at() -> None:
    assert mentions('write to "an@na"@Bücher.example!', {'"an@na"@xn--bcher-kva.example'})


def test_an_address_whose_domain_reads_no_other_way_has_no_further_names() -> None:
    address = "ann@ab--cd.example"

    assert usable([address]) == (address,)
    assert spellings(address) == {address, "ann%40ab--cd.example", *guessable(address)}


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha512"])
@pytest.mark.parametrize("spelling", [ANN, ANN.upper()])
def test_every_usual_digest_of_every_usual_spelling_is_guessable(name: str, spelling: str) -> None:
    assert hashlib.new(name, spelling.encode(), usedforsecurity=False).hexdigest() in guessable(ANN)


def test_of_a_statement_only_what_counts_is_kept() -> None:
    said = replace(out(reason="no", system="crm", record="7", source=Source.CRM), evidence={"ip": "192.0.2.1"})

    assert without_private_part(said) == replace(said, reason=None, evidence={})
    carried = replace(said, evidence={"ip": "192.0.2.1", CARRIED: "the other one"})
    assert without_private_part(carried) == replace(said, reason=None, evidence={CARRIED: "the other one"})


def test_grants_of_forgotten_people_are_void() -> None:
    assert not may_be_kept(grant())
    assert all(may_be_kept(say(kind)) for kind in StatementKind if kind is not StatementKind.GRANT)
