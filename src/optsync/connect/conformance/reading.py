"""Full reads and reads of single records."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from optsync.connect.conformance import hostile
from optsync.connect.conformance.desk import NAME, TOPIC, Desk, bare, by_address, people, person
from optsync.connect.contract import Absence, CanScanIds
from optsync.errors import SystemFailure
from optsync.model.contact_point import normalise
from optsync.model.record import Origin, Record, Status


def _texts(record: Record, field: str) -> str:
    return str(record.fields[field] or "").strip()


class ReadingChecks:
    """What a read shows and says about itself."""

    def test_an_empty_account_is_read_completely(self, desk: Desk) -> None:
        pages = desk.read()
        assert [record for page in pages for record in page.records] == []
        assert (pages[-1].is_last, pages[-1].is_full, pages[-1].is_complete) == (True, True, True)

    def test_a_full_read_shows_everybody_over_several_pages(self, crowd: Desk) -> None:
        pages = crowd.read()
        assert len(pages) >= 3
        assert set(by_address(pages)) == {f"p{n}@example.com" for n in range(crowd.harness.crowd)}
        assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
        assert all(page.is_full for page in pages)
        assert pages[-1].is_complete
        assert all(page.cursor for page in pages[:-1])
        assert pages[-1].cursor is not None or not crowd.capabilities.has_delta
        assert crowd.line.writes == 0

    def test_a_read_goes_on_from_every_cursor_with_another_connector(self, crowd: Desk) -> None:
        pages = crowd.read()
        everybody = set(by_address(pages))
        for done in range(1, len(pages)):
            rest = list(crowd.connect().read(crowd.spec, pages[done - 1].cursor))
            assert set(by_address(pages[:done])) | set(by_address(rest)) == everybody, f"resumed after page {done}"
            assert (rest[-1].is_last, rest[-1].is_full, rest[-1].is_complete) == (True, True, True)
        assert len(by_address(rest)) < len(everybody), "the last cursor begins anew: such a read may never end"

    def test_the_same_cursor_twice_shows_the_same(self, crowd: Desk) -> None:
        cursor = crowd.read()[0].cursor
        assert by_address(crowd.read(cursor)) == by_address(crowd.read(cursor))

    @pytest.mark.parametrize("cursor", ["", "nonsense", "{}", "[]", "[1,2,3,4,5,6,7,8,9]", '{"v":99}', "\x00💥"])
    def test_an_unusable_cursor_starts_a_full_read(self, desk: Desk, cursor: str) -> None:
        desk.seed(*people(3))
        pages = desk.read(cursor)
        assert len(by_address(pages)) == 3
        assert all(page.is_full for page in pages)

    def test_a_record_shows_exactly_what_was_asked_for(self, desk: Desk) -> None:
        desk.seed(person("ann"))
        record = desk.record("ann@example.com")
        assert set(record.fields) == desk.spec.fields
        assert set(record.topics) == desk.spec.topics
        assert record.fields[desk.name_field] == "Ann"
        assert (record.status is not None) is desk.is_esp
        times = [record.created_at, record.modified_at, record.status_at, record.opted_in_at]
        assert all(time.utcoffset() == timedelta(0) for time in times if time is not None)

    def test_hostile_names_and_addresses_arrive_as_they_are(self, desk: Desk) -> None:
        desk.seed(*(one for one in hostile.people() if desk.harness.takes(one.addresses[0])))
        shown = desk.records()
        assert set(shown) == {normalise(each) for each in hostile.ADDRESSES if desk.harness.takes(each)}
        for record in shown.values():
            view = desk.view(record.addresses[0])
            assert view is not None
            assert _texts(record, desk.name_field) == str(view["fields"][NAME]).strip()

    def test_people_who_share_an_address_and_people_without_one_are_records_of_their_own(self, desk: Desk) -> None:
        desk.needs(not desk.is_esp, "it plays an ESP, where an address is there once")
        both = ("ann@example.com", "ann.second@example.com")
        desk.seed(person("ann", addresses=both), person("anna", addresses=both[:1]), person("nobody", addresses=()))
        shown = [record for page in desk.read() for record in page.records]
        assert sorted(record.addresses for record in shown) == [(), both[:1], both]
        assert len({record.id for record in shown}) == 3

    @pytest.mark.parametrize("instead", [b"null", b'""'])
    def test_a_row_without_a_usable_address_stops_nothing(self, desk: Desk, instead: bytes) -> None:
        """It is a fault, or somebody without an address; nobody else is lost with it."""
        desk.seed(person("ann"), person("bob"), person("cleo"))
        met: list[bool] = []

        def spoil(content: bytes) -> bytes:
            met.append(b'"bob@example.com"' in content)
            return content.replace(b'"bob@example.com"', instead)

        desk.line.rewrite = spoil
        shown = desk.records()
        desk.needs(any(met), "no address stands in its answers as a JSON text")
        assert {"ann@example.com", "cleo@example.com"} <= set(shown)
        others = [record for record in shown.values() if "@" not in "".join(record.addresses)]
        assert [record.addresses for record in others if record.addresses] == [], "an address was made up"

    def test_a_collection_that_is_not_there_is_no_empty_one(self, desk: Desk) -> None:
        """Whoever is not in a complete read is taken for gone: everybody, if a list was deleted or renamed."""
        desk.seed(person("ann"))
        record = desk.record("ann@example.com")
        spec = replace(desk.spec, collection=desk.harness.missing)
        looks: dict[str, Callable[[], Iterable[Record]]] = {
            "read": lambda: by_address(list(desk.connector.read(spec, None))).values(),
            "read_ids": lambda: desk.connector.read_ids(spec, [record.id]),
        }
        for verb, look in looks.items():
            try:
                shown = {each.id for each in look()}
            except SystemFailure:
                continue
            assert record.id in shown, f"{verb} shows an empty collection: raise SystemUnavailable"

    def test_a_list_scope_says_who_belongs_and_restricts_no_read(self, desk: Desk) -> None:
        desk.needs(not desk.is_esp, "it plays an ESP, which has no list scopes")
        desk.seed(person("ann"), person("bob"))
        spec = replace(desk.spec, lists={"anns": {desk.name_field: "Ann"}})
        pages = list(desk.connector.read(spec, None))
        shown = {who: set(record.lists) for who, record in by_address(pages).items()}
        assert shown == {"ann@example.com": {"anns"}, "bob@example.com": set()}
        desk.leave("bob@example.com")
        later = by_address(list(desk.connector.read(spec, pages[-1].cursor)))
        assert desk.shows_out(later["bob@example.com"]), "an opt-out outside the list scope counts, too"

    def test_every_status_is_shown_as_what_it_is(self, desk: Desk) -> None:
        desk.seed(*(person(str(status), status=status) for status in desk.harness.statuses))
        shown = {name.partition("@")[0]: record for name, record in desk.records().items()}
        assert {name: record.status for name, record in shown.items()} == {str(s): s for s in desk.harness.statuses}
        assert all(record.is_word_known for record in shown.values())

    def test_a_word_that_nobody_mapped_is_unknown_and_says_so(self, desk: Desk) -> None:
        desk.needs(desk.capabilities.shows_words, "it declares that rows show no word")
        assert desk.harness.strange_word is not None, "Harness.strange_word must name one"
        known, strange = (word.encode() for word in desk.harness.strange_word)
        desk.seed(person("ann"), person("bob", status=Status.BOUNCED))
        desk.line.rewrite = lambda content: content.replace(b'"%s"' % known, b'"%s"' % strange)
        shown = desk.records()["bob@example.com"]
        assert (shown.status, shown.is_word_known, shown.word) == (Status.UNKNOWN, False, strange.decode())

    def test_single_records_are_shown_as_by_a_full_read(self, desk: Desk) -> None:
        desk.seed(*people(5, **({"crm_topics": {TOPIC: True}, "esp_topics": {TOPIC: True}} if desk.topics else {})))
        full = {record.id: record for record in desk.records().values()}
        shown = desk.connector.read_ids(desk.spec, list(full))
        assert {record.id: bare(record) for record in shown} == {i: bare(record) for i, record in full.items()}
        assert desk.line.writes == 0

    def test_single_records_that_are_not_there_are_left_out(self, desk: Desk) -> None:
        desk.needs_deletion()
        desk.seed(person("ann"), person("bob"))
        records = desk.records()
        gone, kept = records["bob@example.com"].id, records["ann@example.com"].id
        desk.delete("bob@example.com")
        shown = desk.connector.read_ids(desk.spec, [gone, kept, kept, "999999999"])
        assert {record.id for record in shown} == {kept}
        assert list(desk.connector.read_ids(desk.spec, [])) == []

    def test_who_was_deleted_is_in_no_complete_read_and_no_scan(self, desk: Desk) -> None:
        desk.needs_deletion()
        desk.seed(*people(4))
        gone = desk.record("p1@example.com").id
        desk.delete("p1@example.com")
        pages = desk.read()
        assert pages[-1].is_complete
        assert set(by_address(pages)) == {f"p{n}@example.com" for n in (0, 2, 3)}
        if isinstance(desk.connector, CanScanIds):
            ids = [each for batch in desk.connector.scan_ids(desk.spec.collection) for each in batch]
            assert set(ids) == {record.id for record in by_address(pages).values()}
            assert gone not in ids

    def test_who_left_is_out_or_gone_as_the_connector_declares(self, desk: Desk) -> None:
        desk.seed(*people(3))
        desk.leave("p1@example.com")
        pages = desk.read()
        shown = by_address(pages).get("p1@example.com")
        assert pages[-1].is_complete
        assert desk.shows_out(shown)
        assert shown is not None or desk.capabilities.absence is Absence.LEFT

    def test_whoever_left_is_not_shown_as_taken_off_by_others(self, desk: Desk) -> None:
        """What an administrator did can be taken back and lifted by less; what the person said cannot."""
        desk.needs(desk.is_esp, "it plays a CRM, whose flags have no author")
        desk.seed(*people(2))
        desk.leave("p1@example.com")
        shown = desk.records().get("p1@example.com")
        assert shown is None or shown.origin is not Origin.ADMIN
