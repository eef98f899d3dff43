"""The bodies of writes. A body made from fields or topics has no place where a status could stand."""

from collections.abc import Mapping
from typing import Any

from optsync.errors import RecordInvalid
from optsync.model.change import Write
from optsync.model.record import Status
from optsync_mailchimp.mapping import WORD_OF_STATUS, MergeField, write_value


def status_body(write: Write) -> dict[str, Any]:
    """The status and, with a subscription, its evidence. A request is no opt-in yet and carries none.

    Raises:
        RecordInvalid: a status that Mailchimp does not take from us.
    """
    word = WORD_OF_STATUS.get(write.status) if write.status else None
    if word is None:
        raise RecordInvalid("Mailchimp takes the statuses in, out and pending only", record=write.record)
    body: dict[str, Any] = {"status": word}
    evidence = write.evidence
    if write.status is Status.IN and evidence is not None:
        if evidence.at is not None:
            body["timestamp_opt"] = evidence.at.isoformat(timespec="seconds")
        if evidence.ip:
            body["ip_opt"] = evidence.ip
    return body


def topics_body(write: Write, topic_ids: Mapping[str, str | None]) -> dict[str, Any]:
    """The interests by id. Raises ``RecordInvalid`` for a topic that the audience does not have."""
    interests: dict[str, bool] = {}
    for name, is_wanted in write.topics.items():
        interest_id = topic_ids.get(name)
        if interest_id is None:
            raise RecordInvalid("the audience has no such group", record=write.record, field=name)
        interests[interest_id] = is_wanted
    return {"interests": interests}


def fields_body(write: Write, merge_fields: Mapping[str, MergeField]) -> dict[str, Any]:
    """The merge fields, typed.

    Raises:
        RecordInvalid: for a tag that the audience does not have, which Mailchimp would ignore without a word,
            and for a value that it would refuse or drop.
    """
    values: dict[str, Any] = {}
    for tag, value in write.fields.items():
        if tag not in merge_fields:
            raise RecordInvalid("the audience has no such merge field", record=write.record, field=tag)
        values[tag] = write_value(merge_fields[tag], value)
    return {"merge_fields": values}
