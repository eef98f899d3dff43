"""A block that reads cannot write, on any database."""

import pytest

from optsync.state.store import DatabaseError, Store


def test_a_reading_block_refuses_to_write(store: Store) -> None:
    with pytest.raises(DatabaseError), store.reading() as unit:
        unit.meta.put("key", "value")
    with store.reading() as unit:
        assert unit.meta.get("key") is None

    with store.transaction() as unit:
        unit.meta.put("key", "value")
    with store.reading() as unit:
        assert unit.meta.get("key") == "value"
