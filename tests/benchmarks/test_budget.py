"""How the writes that a portal saw become the story of its opt-outs."""

from typing import Any

from benchmarks.budget import _scene


def _batch(at: float, *, outs: int = 0, others: int = 0, refused: int = 0) -> dict[str, Any]:
    return {"at": at, "took": 10.0, "opt_outs": outs, "others": others, "refused": refused}


def test_updates_count_until_the_last_opt_out_is_written() -> None:
    written = [
        _batch(0, others=40),
        _batch(100, others=40),
        _batch(110, outs=2),
        _batch(120, others=7),
        _batch(130, outs=1),
    ]
    scene = _scene("busy", 50.0, [*written, _batch(140, others=40)], 3)
    assert (scene["written"], scene["updates_between"], scene["updates_late"]) == (3, 47, 7)
    assert (scene["first_s"], scene["half_s"], scene["last_s"]) == (70.0, 70.0, 90.0)
    assert [(run["kind"], run["records"]) for run in scene["order"]][:3] == [
        ("updates", 40),
        ("opt-outs", 2),
        ("updates", 7),
    ]


def test_opt_outs_that_were_not_written_have_no_last_moment() -> None:
    scene = _scene("pause", 50.0, [_batch(60, outs=1), _batch(80, refused=40)], 3)
    assert (scene["written"], scene["last_s"], scene["first_s"]) == (1, None, 20.0)
    assert scene["order"][-1] == {"at": 80, "kind": "refused", "records": 40}
