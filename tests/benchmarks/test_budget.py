"""How the writes that a portal saw become the story of its opt-outs."""

from typing import Any

import pytest
from benchmarks.budget import _scene
from benchmarks.slow import _timed
from benchmarks.targets import targets


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


@pytest.mark.parametrize(
    ("records", "longest", "refused", "is_met"),
    [([49, 24, 24], 58.9, 0, True), ([49, 49], 58.9, 0, False), ([49, 24], 61.0, 0, False), ([49, 24], 50.0, 1, False)],
)
def test_batches_must_shrink_before_they_take_a_minute(
    records: list[int], longest: float, refused: int, is_met: bool
) -> None:
    found = {"write_s": 1.2, "updates": 97, "records": records, "longest_s": longest, "refused": refused}
    document = {"population": 900, "results": {"budget": {"updates": 900, "scenes": [], "shrinking": found}}}
    assert [one.is_met for one in targets([document])] == [is_met]


def test_a_batch_tells_how_long_all_of_it_took() -> None:
    body = b'{"result":{"a":{"duration":0.4}},"time":{"start":1.5,"duration":0.0,"processing":0.0}}'
    assert _timed(body, 0.4) == body.replace(b'"duration":0.0', b'"duration":0.4')
    assert _timed(b"{}", 0.4) == b"{}"
