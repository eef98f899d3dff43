"""Writes whose outcome is not known: what their records would show."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from optsync.model.quick import quick_dataclass
from optsync.state.codec import dumps, loads


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Unsure:
    """Values of a write whose answer is not known yet."""

    sent_at: datetime
    status: str | None
    topics: Mapping[str, bool]
    fields: Mapping[str, Any]
    address: str | None = None
    """The new primary address, of a rename."""

    def after(self, earlier: "Unsure | None") -> "Unsure":
        """With what an earlier write left open, whose answer was lost."""
        if earlier is None:
            return self
        return replace(
            self,
            status=self.status or earlier.status,
            topics={**earlier.topics, **self.topics},
            fields={**earlier.fields, **self.fields},
            address=self.address or earlier.address,
        )

    def without(self, answered: "Unsure") -> "Unsure | None":
        """What is open still when the answer to one of the writes has come; None if nothing is."""
        status = None if answered.status else self.status
        topics = {name: wanted for name, wanted in self.topics.items() if name not in answered.topics}
        fields = {name: value for name, value in self.fields.items() if name not in answered.fields}
        address = None if answered.address else self.address
        if not (status or topics or fields or address):
            return None
        return Unsure(sent_at=self.sent_at, status=status, topics=topics, fields=fields, address=address)


def dump_unsure(unsure: Unsure) -> str:
    return dumps(
        {
            "sent_at": unsure.sent_at.isoformat(),
            "status": unsure.status,
            "topics": dict(unsure.topics),
            "fields": dict(unsure.fields),
            "address": unsure.address,
        }
    )


def load_unsure(text: str) -> Unsure:
    value = loads(text)
    return Unsure(
        sent_at=datetime.fromisoformat(value["sent_at"]),
        status=value["status"],
        topics=value["topics"],
        fields={k: tuple(v) if isinstance(v, list) else v for k, v in value["fields"].items()},
        address=value.get("address"),
    )
