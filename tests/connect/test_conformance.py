"""The kit finds what is wrong with a connector: each broken one fails the check that is there for it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pydantic import SecretStr

from optsync.connect.conformance import ConnectorSuite, Harness
from optsync.connect.conformance.desk import Desk, people
from optsync.connect.conformance.line import Trouble
from optsync.connect.contract import Context
from optsync.errors import SystemUnavailable
from optsync.model.change import Fact, Outcome, Result, Write, WriteKind
from optsync.model.page import Page, ReadSpec
from optsync.model.record import Record, Status
from optsync_mailchimp import Mailchimp
from optsync_mailchimp.mock import MailchimpMock
from optsync_mailchimp.settings import MailchimpSettings

Check = Callable[..., None]
SUITE = ConnectorSuite()


class LosesTheLast(Mailchimp):
    """Of every page but the last."""

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        for page in super().read(spec, cursor):
            yield page if page.is_last else replace(page, records=page.records[:-1])


class EndsTooEarly(Mailchimp):
    """As one that takes a page which got shorter meanwhile for the last."""

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        for number, page in enumerate(super().read(spec, cursor)):
            yield replace(page, is_last=page.is_last or number == 2)
            if number == 2:
                return


class ForgetsThePlace(Mailchimp):
    """Resumes at the end."""

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        pages = list(super().read(spec, None))
        yield from pages[-1:] if cursor else pages


class BeginsAnew(Mailchimp):
    """Whatever the cursor says."""

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        del cursor
        return super().read(spec, None)


class ShowsTheDeleted(Mailchimp):
    def read_ids(self, spec: ReadSpec, ids: Sequence[str]) -> Sequence[Record]:
        shown = list(super().read_ids(spec, ids))
        return [*shown, *(Record(id=each, status=Status.OUT) for each in ids if each not in {r.id for r in shown})]


class AnotherSecret(MailchimpSettings):
    of_the_proxy: SecretStr = SecretStr("")


class TakesAnotherSecret(Mailchimp):
    settings = AnotherSecret


class Reorders(Mailchimp):
    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        return sorted(super().write(writes, spec), key=lambda outcome: outcome.key)


class StopsAtTheFirstRefusal(Mailchimp):
    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        done: list[Outcome] = []
        for write in writes:
            if done and done[-1].result not in (Result.APPLIED, Result.SAME):
                done.append(Outcome(key=write.key, result=Result.FAILED))
            else:
                done.extend(super().write([write], spec))
        return done


class CallsTheLostFailed(Mailchimp):
    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        made = super().write(writes, spec)
        return [replace(one, result=Result.FAILED) if one.result is Result.UNKNOWN else one for one in made]


class OptsInWithEveryField(Mailchimp):
    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        named = [write for write in writes if write.kind is WriteKind.FIELDS]
        wishes = [replace(write, key="x", kind=WriteKind.STATUS, status=Status.IN, fields={}) for write in named]
        outcomes = super().write(writes, spec)
        super().write(wishes, spec)
        return outcomes


class TriesPermissiveWritesAgain(Mailchimp):
    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        made = super().write(writes, spec)
        again = [write for write, one in zip(writes, made, strict=True) if one.result is Result.UNKNOWN]
        return super().write(again, spec) if again else made


class TakesExistingForNew(Mailchimp):
    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        made = super().write(writes, spec)
        return [replace(one, result=Result.SAME, fact=None) if one.fact is Fact.EXISTS else one for one in made]


class ShowsWhatItMeant(Mailchimp):
    """And not what the vendor made of it."""

    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        made = super().write(writes, spec)
        return [replace(one, record=one.record and replace(one.record, topics={})) for one in made]


class ConnectsAtOnce(Mailchimp):
    def __init__(self, settings: Any, context: Context) -> None:
        super().__init__(settings, context)
        self.check([])


class TellsTheKey(Mailchimp):
    def __init__(self, settings: Any, context: Context) -> None:
        super().__init__(settings, context)
        self._key = settings.api_key.get_secret_value()

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        try:
            yield from super().read(spec, cursor)
        except SystemUnavailable as error:
            raise SystemUnavailable("tested", f"{error} with {self._key}") from None


class KnowsNoDelta(Mailchimp):
    """Says that it has one and reads nothing."""

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        for page in super().read(spec, None):
            yield replace(page, records=() if cursor else page.records, is_full=not cursor)


class ReadsEverythingAsDelta(Mailchimp):
    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        del cursor
        return super().read(spec, None)


@dataclass(frozen=True)
class Broken:
    kind: type[Mailchimp]
    check: Check
    needs: dict[str, Any]
    is_crowd: bool = False


BROKEN = [
    Broken(LosesTheLast, SUITE.test_a_full_read_shows_everybody_over_several_pages, {}, is_crowd=True),
    Broken(EndsTooEarly, SUITE.test_a_read_amid_life_loses_nobody_who_was_there_all_the_time, {}, is_crowd=True),
    Broken(EndsTooEarly, SUITE.test_a_read_amid_edits_alone_is_complete, {}, is_crowd=True),
    Broken(ForgetsThePlace, SUITE.test_a_read_goes_on_from_every_cursor_with_another_connector, {}, is_crowd=True),
    Broken(BeginsAnew, SUITE.test_a_read_goes_on_from_every_cursor_with_another_connector, {}, is_crowd=True),
    Broken(ForgetsThePlace, SUITE.test_an_unusable_cursor_starts_a_full_read, {"cursor": "nonsense"}),
    Broken(ShowsTheDeleted, SUITE.test_single_records_that_are_not_there_are_left_out, {}),
    Broken(Reorders, SUITE.test_kinds_may_be_mixed_and_outcomes_keep_the_order, {}),
    Broken(
        StopsAtTheFirstRefusal,
        SUITE.test_one_bad_write_in_any_place_stops_only_itself,
        {"poison": "an unknown field", "place": 1},
    ),
    Broken(
        CallsTheLostFailed,
        SUITE.test_outcomes_are_true_when_the_system_fails_for_good,
        {"trouble": Trouble.CUT_AFTER, "skip": 0},
    ),
    Broken(OptsInWithEveryField, SUITE.test_fields_and_topics_never_change_a_status, {"is_one_call": True}),
    Broken(
        TriesPermissiveWritesAgain,
        SUITE.test_a_permissive_write_is_not_sent_over_an_opt_out_that_came_meanwhile,
        {"loss": Trouble.DROP_AFTER},
    ),
    Broken(TakesExistingForNew, SUITE.test_a_create_never_changes_a_record_that_exists, {"status": Status.OUT}),
    Broken(ShowsWhatItMeant, SUITE.test_an_opt_out_is_written_and_seen, {}),
    Broken(ShowsWhatItMeant, SUITE.test_our_own_write_is_seen_again_as_its_outcome_showed_it, {}),
    Broken(KnowsNoDelta, SUITE.test_a_delta_shows_every_kind_of_change, {}),
    Broken(ReadsEverythingAsDelta, SUITE.test_a_delta_without_news_shows_nothing_new, {}),
]


def desk_of(kind: type[Mailchimp]) -> Desk:
    harness = Harness.of_mock(
        kind,
        MailchimpMock,
        refused={},
        pages={"optsync_mailchimp.reading.PAGE_SIZE": 7},
        crowd=30,
        statuses=frozenset({Status.IN, Status.OUT}),
    )
    return Desk(harness)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda each: f"{each.kind.__name__}-{each.check.__name__}")
def test_a_broken_connector_fails_its_check_and_a_sound_one_does_not(
    broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, is_sound in ((Mailchimp, True), (broken.kind, False)):
        desk = desk_of(kind)
        if broken.is_crowd:
            monkeypatch.setattr("optsync_mailchimp.reading.PAGE_SIZE", 7)
            desk.seed(*people(30))
            desk.harness.clock.advance(3600)
        if is_sound:
            broken.check(desk, **broken.needs)
        else:
            with pytest.raises((AssertionError, KeyError)):
                broken.check(desk, **broken.needs)


def test_a_connector_that_connects_at_once_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        SUITE.test_making_one_does_no_input_or_output(desk_of(ConnectsAtOnce), monkeypatch)


def test_a_connector_that_tells_its_secret_is_found(caplog: pytest.LogCaptureFixture) -> None:
    SUITE.test_no_secret_reaches_an_error_or_a_log(desk_of(Mailchimp), Trouble.ERROR_503, caplog)
    with pytest.raises(AssertionError):
        SUITE.test_no_secret_reaches_an_error_or_a_log(desk_of(TellsTheKey), Trouble.ERROR_503, caplog)


def test_a_secret_that_is_not_given_is_not_looked_for(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is in every text."""
    SUITE.test_no_secret_reaches_an_error_or_a_log(desk_of(TakesAnotherSecret), Trouble.ERROR_503, caplog)
