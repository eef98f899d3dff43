"""Laws and cases of the consent algebra."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.scope import Basis, Kind, Purpose
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, Strength, state
from optsync.reconcile.consent import (
    Deliverability,
    Permission,
    Standing,
    Wish,
    deliverability,
    effective,
    may_mail,
    standing,
    standing_of,
    unbeaten,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
TOLERANCE = timedelta(minutes=5)
SCOPES = ["*", "acme", "acme/news", "acme/news/offers", "acme/news/events", "acme/alerts", "beta", "beta/news"]
PERMISSIVENESS = {Wish.OUT: 0, Wish.PENDING: 1, Wish.UNKNOWN: 1, Wish.IN: 2}


def minute(n: float) -> datetime:
    return START + timedelta(minutes=n)


def out(scope: str, at: float, *, clock: str | None = "mc", kind: StatementKind = StatementKind.OUT) -> Statement:
    return state(scope=scope, kind=kind, at=minute(at), clock=clock, seen_at=minute(9999), source=Source.ESP)


def grant(scope: str, at: float, *, strength: Strength = Strength.EVIDENCED, clock: str | None = "mc") -> Statement:
    return state(
        scope=scope,
        kind=StatementKind.GRANT,
        at=minute(at),
        clock=clock,
        seen_at=minute(9999),
        source=Source.FORM,
        strength=strength,
    )


clocks = st.sampled_from([None, "crm", "mc", OUR_CLOCK])
times = st.integers(0, 40)
outs = st.builds(
    lambda scope, at, clock, kind: out(scope, at, clock=clock, kind=kind),
    st.sampled_from(SCOPES),
    times,
    clocks,
    st.sampled_from([StatementKind.OUT, StatementKind.COMPLAINT]),
)
grants = st.builds(
    lambda scope, at, clock, strength: grant(scope, at, strength=strength, clock=clock),
    st.sampled_from(SCOPES),
    times,
    clocks,
    st.sampled_from(Strength),
)
requests = st.builds(
    lambda scope, at: state(
        scope=scope,
        kind=StatementKind.REQUEST,
        at=minute(at),
        clock=OUR_CLOCK,
        seen_at=minute(9999),
        source=Source.API,
    ),
    st.sampled_from(SCOPES),
    times,
)
statements = st.lists(st.one_of(outs, grants, requests), max_size=8)
scopes = st.sampled_from(SCOPES)
flags = st.booleans()


def wish(said: Sequence[Statement], scope: str, *, own: bool = False) -> Wish:
    return standing(said, scope, tolerance=TOLERANCE, needs_own_grant=own).wish


@given(statements, scopes, flags, st.randoms(use_true_random=False))
def test_order_and_repetition_never_matter(said: list[Statement], scope: str, own: bool, rng: object) -> None:
    shuffled = said + said[: len(said) // 2]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis types its Random loosely

    assert standing(said, scope, tolerance=TOLERANCE, needs_own_grant=own) == standing(
        shuffled, scope, tolerance=TOLERANCE, needs_own_grant=own
    )


@given(statements, scopes)
def test_what_counts_of_the_statements_means_the_same_as_all_of_them(said: list[Statement], scope: str) -> None:
    everything = [*said, *map(retract, said[::2])]

    assert standing_of(effective(everything), scope, tolerance=TOLERANCE) == standing(
        everything, scope, tolerance=TOLERANCE
    )


@given(statements, outs, scopes, flags)
def test_an_out_never_makes_a_standing_more_permissive(
    said: list[Statement], added: Statement, scope: str, own: bool
) -> None:
    assert PERMISSIVENESS[wish([*said, added], scope, own=own)] <= PERMISSIVENESS[wish(said, scope, own=own)]


@given(statements, grants, scopes, flags)
def test_a_grant_never_makes_a_standing_more_restrictive(
    said: list[Statement], added: Statement, scope: str, own: bool
) -> None:
    assert PERMISSIVENESS[wish([*said, added], scope, own=own)] >= PERMISSIVENESS[wish(said, scope, own=own)]


@given(st.lists(st.one_of(outs, requests), min_size=1, max_size=8), scopes, flags)
def test_without_a_grant_nothing_is_ever_in(said: list[Statement], scope: str, own: bool) -> None:
    assert wish(said, scope, own=own) is not Wish.IN


@given(statements, outs.filter(lambda o: o.scope.count("/") == 2))
def test_a_topic_out_never_changes_its_purpose(said: list[Statement], added: Statement) -> None:
    assert wish([*said, added], "acme/news") is wish(said, "acme/news")


@given(statements, st.one_of(outs, grants).filter(lambda s: s.scope.startswith("acme")))
def test_statements_about_one_brand_never_change_another(said: list[Statement], added: Statement) -> None:
    for scope in ("beta", "beta/news"):
        assert wish([*said, added], scope) is wish(said, scope)


def test_a_grant_lifts_exactly_what_it_names() -> None:
    said = [out("acme/news/offers", 0), grant("acme/news", 60)]

    assert wish(said, "acme/news/offers") is Wish.OUT
    assert wish(said, "acme/news") is Wish.IN


def test_a_grant_at_the_purpose_lifts_an_out_of_everything_for_that_purpose_only() -> None:
    said = [out("*", 0), grant("acme/news", 60)]

    assert wish(said, "acme/news") is Wish.IN
    assert wish(said, "acme/news/offers") is Wish.IN
    assert wish(said, "acme/alerts") is Wish.OUT
    assert wish(said, "acme") is Wish.OUT


def test_a_topic_inherits_its_purpose_unless_it_is_told_apart() -> None:
    said = [grant("acme/news", 0)]

    assert standing(said, "acme/news/offers", tolerance=TOLERANCE) == Standing(Wish.IN, said[0])


@pytest.mark.parametrize(
    ("lifting", "is_left"),
    [
        ([], True),
        ([out("acme/news", 60)], True),
        ([grant("acme/news", 60)], False),
        ([grant("acme/news", 4, clock="crm")], True),
        ([grant("acme/news", 60, strength=Strength.NOTHING)], True),
        ([grant("acme/news/offers", 60)], True),
        ([grant("acme", 60)], True),
        ([grant("acme/news/offers", 60), grant("acme/news", 60)], False),
        ([grant("acme/news", 60, strength=Strength.NOTHING), grant("acme/news", 60)], False),
    ],
)
def test_an_out_is_unbeaten_until_a_grant_lifts_it_where_it_was_said(lifting: list[Statement], is_left: bool) -> None:
    said = out("acme/news", 0)

    assert (said in unbeaten([said, *lifting], tolerance=TOLERANCE)) is is_left


def test_a_mapped_topic_under_consent_needs_a_tick_of_its_own() -> None:
    said = [grant("acme/news", 0)]

    assert wish(said, "acme/news/offers", own=True) is Wish.UNKNOWN
    assert wish(said, "acme/news/offers") is Wish.IN


@pytest.mark.parametrize(
    ("strength", "out_scope", "kind", "expected"),
    [
        (Strength.NOTHING, "acme/news", StatementKind.OUT, Wish.OUT),
        (Strength.TRUSTED, "acme/news", StatementKind.OUT, Wish.IN),
        (Strength.TRUSTED, "acme", StatementKind.OUT, Wish.OUT),
        (Strength.TRUSTED, "*", StatementKind.OUT, Wish.OUT),
        (Strength.EVIDENCED, "*", StatementKind.OUT, Wish.IN),
        (Strength.EVIDENCED, "acme/news", StatementKind.COMPLAINT, Wish.OUT),
        (Strength.ADMINISTRATOR, "*", StatementKind.COMPLAINT, Wish.IN),
    ],
)
def test_a_grant_must_be_strong_enough(strength: Strength, out_scope: str, kind: StatementKind, expected: Wish) -> None:
    said = [out(out_scope, 0, kind=kind), grant("acme/news", 60, strength=strength)]

    assert wish(said, "acme/news") is expected


@pytest.mark.parametrize(
    ("gap", "out_clock", "grant_clock", "expected"),
    [
        (0, "mc", "mc", Wish.OUT),
        (0.02, "mc", "mc", Wish.IN),
        (4.9, "mc", "crm", Wish.OUT),
        (5, "mc", "crm", Wish.IN),
        (4.9, None, None, Wish.OUT),
        (5, None, None, Wish.IN),
        (4.9, OUR_CLOCK, "mc", Wish.OUT),
    ],
)
def test_times_of_one_clock_compare_exactly_and_others_need_the_tolerance(
    gap: float, out_clock: str | None, grant_clock: str | None, expected: Wish
) -> None:
    assert wish([out("acme/news", 0, clock=out_clock), grant("acme/news", gap, clock=grant_clock)], "acme/news") is (
        expected
    )


def retract(target: Statement) -> Statement:
    return state(
        scope=target.scope,
        kind=StatementKind.RETRACT,
        at=minute(100),
        clock=OUR_CLOCK,
        seen_at=minute(100),
        source=Source.ADMIN,
        target=target.uid,
    )


def test_an_administrative_out_can_be_retracted_and_a_personal_one_cannot() -> None:
    administrative = out("acme/news", 0)
    personal = state(
        scope="acme/news",
        kind=StatementKind.OUT,
        at=minute(0),
        clock="mc",
        seen_at=minute(1),
        source=Source.LINK,
        is_personal=True,
    )

    assert wish([administrative, retract(administrative)], "acme/news") is Wish.UNKNOWN
    assert wish([personal, retract(personal)], "acme/news") is Wish.OUT


def test_a_request_is_pending_until_it_expires() -> None:
    asked = state(
        scope="acme/news",
        kind=StatementKind.REQUEST,
        at=minute(0),
        clock=OUR_CLOCK,
        seen_at=minute(0),
        source=Source.API,
    )
    expired = state(
        scope="acme/news",
        kind=StatementKind.REQUEST_EXPIRED,
        at=minute(50),
        clock=OUR_CLOCK,
        seen_at=minute(50),
        source=Source.API,
        target=asked.uid,
    )

    assert standing([asked], "acme/news", tolerance=TOLERANCE) == Standing(Wish.PENDING, asked)
    assert wish([asked, expired], "acme/news") is Wish.UNKNOWN


def test_no_statement_counts_after_it_was_first_seen() -> None:
    early = state(
        scope="acme", kind=StatementKind.OUT, at=minute(50), clock="mc", seen_at=minute(10), source=Source.ESP
    )

    assert early.at == minute(10)


def bounce(at: float, kind: StatementKind = StatementKind.HARD_BOUNCE) -> Statement:
    return state(scope="*", kind=kind, at=minute(at), clock="mc", seen_at=minute(9999), source=Source.BOUNCE)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([], Deliverability.OK),
        ([bounce(1)], Deliverability.HARD),
        ([bounce(1), bounce(2, StatementKind.DELIVERED)], Deliverability.OK),
        ([bounce(2), bounce(2, StatementKind.DELIVERED)], Deliverability.OK),
        ([bounce(3), bounce(2, StatementKind.DELIVERED)], Deliverability.HARD),
        ([bounce(1, StatementKind.SOFT_BOUNCE)], Deliverability.SOFT),
        ([bounce(n, StatementKind.SOFT_BOUNCE) for n in (1, 2, 3)], Deliverability.HARD),
        ([*(bounce(n, StatementKind.SOFT_BOUNCE) for n in (1, 2, 3)), bounce(3, StatementKind.DELIVERED)], "ok"),
    ],
)
def test_bounces_say_whether_mail_arrives(said: list[Statement], expected: Deliverability) -> None:
    found = deliverability(said, now=minute(60), soft_limit=3, soft_within=timedelta(days=30))

    assert found == expected


def test_a_soft_bounce_counts_until_its_window_is_over() -> None:
    said = [bounce(0, StatementKind.SOFT_BOUNCE)]
    found = [
        deliverability(said, now=minute(at), soft_limit=3, soft_within=timedelta(minutes=10)) for at in (9.9, 10, 11)
    ]

    assert found == [Deliverability.SOFT, Deliverability.OK, Deliverability.OK]


def test_bounces_are_never_wishes() -> None:
    assert wish([bounce(1)], "acme/news") is Wish.UNKNOWN


@pytest.mark.parametrize(
    ("wish_", "kind", "basis", "mailbox", "expected"),
    [
        (Wish.OUT, Kind.COMMERCIAL, Basis.LEGITIMATE_INTEREST, Deliverability.OK, (False, "opted out")),
        (
            Wish.UNKNOWN,
            Kind.COMMERCIAL,
            Basis.LEGITIMATE_INTEREST,
            Deliverability.OK,
            (True, "legitimate interest and no objection"),
        ),
        (Wish.UNKNOWN, Kind.COMMERCIAL, Basis.CONSENT, Deliverability.OK, (False, "no consent known")),
        (Wish.PENDING, Kind.COMMERCIAL, Basis.CONSENT, Deliverability.OK, (False, "asked, no answer yet")),
        (Wish.IN, Kind.COMMERCIAL, Basis.CONSENT, Deliverability.SOFT, (True, "opted in")),
        (Wish.IN, Kind.COMMERCIAL, Basis.CONSENT, Deliverability.HARD, (False, "undeliverable: the address bounced")),
        (Wish.OUT, Kind.TRANSACTIONAL, Basis.CONSENT, Deliverability.OK, (True, "transactional")),
        (
            Wish.IN,
            Kind.TRANSACTIONAL,
            Basis.CONSENT,
            Deliverability.HARD,
            (False, "undeliverable: the address bounced"),
        ),
    ],
)
def test_may_mail_follows_wish_basis_kind_and_mailbox_and_says_why(
    wish_: Wish, kind: Kind, basis: Basis, mailbox: Deliverability, expected: tuple[bool, str]
) -> None:
    purpose = Purpose(scope="acme/news", kind=kind, basis=basis)

    assert may_mail(wish_, mailbox, purpose) == Permission(*expected)
