"""Identifiers sort by the time they were made, within a millisecond too."""

import time

from envforge.ids import uuid7


def test_ids_made_one_after_the_other_sort_in_that_order() -> None:
    made = []
    for _ in range(1_000):
        made.append(uuid7())
        begun = time.time_ns()
        while time.time_ns() < begun + 1_000:
            pass
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {(one.version, one.variant) for one in made} == {(7, "specified in RFC 4122")}
