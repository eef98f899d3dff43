"""Pairs whose addresses came apart: laws that hold whatever was said at either address."""

from hypothesis import given, settings
from hypothesis import strategies as st

from optsync.model.change import ChangeKind
from optsync.model.link import Link
from optsync.model.record import Status
from optsync.model.scope import Basis
from optsync.model.statement import Statement, Strength
from optsync.reconcile.consent import Wish
from optsync.reconcile.plan import decide, first_sight_statements
from tests.reconcile.places import SCOPE, around, contact, grant, member, out, policy

_said = st.lists(
    st.one_of(
        st.builds(out, st.integers(1, 500)),
        st.builds(grant, st.integers(1, 500), strength=st.sampled_from(Strength)),
    ),
    max_size=4,
)


@settings(deadline=None)
@given(
    said_at_former=_said,
    said_at_new=_said,
    joined_at=st.sampled_from([1, 5, 7, None]),
    status=st.sampled_from(Status),
    basis=st.sampled_from(Basis),
)
def test_no_member_is_given_an_address_that_is_out_and_no_restriction_stays_behind(
    said_at_former: list[Statement],
    said_at_new: list[Statement],
    joined_at: int | None,
    status: Status,
    basis: Basis,
) -> None:
    how = policy(basis=basis, renames_members=True, archives_members=True, renames_records=True)
    pair = (contact(1, (5,)), member(2, (1,), status))
    link = Link(crm=1, esp=2, point=joined_at)
    said = {1: said_at_former, 5: said_at_new}
    shared = first_sight_statements([1, 5], around(*pair, said=said, links=[link]), how)
    full = {key: [*said[key], *(s for k, s in shared if k == key)] for key in said}
    found = around(*pair, said=full, links=[link])
    renames = [i for i in decide([1, 5], found, how).intents if i.kind is ChangeKind.RENAME]
    is_out = found.points[5].standing(SCOPE, how).wish is Wish.OUT

    assert len(renames) <= 1
    assert not [i for i in renames if i.record == 2 and (is_out or status is not Status.IN)]
    was_out = around(said=said).points[1].standing(SCOPE, how).wish is Wish.OUT
    # A restriction follows once: what the new address was told before, a grant there may have lifted since.
    is_news = not {s.uid for s in said_at_new}.intersection(s.uid for s in said_at_former)
    if joined_at != 5 and was_out and is_news and status is Status.IN:
        assert is_out
    assert first_sight_statements([1, 5], found, how) == []
