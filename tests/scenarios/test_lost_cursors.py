"""A vendor that no longer takes the place where we left off is read from the beginning, and that may break off too."""

from typing import Any

import pytest
import requests

from optsync.connect.mock import MockTransport
from tests.scenarios.plans import Make, issues
from tests.scenarios.world import CRM, ESP, World, person

pytestmark = pytest.mark.rule("absence is no wish")
PEOPLE = 12


class BreaksOff(MockTransport):
    """The platform answers this many requests, and no more."""

    def __init__(self, w: World, *, answers: int) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self.answers = answers

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if str(request.url).startswith(ESP):
            self.answers -= 1
            if self.answers < 0:
                raise requests.ConnectionError("Connection aborted.", request=request)
        return super().send(request, *args, **options)


def _missing(w: World) -> set[str]:
    """Whose record is noted as missing."""
    emails = [f"ann{n}@example.com" for n in range(1, PEOPLE + 1)]
    with w.store.reading() as unit:
        found = unit.records.load(unit.records.holding(unit.points.find(emails).values()))
    return {o.record.addresses[0] for o in found if o.is_gone or o.missing_since}


@pytest.mark.parametrize("answers", range(1, 9))
def test_a_full_read_that_nobody_asked_for_goes_on_after_it_broke_off(
    world: Make, monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    monkeypatch.setattr("optsync_mailchimp.reading.PAGE_SIZE", 3)
    w = world(*(person(n) for n in range(1, PEOPLE + 1)))
    w.sync()
    with w.store.transaction() as unit:
        (source,) = (each for each in unit.sources.all() if each.system == "esp")
        unit.sources.advance(source.id, "of an older version", saved=source.cursor)
    w.engine = w.compose(transport=BreaksOff(w, answers=answers))
    w.sync()
    w.engine = w.compose()
    w.wait(minutes=30)
    w.sync()

    assert _missing(w) == set()
    assert issues(w, "source_shrunk") == []
    w.settle()
