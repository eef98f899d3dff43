from optsync.daemon.lanes import lanes


def test_syncs_without_a_common_system_run_side_by_side() -> None:
    assert len(set(lanes({"a": {"crm", "esp"}, "b": {"crm2", "esp2"}}).values())) == 2


def test_syncs_that_share_a_system_run_one_after_the_other() -> None:
    found = lanes({"a": {"crm", "esp"}, "b": {"crm2", "esp2"}, "c": {"crm", "esp3"}})
    assert found["a"] == found["c"] != found["b"]


def test_a_sync_that_joins_two_groups_makes_them_one() -> None:
    found = lanes({"a": {"crm", "esp"}, "b": {"crm2", "esp2"}, "c": {"crm", "esp2"}, "d": {"crm4"}})
    assert found["a"] == found["b"] == found["c"] != found["d"]


def test_there_are_never_more_lanes_than_allowed() -> None:
    found = lanes({f"s{n}": {f"crm{n}"} for n in range(100)}, most=8)
    assert sorted(set(found.values())) == list(range(8))
    assert len(found) == 100
