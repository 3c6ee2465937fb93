"""Where state is kept, and who may run servers there."""

from pathlib import Path

import pytest

from local_cloud.cloud import exclusive
from local_cloud.errors import LocalCloudError
from local_cloud.home import Home, choose_home, read_document

ROOT, SOMEBODY = 0, 1000


def test_state_is_kept_in_the_clone(home: Home) -> None:
    assert choose_home(home.root, {}, SOMEBODY) == (Home(home.root / ".local"), None)
    assert choose_home(home.root, {}, ROOT) == (Home(home.root / ".local"), None)


def test_the_caller_may_name_another_place(home: Home) -> None:
    assert choose_home(Path("/clone"), {"ENVFORGE_HOME": str(home.root)}, SOMEBODY) == (home, None)


def test_root_moves_out_of_a_closed_clone_and_says_so(home: Home) -> None:
    """PostgreSQL runs as nobody then, who must reach its binaries and data."""
    closed = home.root / "closed"
    closed.mkdir(mode=0o700)
    chosen, note = choose_home(closed / "clone", {}, ROOT)
    assert chosen.root.parent == Path("/var/lib/envforge")
    assert str(chosen.root) in str(note)
    assert str(closed) in str(note)
    assert choose_home(closed / "clone", {}, ROOT)[0] == chosen
    assert choose_home(closed / "other", {}, ROOT)[0] != chosen


def test_root_is_told_when_the_named_place_is_closed(home: Home) -> None:
    closed = home.root / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(LocalCloudError, match=f"chmod o\\+x {closed}"):
        choose_home(Path("/clone"), {"ENVFORGE_HOME": str(closed / "mine")}, ROOT)


def test_a_second_command_in_the_same_home_is_refused(home: Home) -> None:
    with exclusive(home, "up") as lock:
        lock.note('{"command": "up", "pid": 7, "address": "http://localhost:8000"}')
        with (
            pytest.raises(
                LocalCloudError, match=r"\./dev up \(process 7\) already runs here at http://localhost:8000"
            ),
            exclusive(home, "manage"),
        ):
            pass
    with exclusive(home, "manage"):
        pass


def test_a_damaged_file_is_named_with_what_to_do(home: Home) -> None:
    path = home.root / "env.json"
    path.write_text("{")
    with pytest.raises(LocalCloudError, match=r"env\.json is damaged .*\./dev reset"):
        read_document(path)
