"""The policy, cell by cell: who may do each action, and by which rule the others may not (I2, DESIGN 4)."""

from uuid import uuid4

import pytest

from envforge import tenancy
from envforge.actor import SYSTEM, Actor, ServiceAccountActor, Target
from envforge.errors import NotAllowed, NotVisible
from orgs import policy, staff, visits
from orgs.models import Membership, RoleGrant, ServiceAccount
from orgs.policy import RULES, About, Action
from orgs.roles import ROLES_OF, Role, Scope
from tests.product.world import World

# o owner, a admin, d developer, v viewer, b billing; M maintainer, C contributor, R reader; O operator, c collaborator,
# s observer. Written by hand, beside the table and not from it.
EXPECTED = {
    "organization.view": "oadvb MCR Ocs",
    "organization.rename": "oa",
    "organization.archive": "o",
    "member.invite": "oa",
    "member.add": "oa",
    "member.suspend": "oa",
    "member.remove": "oa",
    "role.grant": "oa M O",
    "role.revoke": "oa M O",
    "service_account.manage": "oa",
    "audit.read": "oa",
    "audit.export": "oa",
    "webhook.manage": "oa",
    "security.view": "oadvb MCR Ocs",
    "project.view": "oadv MCR",
    "project.create": "oad",
    "project.archive": "oa M",
    "repository.manage": "oa M",
    "forge_app.manage": "oa",
    "contract.approve": "oa M",
    "binding.change": "oa M",
    "resource.change_mode": "oa M",
    "secret.view": "oad MC",
    "secret.change": "oa M",
    "customer_role.manage": "oa",
    "workspace.view": "oadv MCR Ocs",
    "workspace.create": "oad MC",
    "workspace.archive": "oa M O",
    "workspace.delete": "oa M O",
    "workspace.delete_data": "oa M O",
    "shell.connect": "oa MC Oc",
    "console.forward": "oa MC Oc",
    "runtime.wake": "oad MC Oc",
    "runtime.sleep": "oad MC Oc",
    "command.run": "oad MC Oc",
    "command.read_output": "oad MC Oc",
    "log.read": "oad MC Oc",
    "receipt.view": "oadv MCR Ocs",
    "dev_link.view": "oadv MCR Ocs",
    "dev_link.issue": "oa MC Oc",
    "dev_link.revoke": "oa M O",
    "dev_link.change": "oa M O",
    "dev_link.set_policy": "oa",
    "dev_url.open": "oadv MCR Ocs",
    "placement.view": "oadv MCR",
    "placement.export": "oa",
    "host.dedicate": "oa",
    "usage.view": "oadvb MCR Ocs",
    "billing.view": "oab",
    "cap.set": "oab",
    "root.set_policy": "o",
    "root.request": "oa MC Oc",
    "root.approve": "oa",
    "tailnet.connect": "oa",
    "tailnet.set_mode": "oa M O",
}
LETTERS = {
    "o": Role.OWNER,
    "a": Role.ADMIN,
    "d": Role.DEVELOPER,
    "v": Role.VIEWER,
    "b": Role.BILLING,
    "M": Role.MAINTAINER,
    "C": Role.CONTRIBUTOR,
    "R": Role.READER,
    "O": Role.OPERATOR,
    "c": Role.COLLABORATOR,
    "s": Role.OBSERVER,
}
SCOPE_OF = {role: scope for scope, roles in ROLES_OF.items() for role in roles}
PROJECT, WORKSPACE = uuid4(), uuid4()
OPEN = About(root_mode="break_glass")


def test_every_action_is_decided() -> None:
    assert set(EXPECTED) == {action.value for action in Action} == {action.value for action in RULES}


@pytest.fixture(scope="module")
def holders() -> "tuple[World, dict[Role, Actor]]":
    """A member for each role, holding it and no other, in the scope it belongs to."""
    world = World()
    people: dict[Role, Actor] = {}
    where = {Scope.ORGANIZATION: world.acme.id, Scope.PROJECT: PROJECT, Scope.WORKSPACE: WORKSPACE}
    for role in Role:
        person = world.person(role.value.capitalize())
        with tenancy.enter(world.acme.id):
            membership = Membership.objects.create(person=person)
            scope = SCOPE_OF[role]
            RoleGrant.objects.create(membership=membership, role=role, scope=scope, scope_id=where[scope])
        people[role] = person.as_actor()
    return world, people


@pytest.mark.parametrize("action", Action)
def test_who_may(action: Action, holders: tuple[World, dict[Role, Actor]]) -> None:
    world, people = holders
    target = Target("organization", str(world.acme.id), "Acme", workspace_id=WORKSPACE, project_id=PROJECT)
    allowed = set()
    with tenancy.enter(world.acme.id):
        for role, actor in people.items():
            answer = policy.explain(actor, action, target=target, about=OPEN)[action]
            if answer.allowed:
                allowed.add(role)
            else:
                assert answer.rule == "role"
                assert answer.why
    assert allowed == {LETTERS[letter] for letter in EXPECTED[action.value].replace(" ", "")}


def test_a_role_reaches_no_further_than_its_scope(holders: tuple[World, dict[Role, Actor]]) -> None:
    world, people = holders
    elsewhere = Target("workspace", "1", "other", workspace_id=uuid4(), project_id=uuid4())
    with tenancy.enter(world.acme.id):
        for role in (Role.MAINTAINER, Role.OPERATOR, Role.READER):
            with pytest.raises(NotVisible):
                policy.require(people[role], Action.WORKSPACE_VIEW, elsewhere)
        policy.require(people[Role.VIEWER], Action.WORKSPACE_VIEW, elsewhere)


def test_conditions_refuse_by_name(holders: tuple[World, dict[Role, Actor]]) -> None:
    world, people = holders
    workspace = Target("workspace", str(WORKSPACE), "feature", workspace_id=WORKSPACE, project_id=PROJECT)
    admin = people[Role.ADMIN]
    cases = (
        (Action.DEV_LINK_ISSUE, About(private=True), "private-workspace"),
        (Action.DEV_URL_OPEN, About(private=True), "private-workspace"),
        (Action.ROOT_REQUEST, About(root_mode="disabled"), "root-policy"),
        (
            Action.ROOT_APPROVE,
            About(root_mode="elevation", involved=admin.people),
            "requester-is-not-approver",
        ),
    )
    with tenancy.enter(world.acme.id):
        for action, about, rule in cases:
            with pytest.raises(NotAllowed) as refused:
                policy.require(admin, action, workspace, about)
            assert refused.value.denial.rule == rule


def test_what_is_one_s_own_one_may_end(holders: tuple[World, dict[Role, Actor]]) -> None:
    world, people = holders
    workspace = Target("workspace", str(WORKSPACE), "feature", workspace_id=WORKSPACE, project_id=PROJECT)
    collaborator = people[Role.COLLABORATOR]
    (person_id,) = collaborator.people
    with tenancy.enter(world.acme.id):
        policy.require(collaborator, Action.DEV_LINK_REVOKE, workspace, About(belongs_to=person_id))
        with pytest.raises(NotAllowed):
            policy.require(collaborator, Action.DEV_LINK_REVOKE, workspace, About(belongs_to=uuid4()))


def test_n2_a_token_narrows_and_never_widens(world: World) -> None:
    with tenancy.enter(world.acme.id):
        account = ServiceAccount.objects.create(name="ci", created_by=world.alice)
        RoleGrant.objects.create(service_account=account, role=Role.VIEWER)

        def actor(*scopes: str) -> ServiceAccountActor:
            return ServiceAccountActor(
                id=str(account.id),
                label="ci",
                account_id=account.id,
                org_id=world.acme.id,
                scopes=frozenset(scopes),
            )

        target = world.acme
        policy.require(actor("usage.view"), Action.USAGE_VIEW, target)
        with pytest.raises(NotAllowed) as refused:
            policy.require(actor("usage.view"), Action.SECURITY_VIEW, target)
        assert refused.value.denial.rule == "token-scope"
        with pytest.raises(NotAllowed) as refused:
            policy.require(actor(*Action), Action.ORGANIZATION_RENAME, target)
        assert refused.value.denial.rule == "role"


def test_n3_support_looks_and_changes_nothing(world: World) -> None:
    person = world.person("Sam")
    staff.grant_staff(actor=SYSTEM, person=person, days=1)
    visits.enter_organization(actor=person.as_actor(), wanted=world.acme.slug, reason="help", ticket="T-1")
    sam = visits.support_actor(actor=person.as_actor(), org_id=world.acme.id)
    may = set()
    with tenancy.enter(world.acme.id):
        for action, answer in policy.explain(sam, *Action).items():
            if answer.allowed:
                may.add(action)
            else:
                assert answer.rule == "support-reads-only"
    assert may == {Action.ORGANIZATION_VIEW, Action.AUDIT_READ}
    mallet = world.mallet
    with tenancy.enter(mallet.id), pytest.raises(NotVisible):
        policy.explain(sam, Action.ORGANIZATION_VIEW)


def test_a_suspended_member_sees_nothing(world: World) -> None:
    with tenancy.enter(world.acme.id):
        bob = world.bob
        Membership.objects.filter(person=bob).update(suspended_at="2026-01-01T00:00Z")
        for action in Action:
            with pytest.raises(NotVisible):
                policy.require(bob.as_actor(), action, world.acme)


def test_asking_costs_one_query(world: World, django_assert_num_queries: object) -> None:
    bob, acme = world.bob.as_actor(), world.acme
    with tenancy.enter(acme.id), django_assert_num_queries(1):  # type: ignore[operator]
        policy.explain(bob, *Action)
