"""Certificates for shells: who gets one, what stands in it, and what ends it (W5, I4, H7)."""

from datetime import timedelta
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.hazmat.primitives.serialization.ssh import (
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)
from django.utils import timezone

from envforge import tenancy
from envforge.actor import ServiceAccountActor
from envforge.errors import Conflict, Invalid, NotAllowed, NotVisible
from envforge_daemon.shell.certificates import admission
from envforge_daemon.shell.known import Door
from envforge_protocol.host.commands import EndShell
from hosts.changes import Change, HostChange
from orgs import operations
from orgs.models import Person
from orgs.operations import remove_member, restore_member, revoke_role, suspend_member
from orgs.roles import Role, Scope
from tests.product.branches import Branch, utc_of
from tests.product.things import HOST_KEY
from tests.product.world import World
from workspaces import authorities, sessions
from workspaces.models import Certificate, Shell, ShellState
from workspaces.operations.certificates import Issued, end_session, issue_certificate
from workspaces.operations.workspaces import archive_workspace

KINDS = ("shell.certificate_issued", "shell.access_ended", "shell.connected", "shell.disconnected")


def line_of(key: object) -> str:
    public = key.public_key()  # type: ignore[attr-defined]
    return str(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()) + " me@laptop"


def new_key() -> str:
    return line_of(Ed25519PrivateKey.generate())


@pytest.fixture
def branch(world: World) -> Branch:
    return Branch(world)


def issue(branch: Branch, by: Person, **more: object) -> Issued:
    return issue_certificate(
        actor=by.as_actor(),
        org_id=branch.org_id,
        workspace_id=branch.id,
        **{"public_key": new_key(), **more},  # type: ignore[arg-type]
    )


def read(issued: Issued) -> SSHCertificate:
    certificate = load_ssh_public_identity(issued.certificate.encode())
    assert isinstance(certificate, SSHCertificate)
    return certificate


def ended(branch: Branch) -> list[tuple[int, ...]]:
    return [one.serials for one in branch.asked("end_shell") if isinstance(one, EndShell)]


def test_h7_a_certificate_is_of_minutes_for_one_workspace_and_never_forwards_the_agent(
    branch: Branch,
) -> None:
    bob = branch.role(branch.world.bob)
    issued = issue(branch, bob)
    read_back = read(issued)
    read_back.verify_cert_signature()
    assert read_back.type is SSHCertificateType.USER
    assert read_back.valid_principals == [str(branch.id).encode()]
    assert read_back.key_id.decode() == f"{bob.id} Bob"
    assert read_back.serial == issued.serial
    assert read_back.extensions == {b"permit-pty": b""}
    assert read_back.critical_options == {}
    assert timedelta(minutes=4) < utc_of(read_back.valid_before) - timezone.now() <= timedelta(minutes=5)
    assert read(issue(branch, bob, forwarding=True)).extensions == {
        b"permit-port-forwarding": b"",
        b"permit-pty": b"",
    }
    assert (issued.login, issued.host_key) == (str(branch.id), HOST_KEY)
    door = Door(branch.on_vm(), authorities.public_key(branch.org_id))
    assert admission(issued.certificate.encode(), [door], timezone.now())
    assert branch.events("shell.certificate_issued")[0][1] == "Bob"
    assert len({one.serial for one in branch.certificates()}) == 2


def test_h7_another_organizations_certificate_opens_nothing_here(branch: Branch) -> None:
    issued = issue(branch, branch.role(branch.world.bob))
    other = Door(branch.on_vm(), authorities.public_key(branch.world.mallet.id))
    assert admission(issued.certificate.encode(), [other], timezone.now()) is None


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "no public key"),
        ("hello", "no public key"),
        (new_key() + "\n" + new_key(), "no public key"),
        ("ssh-ed25519 AAAA", "no public key"),
        (line_of(rsa.generate_private_key(65537, 2048)), "2048 bits"),
        ("ssh-dss AAAAB3NzaC1kc3M= me@laptop", "not let in"),
        ("sk-ssh-ed25519@openssh.com AAAA me@laptop", "not let in"),
        (
            Ed25519PrivateKey.generate()
            .private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
            .decode(),
            "private key",
        ),
    ],
)
def test_h7_other_keys_are_refused_in_words(key: str, words: str, branch: Branch) -> None:
    with pytest.raises(Invalid) as refused:
        issue(branch, branch.role(branch.world.bob), public_key=key)
    assert words in refused.value.fields["public_key"]
    assert branch.certificates() == []


@pytest.mark.parametrize(
    "key", [line_of(ec.generate_private_key(ec.SECP256R1())), line_of(rsa.generate_private_key(65537, 3072))]
)
def test_ecdsa_and_long_rsa_keys_are_taken(key: str, branch: Branch) -> None:
    read(issue(branch, branch.role(branch.world.bob), public_key=key)).verify_cert_signature()


def test_who_gets_one(branch: Branch) -> None:
    world = branch.world
    for person in (world.bob, world.vera):
        with pytest.raises(NotAllowed, match="collaborator"):
            issue(branch, person)
    for person in (world.mallory, world.bill):
        with pytest.raises(NotVisible):
            issue(branch, person)
    issue(branch, world.alice)
    assert len(branch.certificates()) == 1


def test_no_certificate_before_the_shell_is_ready_nor_after_the_workspace_is_archived(branch: Branch) -> None:
    with tenancy.enter(branch.org_id):
        Shell.objects.filter(workspace_id=branch.id).update(observed=ShellState.PREPARING)
    with pytest.raises(Conflict, match="not ready"):
        issue(branch, branch.world.alice)
    with tenancy.enter(branch.org_id):
        Shell.objects.filter(workspace_id=branch.id).update(observed=ShellState.READY)
    issued = issue(branch, branch.world.alice)
    archive_workspace(actor=branch.world.adam.as_actor(), org_id=branch.org_id, workspace_id=branch.id)
    assert ended(branch) == [(issued.serial,)]
    assert branch.events("shell.access_ended")[0][2] == {"holder": "Alice", "cause": "workspace_archived"}
    with pytest.raises(Conflict, match="archived"):
        issue(branch, branch.world.alice)


@pytest.mark.parametrize(("for_good", "cause"), [(False, "member_suspended"), (True, "member_removed")])
def test_i4_a_member_who_goes_holds_no_certificate_and_no_connection(
    for_good: bool, cause: str, branch: Branch
) -> None:
    bob = branch.role(branch.world.bob)
    first, second = issue(branch, bob), issue(branch, bob)
    kept = issue(branch, branch.world.alice)
    branch.connect(first.serial)
    with tenancy.enter(branch.org_id):
        # Long over, but for the connection it began.
        Certificate.objects.filter(serial=first.serial).update(expires_at=timezone.now() - timedelta(hours=1))
    close = remove_member if for_good else suspend_member
    receipt = close(actor=branch.world.alice.as_actor(), org_id=branch.org_id, person_id=bob.id)
    assert receipt.closed["certificates"] == 2
    assert ended(branch) == [tuple(sorted((first.serial, second.serial)))]
    causes = {one.serial: one.revoked_cause for one in branch.certificates()}
    assert causes == {first.serial: cause, second.serial: cause, kept.serial: ""}
    assert len(branch.events("shell.access_ended")) == 2
    if not for_good:
        restore_member(actor=branch.world.alice.as_actor(), org_id=branch.org_id, person_id=bob.id)
        assert issue(branch, bob).serial not in causes


def test_i4_a_connection_that_was_not_told_of_yet_is_ended_all_the_same(branch: Branch) -> None:
    bob = branch.role(branch.world.bob)
    issued = issue(branch, bob)
    with tenancy.enter(branch.org_id):
        Certificate.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    suspend_member(actor=branch.world.alice.as_actor(), org_id=branch.org_id, person_id=bob.id)
    assert ended(branch) == [(issued.serial,)]
    branch.connect(issued.serial)
    assert ended(branch) == [(issued.serial,), (issued.serial,)]


def test_a_role_that_is_taken_takes_the_certificate_and_one_that_is_not_needed_does_not(
    branch: Branch,
) -> None:
    bob = branch.role(branch.role(branch.world.bob), Role.OBSERVER)
    issued = issue(branch, bob)
    where = {"scope": Scope.WORKSPACE, "scope_id": branch.id}
    by = {"actor": branch.world.alice.as_actor(), "org_id": branch.org_id, "person_id": bob.id}
    revoke_role(role=Role.OBSERVER, **by, **where)  # type: ignore[arg-type]
    assert ended(branch) == []
    revoke_role(role=Role.COLLABORATOR, **by, **where)  # type: ignore[arg-type]
    assert ended(branch) == [(issued.serial,)]
    assert branch.events("shell.access_ended") == [
        ("shell.access_ended", "Alice", {"holder": "Bob", "cause": "role_revoked"})
    ]


def test_a_program_holds_one_as_long_as_it_is_there(branch: Branch) -> None:
    world = branch.world
    account = operations.create_service_account(
        actor=world.alice.as_actor(),
        org_id=branch.org_id,
        creator=world.alice,
        name="agent",
        role=Role.ADMIN,
        acts_for=world.bob.id,
    )
    actor = ServiceAccountActor(
        id=str(account.id),
        label="agent",
        account_id=account.id,
        org_id=branch.org_id,
        scopes=frozenset({"shell.connect"}),
        acts_for=world.bob.id,
    )
    where = {"actor": actor, "org_id": branch.org_id, "workspace_id": branch.id}
    with pytest.raises(NotAllowed, match="scope"):
        issue_certificate(**where, public_key=new_key(), forwarding=True)  # type: ignore[arg-type]
    issued = issue_certificate(**where, public_key=new_key())  # type: ignore[arg-type]
    # Ended with the person it acts for, too.
    assert read(issued).key_id.decode() == f"{world.bob.id} agent"
    operations.remove_service_account(
        actor=world.alice.as_actor(), org_id=branch.org_id, account_id=account.id
    )
    assert ended(branch) == [(issued.serial,)]
    assert branch.events("shell.access_ended")[0][2]["cause"] == "account_removed"


def test_w5_connecting_and_leaving_are_the_holders_acts_once_each(branch: Branch) -> None:
    issued = issue(branch, branch.role(branch.world.bob))
    session = branch.connect(issued.serial)
    branch.connect(issued.serial, session)
    branch.leave(issued.serial, session)
    branch.leave(issued.serial, session)
    assert branch.events("shell.connected", "shell.disconnected") == [
        ("shell.connected", "Bob", {}),
        ("shell.disconnected", "Bob", {"duration_s": 7, "cause": "left"}),
    ]
    [row] = branch.sessions()
    assert row.end_cause == "left"


def test_a_serial_that_was_never_issued_for_this_workspace_is_nobodys(branch: Branch) -> None:
    elsewhere = Branch(branch.world)
    issued = issue(elsewhere, branch.world.alice)
    for serial in (issued.serial, 12345):
        branch.leave(serial, branch.connect(serial))
    assert branch.sessions() == []
    assert branch.events(*KINDS) == []


@pytest.mark.parametrize("change", [Change.AWAY, Change.ENDED, Change.REPLACED, Change.READY])
def test_a_vm_that_is_gone_has_nobody_connected(change: Change, branch: Branch) -> None:
    issued = issue(branch, branch.world.alice)
    branch.connect(issued.serial)
    with tenancy.enter(branch.org_id):
        sessions.host_changed(HostChange(change, branch.host.id, 1, "test", timezone.now()))
    [row] = branch.sessions()
    assert row.disconnected_at is not None
    assert len(branch.events("shell.disconnected")) == 1


def test_a_connection_is_ended_by_its_holder_or_whoever_may_close_the_workspace(branch: Branch) -> None:
    world = branch.world
    bob, vera = branch.role(world.bob), branch.role(world.vera)
    issued = issue(branch, bob)
    branch.connect(issued.serial)
    [row] = branch.sessions()
    where = {"org_id": branch.org_id, "workspace_id": branch.id}
    with pytest.raises(NotAllowed):
        end_session(actor=vera.as_actor(), session_id=row.id, **where)
    with pytest.raises(NotVisible):
        end_session(actor=world.mallory.as_actor(), session_id=row.id, **where)
    with pytest.raises(NotVisible):
        end_session(actor=bob.as_actor(), session_id=uuid4(), **where)
    end_session(actor=bob.as_actor(), session_id=row.id, **where)
    assert ended(branch) == [(issued.serial,)]
    end_session(actor=world.adam.as_actor(), session_id=row.id, **where)
    assert len(ended(branch)) == 2
