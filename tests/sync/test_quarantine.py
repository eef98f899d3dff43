"""What is heard of a row that cannot be used."""

from typing import Any

import pytest

from optsync.model.record import Record
from optsync.sync.quarantine import restricted
from tests.reconcile.places import CRM

TOPIC = CRM.topics[0][1]


def record(out: bool | None = None, in_: bool | None = None, topic: bool | None = None, **parts: Any) -> Record:
    return Record(id="7", fields={"OUT": out, "IN": in_, "NAME": "Ann"}, topics={TOPIC: topic}, **parts)


@pytest.mark.parametrize(
    ("old", "fields", "topics", "heard"),
    [
        (record(), {"OUT": True}, {}, record(True)),
        (record(in_=True), {"IN": False}, {}, record(in_=False)),
        (record(in_=True), {"IN": None}, {}, record(in_=None)),
        (record(topic=True), {}, {TOPIC: False}, record(topic=False)),
        # what permits is not heard, nor what cannot be read, nor a name
        (record(True), {"OUT": False, "IN": True}, {TOPIC: True}, record(True)),
        (record(True, True, topic=True), {}, {}, record(True, True, topic=True)),
        (record(), {"NAME": "Ben"}, {}, record()),
        (record(in_=False), {"IN": None}, {}, record(in_=False)),
    ],
)
def test_of_an_unreadable_row_only_what_restricts_is_heard(
    old: Record, fields: dict[str, Any], topics: dict[str, Any], heard: Record
) -> None:
    assert restricted(old, Record(id="7", fields=fields, topics=topics), [CRM]) == heard
