"""Optional powers: each works where it is offered. That it is refused where it is not is shown elsewhere."""

from dataclasses import replace
from datetime import timedelta

import pytest

from optsync.connect.conformance.asking import ANN, BOB, DONE, confirmed
from optsync.connect.conformance.desk import Desk, by_address, people, person
from optsync.connect.contract import (
    CanArchive,
    CanConfirmOptIn,
    CanForget,
    CanListTemplates,
    CanReadRows,
    CanRename,
    CanReportActivity,
    CanScanIds,
    CanTag,
    Connector,
)
from optsync.model.change import Fact, Result, Write, WriteKind
from optsync.model.contact_point import same_mailbox
from optsync.model.page import ReadSpec
from optsync.model.record import Status

LACKS = "it does not offer this power"


def _digests(connector: Connector, spec: ReadSpec) -> dict[str, bytes]:
    assert isinstance(connector, CanReadRows)
    pages = connector.read_rows(spec, None)
    return {rid: digest for page in pages if page.unmade for rid, digest in page.unmade.digests.items()}


class PowerChecks:
    """Optional powers."""

    @pytest.mark.parametrize("is_out", [False, True], ids=["subscribed", "opted out"])
    def test_a_rename_keeps_the_person_and_the_status(self, desk: Desk, is_out: bool) -> None:
        """Some vendors refuse to edit somebody who left; nobody may answer with a second, subscribed record."""
        if not isinstance(desk.connector, CanRename):
            pytest.skip(LACKS)
        desk.seed(person("ann"), person("bob"))
        if is_out:
            desk.leave(ANN)
        before = desk.status_of(ANN)
        rename = desk.to(WriteKind.RENAME, desk.record(ANN), address="new.ann@example.com")
        (outcome,) = desk.connector.rename([rename], desk.spec)
        if is_out and outcome.result is Result.REFUSED:
            assert (desk.status_of(ANN), desk.view("new.ann@example.com")) == (before, None)
            return
        assert outcome.result is Result.APPLIED
        assert desk.view(ANN) is None
        assert desk.status_of("new.ann@example.com") == before
        assert same_mailbox(desk.record("new.ann@example.com").addresses[0], "new.ann@example.com")
        confirmed(desk, outcome)

    def test_a_rename_to_the_address_of_somebody_else_harms_neither(self, desk: Desk) -> None:
        if not isinstance(desk.connector, CanRename):
            pytest.skip(LACKS)
        desk.needs(desk.is_esp, "it plays a CRM, where addresses may repeat")
        desk.seed(person("ann"), person("bob"))
        before = desk.view(ANN), desk.view(BOB)
        (outcome,) = desk.connector.rename([desk.to(WriteKind.RENAME, desk.record(ANN), address=BOB)], desk.spec)
        assert outcome.result in (Result.REFUSED, Result.INVALID)
        assert (desk.view(ANN), desk.view(BOB)) == before

    def test_archiving_takes_off_the_list_and_deletes_nothing(self, desk: Desk) -> None:
        if not isinstance(desk.connector, CanArchive):
            pytest.skip(LACKS)
        desk.seed(person("ann"), person("bob"))
        archive: Write = desk.to(WriteKind.ARCHIVE, desk.record(ANN))
        (outcome,) = desk.connector.archive([archive], desk.spec)
        assert outcome.result is Result.APPLIED
        shown = desk.record(ANN)
        assert (shown.status, shown.fields[desk.name_field]) == (Status.ARCHIVED, "Ann")
        assert desk.is_in(BOB)

    def test_a_tag_changes_no_status(self, desk: Desk) -> None:
        if not isinstance(desk.connector, CanTag):
            pytest.skip(LACKS)
        desk.seed(person("ann"), person("bob"))
        desk.leave(BOB)
        before = desk.status_of(ANN), desk.status_of(BOB)
        records = desk.records()
        tags = [desk.to(WriteKind.TAG, records[who], tags={"optsync": True}) for who in (ANN, BOB)]
        assert {outcome.result for outcome in desk.connector.tag(tags, desk.spec)} == {Result.APPLIED}
        assert (desk.status_of(ANN), desk.status_of(BOB)) == before

    @pytest.mark.parametrize("is_out", [False, True], ids=["subscribed", "opted out"])
    def test_a_power_used_again_changes_nothing(self, desk: Desk, is_out: bool) -> None:
        desk.seed(person("ann"), person("bob"))
        if is_out:
            desk.leave(ANN)
        record = desk.records().get(ANN)
        if record is None or not isinstance(desk.connector, CanTag | CanArchive):
            pytest.skip(LACKS)
        uses = []
        if isinstance(desk.connector, CanTag):
            uses.append((desk.connector.tag, desk.to(WriteKind.TAG, record, tags={"optsync": True})))
        if isinstance(desk.connector, CanArchive):
            uses.append((desk.connector.archive, desk.to(WriteKind.ARCHIVE, record)))
        for verb, write in uses:
            verb([write], desk.spec)
            before = desk.view(ANN)
            (outcome,) = verb([write], desk.spec)
            assert outcome.result in (*DONE, Result.REFUSED)
            assert desk.view(ANN) == before

    def test_the_forgotten_are_gone_for_every_verb(self, desk: Desk) -> None:
        if not isinstance(desk.connector, CanForget):
            pytest.skip(LACKS)
        desk.seed(person("ann"), person("bob"))
        record = desk.record(ANN)
        outcome = desk.connector.forget(desk.spec.collection, record.id)
        assert (outcome.key, outcome.result) == (record.id, Result.APPLIED)
        assert desk.view(ANN) is None
        assert set(desk.records()) == {BOB}
        assert list(desk.connector.read_ids(desk.spec, [record.id])) == []
        again = desk.connector.forget(desk.spec.collection, record.id)
        assert again.result is Result.SAME or (again.result, again.fact) == (Result.REFUSED, Fact.GONE)

    def test_a_scan_shows_every_id_once_and_asks_for_no_change(self, crowd: Desk) -> None:
        if not isinstance(crowd.connector, CanScanIds):
            pytest.skip(LACKS)
        ids = [each for batch in crowd.connector.scan_ids(crowd.spec.collection) for each in batch]
        assert sorted(ids) == sorted({record.id for record in by_address(crowd.read()).values()})
        assert crowd.line.writes == 0

    def test_rows_left_unmade_are_those_of_a_full_read(self, crowd: Desk) -> None:
        if not isinstance(crowd.connector, CanReadRows):
            pytest.skip(LACKS)
        pages = [page.whole() for page in crowd.connector.read_rows(crowd.spec, None)]
        assert by_address(pages) == by_address(crowd.read())

    def test_a_row_keeps_its_digest_until_its_record_is_another(self, desk: Desk) -> None:
        if not isinstance(desk.connector, CanReadRows):
            pytest.skip(LACKS)
        desk.seed(person("ann"), person("bob"))
        bob = desk.record(BOB)
        before = _digests(desk.connector, desk.spec)
        assert before == _digests(desk.connect(), desk.spec), "another process makes other digests"
        desk.harness.clock.advance(60)
        desk.write(desk.named(bob, "Robert"))
        after = _digests(desk.connector, desk.spec)
        assert [rid for rid in before if after[rid] != before[rid]] == [bob.id]
        fewer = _digests(desk.connector, replace(desk.spec, fields=desk.spec.fields - {desk.name_field}))
        assert not set(fewer.values()) & set(after.values()), "another specification, the same digests"

    def test_only_the_person_confirms_an_opt_in(self, desk: Desk) -> None:
        """A write by another program, or by us, is no sign-up."""
        if not isinstance(desk.connector, CanConfirmOptIn):
            pytest.skip(LACKS)
        desk.seed(*people(3))
        records = desk.records()
        since = desk.harness.clock.now() + timedelta(seconds=1)
        for who in records:
            desk.act("admin_unsubscribe", who)
        desk.harness.clock.advance(60)
        desk.act("resubscribe", "p0@example.com")
        desk.act("flip_in", "p1@example.com")
        desk.write(desk.into(records["p2@example.com"]))
        found = [desk.connector.confirm_opt_in(desk.spec.collection, r.id, since) for _, r in sorted(records.items())]
        assert [sign_up is not None for sign_up in found] == [True, False, False]
        assert found[0] is not None
        assert abs(found[0].at - desk.harness.clock.now()) < timedelta(minutes=1)
        later = desk.harness.clock.now() + timedelta(minutes=1)
        assert desk.connector.confirm_opt_in(desk.spec.collection, records["p0@example.com"].id, later) is None

    def test_activity_ends_with_a_last_page_and_goes_on_from_its_cursors(self, desk: Desk) -> None:
        if not isinstance(desk.connector, CanReportActivity):
            pytest.skip(LACKS)
        desk.seed(*people(3))
        since = desk.harness.clock.now() - timedelta(days=30)
        for cursor in (None, "nonsense", ""):
            pages = list(desk.connector.activity(desk.spec.collection, cursor, since))
            assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
            assert all(sign.at.utcoffset() == timedelta(0) for page in pages for sign in page.signs)
            more = list(desk.connector.activity(desk.spec.collection, pages[-1].cursor, since))
            assert more[-1].is_last
        assert desk.line.writes == 0

    def test_templates_name_the_tags_that_they_need_and_ask_for_no_change(self, desk: Desk) -> None:
        if not isinstance(desk.connector, CanListTemplates):
            pytest.skip(LACKS)
        for mailing in desk.connector.templates():
            assert mailing.tags.names
            assert mailing.texts or mailing.reason
        assert desk.line.writes == 0
