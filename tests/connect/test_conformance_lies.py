"""Connectors that declare or say what is not so: each is found by the case that is there for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from optsync.connect.conformance import ConnectorSuite, Trouble
from optsync.connect.conformance.desk import Desk
from optsync.connect.contract import Context, Departures, Health, SignUp
from optsync.errors import SystemFailure, SystemUnavailable
from optsync.model.change import Outcome, Result, Write, WriteKind
from optsync.model.page import Page, ReadSpec
from optsync.model.record import Origin, Record, Status
from optsync_csv import Csv
from optsync_csv.tests.hands import harness as file_of
from optsync_mailchimp import Mailchimp
from tests.connect.test_conformance import TriesPermissiveWritesAgain, desk_of

SUITE = ConnectorSuite()
GATEWAY = {"trouble": Trouble.ERROR_503, "skip": 0}


class HidesItsRefusals(Mailchimp):
    capabilities = replace(Mailchimp.capabilities, refuses=frozenset())


class PromisesAStableAddress(Mailchimp):
    capabilities = replace(Mailchimp.capabilities, id_is_address=True)


class BringsLeaversBack(Mailchimp):
    """So it says."""

    capabilities = replace(Mailchimp.capabilities, takes_back_leavers=True)


class WritesAnyStatus(Mailchimp):
    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        known = self.capabilities.statuses | {None}
        return super().write([w if w.status in known else replace(w, status=Status.OUT) for w in writes], spec)


class RemembersWhatItRead(Mailchimp):
    """As a search index that follows an hour later."""

    _seen: dict[str, Record]

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        for page in super().read(spec, cursor):
            self._seen = {**getattr(self, "_seen", {}), **{record.id: record for record in page.records}}
            yield page

    def read_ids(self, spec: ReadSpec, ids: Sequence[str]) -> Sequence[Record]:
        seen = getattr(self, "_seen", {})
        return [*(seen[i] for i in ids if i in seen), *super().read_ids(spec, [i for i in ids if i not in seen])]


class ForgetsNobody(Mailchimp):
    def forget(self, collection: str, record: str) -> Outcome:
        del collection
        return Outcome(key=record, result=Result.APPLIED, record_id=record)


class BelievesEverySignUp(Mailchimp):
    def confirm_opt_in(self, collection: str, record: str, since: datetime) -> SignUp | None:
        del collection, record
        return SignUp(at=since)


class SaysThatNobodyLeft(Mailchimp):
    def departures(self, collection: str, asked: Mapping[str, datetime | None], ticket: str | None) -> Departures:
        del collection, ticket
        return Departures(told=dict.fromkeys(asked))


class BlamesThePerson(Mailchimp):
    def departures(self, collection: str, asked: Mapping[str, datetime | None], ticket: str | None) -> Departures:
        found = super().departures(collection, asked, ticket)
        return replace(found, told={k: d and replace(d, origin=Origin.PERSON) for k, d in found.told.items()})


class RemembersEveryOptOut(Mailchimp):
    """However long ago it was."""

    def departures(self, collection: str, asked: Mapping[str, datetime | None], ticket: str | None) -> Departures:
        return super().departures(collection, dict.fromkeys(asked), ticket)


class ForgetsItsTickets(Mailchimp):
    """With the process that took them."""

    def departures(self, collection: str, asked: Mapping[str, datetime | None], ticket: str | None) -> Departures:
        del ticket
        return super().departures(collection, asked, None)


class TakesWhatItCannotReadForNothing(Mailchimp):
    def departures(self, collection: str, asked: Mapping[str, datetime | None], ticket: str | None) -> Departures:
        try:
            return super().departures(collection, asked, ticket)
        except SystemFailure:
            return Departures(told=dict.fromkeys(asked))


class TakesSilenceForAnEmptyList(Mailchimp):
    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        try:
            yield from super().read(spec, cursor)
        except SystemUnavailable:
            yield Page(records=(), cursor="", is_last=True, is_full=True)


class SaysThatAllIsWell(Mailchimp):
    def check(self, specs: Sequence[ReadSpec]) -> Health:
        return replace(super().check(specs), problems=())


class CallsEveryRenameDone(Mailchimp):
    def rename(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        return [replace(each, result=Result.APPLIED) for each in super().rename(writes, spec)]


class UnticksWhatItWasNotAsked(Mailchimp):
    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        every = dict.fromkeys(spec.topics, False)
        is_tick = {write.key for write in writes if write.kind is WriteKind.TOPICS}
        return super().write(
            [replace(w, topics={**every, **w.topics}) if w.key in is_tick else w for w in writes], spec
        )


class SendsOptOutsLast(Mailchimp):
    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        later = [write for write in writes if write.restrictive]
        done = {o.key: o for o in super().write([w for w in writes if not w.restrictive], spec)}
        done |= {outcome.key: outcome for outcome in super().write(later, spec)}
        return [done[write.key] for write in writes]


class BlamesAnAdministrator(Mailchimp):
    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        for page in super().read(spec, cursor):
            yield replace(page, records=tuple(replace(each, origin=Origin.ADMIN) for each in page.records))


class MakesUpAnAddress(Mailchimp):
    """As ``str()`` of nothing does."""

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        for page in super().read(spec, cursor):
            shown = (replace(each, addresses=each.addresses or ("None",)) for each in page.records)
            yield replace(page, records=tuple(shown))


class FailsForOneRow(Mailchimp):
    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        for page in super().read(spec, cursor):
            assert all(each.addresses for each in page.records)
            yield page


class SubscribesEverybodyNew(Mailchimp):
    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        return super().write([replace(w, status=w.status and Status.IN) for w in writes], spec)


class AsksNobodyBeforeItWrites(Mailchimp):
    def __init__(self, settings: Any, context: Context) -> None:
        super().__init__(settings, replace(context, before_write=lambda: None))


class TakesTheClocksForEqual(Mailchimp):
    @property
    def clock_offset(self) -> float | None:
        return None if super().clock_offset is None else 0.0


@dataclass(frozen=True)
class Lie:
    kind: type[Mailchimp]
    case: Callable[..., None]
    needs: dict[str, Any] = field(default_factory=dict)


LIES = [
    Lie(HidesItsRefusals, SUITE.test_the_test_file_shows_everything_that_is_declared),
    Lie(PromisesAStableAddress, SUITE.test_an_id_stays_or_is_the_address_as_declared),
    Lie(BringsLeaversBack, SUITE.test_whoever_left_is_brought_back_only_where_that_is_declared),
    Lie(WritesAnyStatus, SUITE.test_a_status_that_is_not_declared_is_refused, {"status": Status.BOUNCED}),
    Lie(RemembersWhatItRead, SUITE.test_what_is_written_is_read_at_once),
    Lie(ForgetsNobody, SUITE.test_the_forgotten_are_gone_for_every_verb),
    Lie(BelievesEverySignUp, SUITE.test_only_the_person_confirms_an_opt_in),
    Lie(SaysThatNobodyLeft, SUITE.test_an_opt_out_that_nothing_shows_is_told_with_its_time_and_author),
    Lie(BlamesThePerson, SUITE.test_an_opt_out_that_nothing_shows_is_told_with_its_time_and_author),
    Lie(RemembersEveryOptOut, SUITE.test_only_an_opt_out_since_the_time_asked_about_is_told),
    Lie(ForgetsItsTickets, SUITE.test_many_are_told_in_the_end_whichever_process_asks),
    Lie(TakesWhatItCannotReadForNothing, SUITE.test_every_reading_call_answers_lasting_trouble_with_a_typed_failure),
    Lie(TakesSilenceForAnEmptyList, SUITE.test_every_reading_call_answers_lasting_trouble_with_a_typed_failure),
    Lie(SaysThatAllIsWell, SUITE.test_check_names_what_is_missing, {"what": "fields"}),
    Lie(
        CallsEveryRenameDone,
        SUITE.test_every_writing_call_tells_the_truth_in_lasting_trouble,
        GATEWAY,
    ),
    Lie(CallsEveryRenameDone, SUITE.test_a_rename_to_the_address_of_somebody_else_harms_neither),
    Lie(UnticksWhatItWasNotAsked, SUITE.test_topics_are_ticked_and_unticked_one_by_one),
    Lie(TakesSilenceForAnEmptyList, SUITE.test_a_collection_that_is_not_there_is_no_empty_one),
    Lie(BlamesAnAdministrator, SUITE.test_whoever_left_is_not_shown_as_taken_off_by_others),
    Lie(MakesUpAnAddress, SUITE.test_a_row_without_a_usable_address_stops_nothing, {"instead": b"null"}),
    Lie(FailsForOneRow, SUITE.test_a_row_without_a_usable_address_stops_nothing, {"instead": b"null"}),
    Lie(SubscribesEverybodyNew, SUITE.test_a_new_record_that_is_to_be_out_is_never_in),
    Lie(
        TriesPermissiveWritesAgain,
        SUITE.test_a_tick_is_not_sent_over_an_untick_that_came_meanwhile,
        {"loss": Trouble.DROP_AFTER},
    ),
    Lie(TakesTheClocksForEqual, SUITE.test_the_offset_of_its_clock_is_measured_or_unknown),
    Lie(SendsOptOutsLast, SUITE.test_what_restricts_is_sent_before_everything_else),
]


@pytest.mark.parametrize("lie", LIES, ids=lambda each: f"{each.kind.__name__}-{each.case.__name__}")
def test_a_lie_is_found_and_told_with_its_clause(lie: Lie) -> None:
    if not lie.kind.__dict__.get("capabilities"):
        lie.case(desk_of(Mailchimp), **lie.needs)
    with pytest.raises(AssertionError) as failure:
        lie.case(desk_of(lie.kind), **lie.needs)
    assert "What to do: " in failure.value.__notes__[0]


def test_a_connector_that_writes_without_its_lease_is_found() -> None:
    SUITE.test_whoever_may_not_write_any_more_sends_nothing(desk_of(Mailchimp))
    with pytest.raises(pytest.fail.Exception):
        SUITE.test_whoever_may_not_write_any_more_sends_nothing(desk_of(AsksNobodyBeforeItWrites))


class ReadsTheListScopeAlone(Csv):
    """And not whoever left it."""

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        for page in super().read(spec, cursor):
            yield replace(page, records=tuple(each for each in page.records if each.lists or not spec.lists))


def test_a_connector_that_reads_a_list_scope_alone_is_found(tmp_path: Path) -> None:
    for kind, is_sound in ((Csv, True), (ReadsTheListScopeAlone, False)):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        desk = Desk(replace(file_of(folder), connector=kind))
        if is_sound:
            SUITE.test_a_list_scope_says_who_belongs_and_restricts_no_read(desk)
        else:
            with pytest.raises(AssertionError):
                SUITE.test_a_list_scope_says_who_belongs_and_restricts_no_read(desk)


class NamesNoClock(Csv):
    clock_offset = None


@pytest.mark.parametrize("kind", [Csv, NamesNoClock])
def test_a_connector_without_requests_whose_clock_stays_unknown_is_found(tmp_path: Path, kind: type[Csv]) -> None:
    case = SUITE.test_without_requests_the_clock_is_known_once_something_was_read
    desk = Desk(replace(file_of(tmp_path), connector=kind))
    if kind is Csv:
        case(desk)
        return
    with pytest.raises(AssertionError) as failure:
        case(desk)
    assert "the offset is 0.0 once something was read" in failure.value.__notes__[0]
