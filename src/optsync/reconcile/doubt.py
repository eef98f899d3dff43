"""What a reading shows that a person should look at."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.record import Record


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something a person should look at."""

    kind: str
    field: str | None
    message: str


def doubts(record: Record, usable: Collection[str]) -> Iterator[Doubt]:
    """About what it is called and how it stands: addresses that are none (``usable``: those that are some), and a
    status word that nobody knows."""
    for raw in record.addresses if len(usable) < len(record.addresses) else ():
        try:
            normalise(raw)
        except InvalidAddress as error:
            yield Doubt("invalid_address", "address", f"an address cannot be used: {error}; it is left out")
    if not record.is_word_known:
        message = f"the status word {record.word!r} is not known; nothing is inferred from it"
        yield Doubt("unknown_status", None, message)
