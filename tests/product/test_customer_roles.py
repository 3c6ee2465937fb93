"""K1: parameters in the customer's own account, read through a role that only their organization's external id opens."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from audit.models import Event
from envforge import tenancy
from envforge.errors import Conflict, Invalid, NotAllowed, NotVisible, Unavailable
from envforge.secret_value import SecretValue
from orgs.models import Organization
from secrets_ref import (
    customer_roles,
    grants,
    operations,
    reconcile,
    role_operations,
    role_selectors,
    selectors,
    sts,
)
from secrets_ref.grants import Reference, SecretsNotReady
from secrets_ref.models import CustomerRole, Drift, Secret, Store
from tests.product.secret_places import maintainer
from tests.product.store import root, set_secret
from tests.product.test_secrets_grants import reader, refused
from tests.product.visitors import signed_in
from tests.product.world import World

ACCOUNT, REGION = "123456789012", "eu-central-1"


class Customer:
    """The customer's account as its administrator has it; locally it is the one account there is."""

    def __init__(self, world: World, org: Organization) -> None:
        self.world, self.org = world, org
        self.tag = uuid4().hex[:12]
        self.name = f"envforge-import-{self.tag}"
        self.arn = f"arn:aws:iam::{ACCOUNT}:role/{self.name}"
        self.role = role_operations.register_customer_role(
            actor=self.actor, org_id=org.id, role_arn=self.arn, region=REGION
        )

    @property
    def actor(self) -> Any:
        return (self.world.alice if self.org == self.world.acme else self.world.mallory).as_actor()

    def make(self, trust: str = "", permissions: str = "") -> None:
        """The role as the page says, or otherwise."""
        iam = root("iam")
        iam.create_role(
            RoleName=self.name, AssumeRolePolicyDocument=trust or customer_roles.trust_policy(self.role)
        )
        self.allow(permissions or customer_roles.permissions(self.role))

    def allow(self, permissions: str) -> None:
        root("iam").put_role_policy(RoleName=self.name, PolicyName="reads", PolicyDocument=permissions)

    def trust(self, trust: str) -> None:
        root("iam").update_assume_role_policy(RoleName=self.name, PolicyDocument=trust)

    def put(self, name: str, value: str, kind: str = "SecureString") -> str:
        path = f"/billing-{self.tag}/{name}"
        root("ssm").put_parameter(Name=path, Value=value, Type=kind, Overwrite=True)
        return path

    def check(self) -> str:
        return role_operations.check_customer_role(actor=self.actor, org_id=self.org.id, role_id=self.role.id)

    def take(self, path: str, name: str = "DB", **others: Any) -> Secret:
        return role_operations.import_through_role(
            **{
                "actor": self.actor,
                "org_id": self.org.id,
                "role_id": self.role.id,
                "path": path,
                "name": name,
                **others,
            }
        )

    def fresh(self) -> CustomerRole:
        with tenancy.enter(self.org.id):
            return CustomerRole.objects.get(id=self.role.id)

    def told(self, kind: str) -> list[Event]:
        with tenancy.enter(self.org.id):
            return list(Event.objects.filter(kind=kind).order_by("id"))


@pytest.fixture
def customer(world: World) -> Customer:
    return Customer(world, world.acme)


@pytest.fixture
def ready(customer: Customer) -> Customer:
    customer.make()
    assert customer.check() == ""
    return customer


def compare(world: World) -> None:
    with tenancy.enter(world.acme.id):
        Store.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    reconcile.compare(world.acme.id)


def test_k1_a_role_is_used_once_it_lets_us_in_with_its_external_id_and_nobody_without(
    customer: Customer,
) -> None:
    assert customer.check() == customer_roles.WORDS["denied"]  # there is no such role
    customer.make()
    assert customer.check() == ""
    assert customer.fresh().checked_at is not None
    seen = role_selectors.roles(actor=customer.actor, slug=customer.org.slug).roles[0]
    assert customer.role.external_id in seen.trust_policy
    assert json.loads(seen.permissions)
    assert [one.facts["result"] for one in customer.told("customer_role.checked")] == ["denied", "holds"]


@pytest.mark.parametrize(
    "condition",
    [{}, {"StringLike": {"sts:ExternalId": "envforge-*"}}, {"StringEquals": {"sts:ExternalId": "another"}}],
)
def test_k1_a_role_that_others_of_ours_could_name_is_refused(
    customer: Customer, condition: dict[str, Any]
) -> None:
    trust = json.loads(customer_roles.trust_policy(customer.role))
    trust["Statement"][0]["Condition"] = condition
    customer.make(trust=json.dumps(trust))
    wanted = "denied" if "StringEquals" in condition else "open"
    assert customer.check() == customer_roles.WORDS[wanted]
    with pytest.raises(Conflict, match="not seen to hold"):
        customer.take(customer.put("DB", "v"))


def test_k1_a_role_of_another_organizations_is_nobodys_deputy(ready: Customer, world: World) -> None:
    """K1: Mallet registers Acme's role; its external id is another, so nothing opens."""
    thief = Customer.__new__(Customer)
    thief.world, thief.org, thief.tag, thief.name, thief.arn = (
        world,
        world.mallet,
        ready.tag,
        ready.name,
        ready.arn,
    )
    thief.role = role_operations.register_customer_role(
        actor=thief.actor, org_id=world.mallet.id, role_arn=ready.arn, region=REGION
    )
    assert thief.role.external_id != ready.role.external_id
    assert thief.check() == customer_roles.WORDS["denied"]
    with pytest.raises(NotVisible):
        role_operations.check_customer_role(actor=thief.actor, org_id=world.mallet.id, role_id=ready.role.id)


def test_a_role_that_may_not_list_says_so(customer: Customer) -> None:
    statement = {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"}
    customer.make(permissions=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert customer.check() == customer_roles.WORDS["rights"]


@pytest.mark.parametrize(
    ("arn", "region"),
    [
        (f"arn:aws:iam::{ACCOUNT}:role/envforge-secrets-reader", REGION),
        (f"arn:aws:iam::{ACCOUNT}:role/admin", REGION),
        (f"arn:aws:iam::{ACCOUNT}:user/envforge-import", REGION),
        ("envforge-import", REGION),
        (f"arn:aws:iam::{ACCOUNT}:role/envforge-import", "mars"),
        (f"arn:aws:iam::{ACCOUNT}:role/envforge-import", "eu-central-1.evil.test"),
    ],
)
def test_what_is_no_role_is_refused(world: World, arn: str, region: str) -> None:
    with pytest.raises(Invalid):
        role_operations.register_customer_role(
            actor=world.alice.as_actor(), org_id=world.acme.id, role_arn=arn, region=region
        )


def test_k1_k2_a_session_through_the_role_reads_exactly_what_was_imported(
    ready: Customer, world: World
) -> None:
    path, other = ready.put("DB", "theirs"), ready.put("OTHER", "not imported")
    secret = ready.take(f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{path}")
    again = ready.take(path)
    assert (secret.id, secret.path, secret.version) == (again.id, path, 1)
    own = set_secret(world, "OWN", "ours")
    (grant,) = grants.resolve_grants(org_id=world.acme.id, wanted=[("web", ["DB", "OWN"])])
    ours, theirs = grants.mint_credentials(org_id=world.acme.id, references=grant.references.values())
    assert ours.arns == (f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{own.path}",)
    assert theirs.arns == (f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{path}",)
    ssm = reader(theirs)
    (found,) = ssm.get_parameters(Names=[path], WithDecryption=True)["Parameters"]
    assert found["Value"] == "theirs"
    assert refused(ssm.get_parameter, Name=other, WithDecryption=True)
    assert refused(ssm.get_parameter, Name=own.path, WithDecryption=True)
    assert refused(ssm.describe_parameters)
    assert refused(reader(ours).get_parameter, Name=path, WithDecryption=True)


def test_k2_many_parameters_are_packed_and_every_policy_fits(
    ready: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    really = sts.open_customers

    def measured(org_id: UUID, role_arn: str, policy: str, **others: Any) -> Any:
        sizes.append(len(policy))
        return really(org_id, role_arn, policy, **others)

    for number in range(12):
        ready.take(ready.put(f"{'N' * 150}{number:02}", "v"), f"DB_{number:02}")
    monkeypatch.setattr(sts, "open_customers", measured)
    names = [f"DB_{number:02}" for number in range(12)]
    (grant,) = grants.resolve_grants(org_id=ready.org.id, wanted=[("web", names)])
    sessions = grants.mint_credentials(org_id=ready.org.id, references=grant.references.values())
    assert sum(len(one.arns) for one in sessions) == 12
    assert max(sizes) <= 2048
    assert max(len(one.arns) for one in sessions) <= 10


def test_k1_a_reference_to_what_was_never_imported_is_not_minted(ready: Customer, world: World) -> None:
    path = ready.put("DB", "v")
    elsewhere = Reference(uuid4(), "DB", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{path}", 1)
    with pytest.raises(ValueError, match="somebody else"):
        grants.mint_credentials(org_id=ready.org.id, references=[elsewhere])
    ready.take(path)
    with pytest.raises(ValueError, match="somebody else"):
        grants.mint_credentials(org_id=world.mallet.id, references=[elsewhere])


def test_k1_in_our_own_account_nothing_below_our_prefixes_is_a_customers(
    ready: Customer, world: World
) -> None:
    theirs = operations.set_secret(
        actor=world.mallory.as_actor(), org_id=world.mallet.id, name="KEY", value=SecretValue("v")
    )
    for path in (
        theirs.path,
        "/envforge-platform/x/y",
        "/envforge",
        "relative",
        "/a//b",
        "/a/../b",
        "arn:aws:ssm:us-east-1:1:parameter/a",
    ):
        with pytest.raises(Invalid):
            ready.take(path)


def test_what_cannot_be_imported_is_said(ready: Customer, world: World) -> None:
    with pytest.raises(Invalid, match="nothing to import"):
        ready.take("/nothing/there")
    with pytest.raises(Invalid) as plain:
        ready.take(ready.put("PLAIN", "v", kind="String"))
    assert "SecureString" in plain.value.fields["path"]
    set_secret(world, "TAKEN", "v")
    with pytest.raises(Conflict, match="here already"):
        ready.take(ready.put("DB", "v"), "TAKEN")


def test_who_may(ready: Customer, world: World) -> None:
    """Who changes a project's secrets could read by a role whatever it reads: that takes an administrator."""
    path = ready.put("DB", "v")
    for who in (maintainer(world, uuid4()), world.bob, world.vera):
        with pytest.raises(NotAllowed):
            ready.take(path, actor=who.as_actor())
    with pytest.raises(NotVisible):
        ready.take(path, actor=world.mallory.as_actor())


def test_its_value_is_changed_and_deleted_by_the_customer_alone(ready: Customer, world: World) -> None:
    path = ready.put("DB", "theirs")
    secret = ready.take(path)
    alice = world.alice.as_actor()
    with pytest.raises(Conflict, match="your own account"):
        operations.rotate_secret(
            actor=alice, org_id=ready.org.id, secret_id=secret.id, value=SecretValue("x")
        )
    with pytest.raises(Conflict, match="your own account"):
        set_secret(world, "DB", "x")
    with pytest.raises(Conflict, match="DB is read through it"):
        role_operations.remove_customer_role(actor=alice, org_id=ready.org.id, role_id=ready.role.id)
    operations.delete_secret(actor=alice, org_id=ready.org.id, secret_id=secret.id)
    compare(world)
    assert root("ssm").get_parameter(Name=path, WithDecryption=True)["Parameter"]["Value"] == "theirs"
    assert len(ready.told("secret.released")) == 1
    assert ready.told("secret.deleted") == []
    role_operations.remove_customer_role(actor=alice, org_id=ready.org.id, role_id=ready.role.id)


def test_drift_there_is_seen_and_a_role_that_closes_changes_nothing(ready: Customer, world: World) -> None:
    path = ready.put("DB", "1")
    secret = ready.take(path)

    def now() -> Secret:
        with tenancy.enter(ready.org.id):
            return Secret.objects.get(id=secret.id)

    compare(world)
    assert (now().version, now().drift) == (1, Drift.NONE)
    ready.put("DB", "2")
    compare(world)
    assert (now().version, now().drift) == (2, Drift.CHANGED)
    ready.trust(
        json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}],
            }
        )
    )
    ready.put("DB", "3")
    compare(world)
    assert (now().version, now().drift, ready.fresh().trouble) == (2, Drift.CHANGED, "denied")
    with pytest.raises(SecretsNotReady, match="does not hold"):
        grants.resolve_grants(org_id=ready.org.id, wanted=[("web", ["DB"])])
    ready.trust(customer_roles.trust_policy(ready.role))
    root("ssm").delete_parameter(Name=path)
    compare(world)
    assert (now().drift, ready.fresh().trouble) == (Drift.DELETED, "")
    with pytest.raises(SecretsNotReady, match="deleted in your account"):
        grants.resolve_grants(org_id=ready.org.id, wanted=[("web", ["DB"])])
    assert [one.facts["change"] for one in ready.told("secret.drifted")] == ["changed", "deleted"]


def test_k1_a_role_that_opens_to_all_later_is_read_through_no_more(ready: Customer, world: World) -> None:
    """K1: found by the sweep, also of one that was closed in between; what was asked for before is not minted either."""
    ready.take(ready.put("DB", "1"))
    (grant,) = grants.resolve_grants(org_id=ready.org.id, wanted=[("web", ["DB"])])
    opened = json.loads(customer_roles.trust_policy(ready.role))
    del opened["Statement"][0]["Condition"]
    closed = {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}
    ready.trust(json.dumps({"Version": "2012-10-17", "Statement": [closed]}))
    compare(world)
    assert ready.fresh().trouble == "denied"
    ready.trust(json.dumps(opened))
    for _ in range(2):
        compare(world)
        assert ready.fresh().trouble == "open"
    with pytest.raises(SecretsNotReady, match="does not hold"):
        grants.resolve_grants(org_id=ready.org.id, wanted=[("web", ["DB"])])
    with pytest.raises(Unavailable, match="does not hold"):
        grants.mint_credentials(org_id=ready.org.id, references=grant.references.values())
    ready.trust(customer_roles.trust_policy(ready.role))
    compare(world)
    assert ready.fresh().trouble == ""
    assert grants.mint_credentials(org_id=ready.org.id, references=grant.references.values())
    results = [one.facts["result"] for one in ready.told("customer_role.checked")]
    assert results == ["holds", "denied", "open", "holds"]


def test_the_api_goes_the_whole_way(customer: Customer, world: World) -> None:
    customer.make()
    alice = signed_in(world.alice)
    at = f"/api/v1/orgs/{world.acme.slug}/customer-roles"

    def send(address: str, sent: Any = None) -> Any:
        return alice.post(address, sent or {}, content_type="application/json")

    (shown,) = alice.get(at).json()["roles"]
    assert shown["trouble"] == customer_roles.WORDS["unchecked"]
    one = f"{at}/{shown['id']}"
    assert send(f"{one}/check").json() == {"trouble": ""}
    path = customer.put("DB", "canary-of-the-customer")
    done = send(f"{one}/import", {"path": path, "name": "DB"})
    assert (done.status_code, done.json()["version"]) == (200, 1)
    (listed,) = selectors.secrets(actor=customer.actor, slug=world.acme.slug).secrets
    assert listed.role == customer.name
    assert "canary" not in alice.get(f"/api/v1/orgs/{world.acme.slug}/secrets").content.decode()
    assert alice.delete(one).status_code == 409


def test_a_deletion_is_told_when_it_is_asked_for(world: World) -> None:
    """The wish and its event are one transaction: the store may be done much later."""
    secret = set_secret(world, "KEY", "v")
    operations.delete_secret(actor=world.alice.as_actor(), org_id=world.acme.id, secret_id=secret.id)
    with tenancy.enter(world.acme.id):
        kinds = list(
            Event.objects.filter(target_id=str(secret.id)).order_by("id").values_list("kind", flat=True)
        )
    assert kinds == ["secret.set", "secret.deletion_asked", "secret.deleted"]
