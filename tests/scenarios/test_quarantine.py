"""A record that cannot be read is set aside alone: it is neither gone nor opted out."""

from pathlib import Path
from typing import Any

import pytest
import requests

from optsync.model.record import Status
from tests.scenarios.test_hurting_answers import Hurting
from tests.scenarios.world import CRM, World, person

pytestmark = pytest.mark.rule("one bad record stands alone")


def _garbled(body: Any, _: requests.Response) -> Any:
    """The portal shows a stamp of the first contact that is none."""
    pages = body.get("result", {}).get("result") if isinstance(body, dict) else None
    if not isinstance(pages, dict):
        return None
    for page in pages.values():
        for row in page if isinstance(page, list) else ():
            if isinstance(row, dict) and row.get("ID") == "1" and "DATE_MODIFY" in row:
                row["DATE_MODIFY"] = "garbage"
    return body


def test_an_unreadable_record_is_quarantined_and_never_believed_deleted(tmp_path: Path) -> None:
    w = World(tmp_path, [person(1), person(2)])
    hurting = Hurting(w, CRM, _garbled)
    w._transport = hurting
    w.engine = w.compose()
    w.sync()
    hurting.left = 1000
    for _ in range(3):
        w.wait(hours=2)
        report = w.sync(full=True)
        assert report.syncs["newsletter"].outcome["quarantined"] == 1
    w.crm.act("opt_out", email="ann2@example.com")
    w.sync()
    assert w.esp_shows("ann2@example.com")["status"] == Status.OUT
    with w.store.reading() as unit:
        (known,) = (o for o in unit.records.load([1, 2]) if o.record.id == "1" and o.system == "crm")
        assert [i.kind for i in unit.issues.list()] == ["quarantined_record"]

    assert (known.is_gone, known.missing_since) == (False, None)
    hurting.left = 0
    w.sync(full=True)
    with w.store.reading() as unit:
        assert unit.issues.list() == []
    assert w.esp_shows("ann1@example.com")["status"] == Status.IN
    w.transport.requests = hurting.requests
    w.settle()
