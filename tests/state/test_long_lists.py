"""A list that is one value to PostgreSQL holds what was given."""

from optsync.state.store import Store


def test_an_address_that_is_longer_than_the_column_is_found_nowhere(store: Store) -> None:
    longest = "a" * 320
    with store.transaction() as unit:
        unit.points.require([longest])

        assert unit.points.find([longest + "b"]) == {}
