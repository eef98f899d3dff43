from optsync.model.record import Record
from optsync.reconcile.doubt import Doubt, doubts


def test_whatever_cannot_be_used_is_told_once_for_each_and_without_the_address() -> None:
    record = Record(id="1", addresses=("ann@example.com", "no address", "@"), word="odd", is_word_known=False)

    found = list(doubts(record, ("ann@example.com",)))
    assert [(each.kind, each.field) for each in found] == [
        ("invalid_address", "address"),
        ("invalid_address", "address"),
        ("unknown_status", None),
    ]
    assert found[0].message.startswith("an address cannot be used: ")
    assert found[0].message.endswith("; it is left out")
    assert "no address" not in found[0].message
    assert found[2] == Doubt("unknown_status", None, "the status word 'odd' is not known; nothing is inferred from it")


def test_a_record_that_is_as_it_should_be_leaves_no_doubt() -> None:
    record = Record(id="1", addresses=("ann@example.com", "Ann@Example.com"), word="subscribed")
    assert list(doubts(record, ("ann@example.com",))) == []
