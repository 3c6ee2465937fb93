"""A wake starts by the contracts that lie in its trees when it starts, as far as they are approved (W2)."""

from envforge_protocol.contract import parse
from envforge_protocol.contract.digest import digest
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.runtimes import Tree
from tests.product.workspaces.desk import BACKEND, WEB, Desk
from workspaces import trees

OTHER = WEB.replace("run web", "run other")


def lying(
    text: str | None, *, problem: str = "", branch: str = "feature/rooms", commit: str = "b" * 40
) -> wire.Checkout:
    """The tree `web` with this contract in it."""
    contract = wire.ContractFile(text=text, digest=digest(parse(text.encode()))) if text else None
    return wire.Checkout(
        directory="web",
        branch=branch,
        commit=commit,
        contract=contract,
        problem=problem,
    )


def command_of(desk: Desk, name: str) -> tuple[str, ...]:
    return next(one.command for one in desk.manifest().manifest.services if one.name == name)


def test_w2_a_wake_asks_no_vm_before_the_one_that_starts_it(desk: Desk) -> None:
    """W2: the manifest says what each tree was told to hold, and that is looked at where and when the services start."""
    desk.shell_up()
    desk.starting()
    assert desk.commands("read_contract", open_only=False) == []
    assert desk.manifest().manifest.trees == (
        Tree(directory="backend", contract_digest=digest(parse(BACKEND.encode()))),
        Tree(directory="web", contract_digest=digest(parse(WEB.encode()))),
    )


def test_w2_a_tree_with_another_approved_contract_starts_by_that(desk: Desk) -> None:
    """W2, W6: the same wake goes on, with one receipt and one window; what the VM was asked first is over."""
    desk.approve("web", OTHER)
    desk.shell_up()
    desk.starting()
    assert command_of(desk, "web")[-1] == "run web"
    desk.find_changed(lying(OTHER, branch="other"))
    assert (desk.runtime().observed, desk.runtime().epoch, desk.windows()) == ("starting", 1, [])
    assert command_of(desk, "web")[-1] == "run other"
    assert desk.checkout("web").branch == "other"
    desk.start()
    [wake], [window] = desk.wakes(), desk.windows()
    assert (desk.runtime().observed, wake.epoch, window.epoch) == ("awake", 1, 1)
    assert {one["contract_digest"] for one in wake.services} == {
        digest(parse(OTHER.encode())),
        digest(parse(BACKEND.encode())),
    }
    assert len(desk.events("runtime.wake_requested")) == len(desk.events("runtime.started")) == 1


def test_w2_a_tree_with_an_unreviewed_contract_is_a_proposal(desk: Desk) -> None:
    """W2: the wake uses the last approved one, and the other waits for review; the VM is told what it found."""
    desk.shell_up()
    desk.starting()
    desk.find_changed(lying(OTHER))
    assert [one.decision for one in desk.proposals("web")] == ["approved", "proposed"]
    assert command_of(desk, "web")[-1] == "run web"
    assert digest(parse(OTHER.encode())) in {one.contract_digest for one in desk.manifest().manifest.trees}
    desk.start()
    assert desk.runtime().observed == "awake"


def test_w2_a_contract_that_is_gone_or_cannot_be_read(desk: Desk) -> None:
    """W2: no file, a link, or one with mistakes: the last approved one counts, and the VM expects just that."""
    desk.shell_up()
    desk.starting()
    for problem in ("", "envforge.yml must be a regular file of at most 64 KiB, and no link."):
        desk.find_changed(lying(None, problem=problem))
        assert Tree(directory="web", contract_digest="") in desk.manifest().manifest.trees
        assert command_of(desk, "web")[-1] == "run web"
    broken = lying(None).model_copy(update={"contract": wire.ContractFile(text="version: 7", digest="")})
    desk.find_changed(broken)
    desk.start()
    assert desk.runtime().observed == "awake"


def test_w2_a_tree_that_changes_at_each_look_is_not_followed_for_ever(desk: Desk) -> None:
    """W2: after some times the wake starts by what was told last, of which only what is approved counts."""
    desk.approve("web", OTHER)
    desk.shell_up()
    desk.starting()
    for index in range(trees.MOST_CHANGES):
        assert desk.manifest().manifest.trees, index
        desk.find_changed(lying((OTHER, WEB)[index % 2]))
    assert desk.manifest().manifest.trees == ()
    desk.start()
    assert (desk.runtime().observed, len(desk.windows())) == ("awake", 1)
    keys = [one.key for one in desk.commands("start_runtime", open_only=False)]
    assert len(keys) == len(set(keys)) == trees.MOST_CHANGES + 1
    # The next wake looks again.
    desk.sleep()
    desk.drive()
    desk.stop()
    desk.starting()
    assert desk.manifest().manifest.trees


def test_w2_a_tree_that_is_gone_is_checked_out_again(desk: Desk) -> None:
    desk.shell_up()
    desk.starting()
    desk.find_changed(lying(None, branch="", commit="", problem="web is no working tree of git."))
    assert desk.commands("start_runtime") == []
    desk.drive()
    desk.prepare_shell()
    desk.start()
    assert (desk.runtime().observed, len(desk.windows())) == ("awake", 1)


def test_sleep_while_trees_are_found_changed(desk: Desk) -> None:
    """What the VM tells of a start that was taken back is still how its trees lie; nothing is started for it."""
    desk.shell_up()
    desk.starting()
    desk.find_changed(lying(OTHER))
    desk.sleep()
    desk.drive()
    starts = desk.commands("start_runtime", open_only=False)
    assert [(one.failure or {}).get("word") for one in starts] == [None, "withdrawn"]
    desk.stop()
    assert (desk.runtime().observed, desk.windows()) == ("asleep", [])
