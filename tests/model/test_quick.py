from dataclasses import replace

from optsync.model.quick import quick_dataclass


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    name: str
    size: int = 0


def test_what_is_alike_is_equal_and_counts_once() -> None:
    bonn = Place(name="Bonn", size=3)

    assert Place(name="Bonn", size=3) == bonn != Place(name="Bonn")
    assert {bonn, Place(name="Bonn", size=3)} == {bonn}


def test_a_copy_leaves_the_original_as_it_is() -> None:
    bonn = Place(name="Bonn")

    assert replace(bonn, size=3).size == 3
    assert bonn.size == 0
