"""How often Python looks for cycles of objects that nobody holds any more."""

import gc

_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def collect_rarely() -> None:
    """For a process that runs syncs. A page of records, and what is around a batch of people, is tens of thousands of
    objects that are freed together. At every 700th, as Python has it, looking through all of them for cycles finds none
    and takes up to a tenth of a full read."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
