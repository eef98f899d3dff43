"""Reads while people live on."""

from optsync.connect.conformance.desk import NAME, Desk, by_address
from optsync.connect.conformance.line import Trouble
from optsync.connect.contract import Absence
from optsync.errors import SystemUnavailable
from optsync.model.page import Page


class _Life:
    """People who act whenever a page was read; the last of them, whom a read meets last, and the first."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._round = 0
        self.named: dict[str, str] = {}
        self.left: set[str] = set()
        self.deleted: set[str] = set()

    def go_on(self) -> None:
        desk, crowd, turn = self._desk, self._desk.harness.crowd, self._round
        self._round += 1
        if turn >= 4:
            return
        desk.harness.clock.advance(2)
        for number in (turn, crowd // 2 + turn, crowd - 1 - turn):
            self.named[_who(number)] = f"Round {turn}"
            desk.act("set_field", _who(number), field=NAME, value=f"Round {turn}")
        for number in (4 + turn, crowd - 6 - turn):
            self.left.add(_who(number))
            desk.leave(_who(number))
        desk.appear(f"new{turn}@example.com")
        if desk.capabilities.absence is Absence.DELETED:
            self.deleted.add(_who(crowd // 2 - 1 - turn))
            desk.delete(_who(crowd // 2 - 1 - turn))

    def read(self) -> list[Page]:
        pages = []
        for page in self._desk.connector.read(self._desk.spec, None):
            pages.append(page)
            self.go_on()
        return pages


def _who(number: int) -> str:
    return f"p{number}@example.com"


class CrowdChecks:
    """Nobody falls between two pages."""

    def test_a_read_amid_life_loses_nobody_who_was_there_all_the_time(self, crowd: Desk) -> None:
        life = _Life(crowd)
        pages = life.read()
        stayed = {_who(number) for number in range(crowd.harness.crowd)} - life.deleted
        stayed = {who for who in stayed if crowd.view(who) is not None}
        lost = stayed - set(by_address(pages))
        if lost and crowd.capabilities.pages_shift:
            assert not pages[-1].is_complete, "it may lose somebody and must say so"
        else:
            assert lost == set()

    def test_a_read_amid_edits_alone_is_complete(self, crowd: Desk) -> None:
        pages = []
        for page in crowd.connector.read(crowd.spec, None):
            pages.append(page)
            crowd.harness.clock.advance(2)
            for number in (0, crowd.harness.crowd // 2, crowd.harness.crowd - 1):
                crowd.act("set_field", _who(number), field=NAME, value=f"Page {len(pages)}")
        assert len(by_address(pages)) == crowd.harness.crowd
        assert pages[-1].is_complete

    def test_what_happens_during_a_read_is_shown_by_it_or_by_the_next(self, crowd: Desk) -> None:
        life = _Life(crowd)
        pages = life.read()
        crowd.harness.clock.advance(60)
        later = by_address(crowd.read(pages[-1].cursor))
        shown = by_address(pages) | later
        for who in life.left:
            assert crowd.shows_out(later.get(who) if not crowd.capabilities.has_delta else shown.get(who)), who
        for who, name in life.named.items():
            assert shown[who].fields[crowd.name_field] == name
        assert "new0@example.com" in shown

    def test_a_read_that_broke_off_goes_on_where_it_was(self, crowd: Desk) -> None:
        pages: list[Page] = []
        reading = crowd.connector.read(crowd.spec, None)
        pages.append(next(reading))
        crowd.trouble(Trouble.ERROR_503, times=1_000)
        try:
            pages.extend(reading)
        except SystemUnavailable:
            crowd.line.clear()
        else:
            raise AssertionError("a read ended well while every request failed")
        rest = list(crowd.connect().read(crowd.spec, pages[-1].cursor))
        assert len(by_address([*pages, *rest])) == crowd.harness.crowd
        assert rest[-1].is_complete
