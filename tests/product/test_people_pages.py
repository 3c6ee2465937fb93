"""Members, invitations, roles and service accounts through the HTTP door (I2, I3, I4, I5, N2)."""

import re
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from envforge import tenancy
from envforge.actor import Actor, HostActor
from envforge.errors import NotVisible
from orgs import operations, policy, tokens
from orgs.directory import enlist
from orgs.links import invitation_link, invitation_path
from orgs.models import Invitation, Membership, Person, RoleGrant, ServiceAccount, Token
from orgs.policy import RULES, Action
from orgs.policy.matrix import groups, scope_groups
from orgs.policy.surfaces import SURFACES
from orgs.roles import Role
from tests.product.visitors import anonymous, signed_in
from tests.product.world import World

ROLES = ("alice", "adam", "bob", "vera", "bill")
MANAGERS = {"alice", "adam"}


def at(world: World, rest: str) -> str:
    return f"/o/{world.acme.slug}/{rest}"


def invite(world: World, person: Person, role: Role = Role.DEVELOPER) -> Invitation:
    return operations.invite_member(
        actor=world.alice.as_actor(), org_id=world.acme.id, inviter=world.alice, email=person.email, role=role
    )


def account_of(world: World, acts_for: Person | None = None) -> ServiceAccount:
    return operations.create_service_account(
        actor=world.alice.as_actor(),
        org_id=world.acme.id,
        creator=world.alice,
        name="ci",
        role=Role.DEVELOPER,
        acts_for=acts_for.id if acts_for else None,
    )


def issue(browser: Client, world: World, account: ServiceAccount, name: str = "laptop") -> str:
    answer = browser.post(
        at(world, f"tokens/{account.id}"),
        {"name": name, "scopes": [Action.USAGE_VIEW.value, Action.LOG_READ.value], "lifetime": "7"},
    )
    assert answer.status_code == 200, answer.text
    assert answer["Cache-Control"] == "no-store"
    found = re.search(r'class="once" id="once">(envf_sa_[\w-]+)<', answer.text)
    assert found
    return found[1]


def roles(world: World, person: Person) -> set[str]:
    with tenancy.enter(world.acme.id):
        return set(RoleGrant.objects.filter(membership__person=person).values_list("role", flat=True))


PAGES = ("members", "members/{bob}", "members/{bob}/suspend", "members/{bob}/remove", "roles", "tokens")
POSTS = {
    "members": {"email": "new@x.test", "role": "viewer"},
    "members/{bob}/roles/give": {"role": "viewer"},
    "members/{bob}/roles/take": {"role": "developer", "scope": "organization"},
    "members/{bob}/suspend": {},
    "members/{bob}/restore": {},
    "members/{bob}/remove": {},
    "invitations/{invitation}/take-back": {},
    "tokens": {"name": "bot", "role": "viewer"},
    "tokens/{account}": {"name": "t", "scopes": "usage.view", "lifetime": "7"},
    "tokens/{account}/remove": {},
}


@pytest.mark.parametrize("page", PAGES)
def test_i5_a_stranger_and_a_suspended_member_see_what_is_not_there(page: str, world: World) -> None:
    operations.suspend_member(actor=world.alice.as_actor(), org_id=world.acme.id, person_id=world.vera.id)
    for person in (world.mallory, world.vera):
        browser = signed_in(person)
        for slug in (world.acme.slug, "no-such-place"):
            assert browser.get(f"/o/{slug}/{page.format(bob=world.bob.id)}").status_code == 404


@pytest.mark.parametrize("name", ROLES)
def test_each_role_sees_the_pages_and_only_the_acts_it_may_do(name: str, world: World) -> None:
    browser = signed_in(getattr(world, name))
    bob = world.bob.id
    texts = {page: browser.get(at(world, page.format(bob=bob))) for page in PAGES}
    assert {page: answer.status_code for page, answer in texts.items()} == dict.fromkeys(PAGES, 200)
    may = name in MANAGERS
    assert ('<button class="first">Invite' in texts["members"].text) is may
    assert (
        "You can look, not invite. This takes the role owner or admin." in texts["members"].text
    ) is not may
    assert ("Give role" in texts["members/{bob}"].text) is may
    assert ("Remove…" in texts["members/{bob}"].text) is may
    assert ("Leave…" in texts["members/{bob}"].text) is (name == "bob")
    assert ("Create account" in texts["tokens"].text) is may
    for answer in texts.values():
        assert len(re.findall(r'class="(?:button )?(?:first|danger)"', answer.text)) <= 1
        assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=", answer.text)
        assert answer.text.count("<h1") == 1


@pytest.mark.parametrize("name", ["bob", "vera", "bill", "mallory", "suspended"])
@pytest.mark.parametrize("post", POSTS)
def test_i2_who_may_not_act_is_refused_and_changes_nothing(name: str, post: str, world: World) -> None:
    target = world.member("Target", Role.DEVELOPER)
    invitation, account = invite(world, world.person("Nora")), account_of(world)
    if name == "suspended":
        operations.suspend_member(actor=world.alice.as_actor(), org_id=world.acme.id, person_id=world.adam.id)
    browser = signed_in(world.adam if name == "suspended" else getattr(world, name))
    ids = {"bob": target.id, "invitation": invitation.id, "account": account.id}
    before = state(world)
    answer = browser.post(at(world, post.format(**ids)), POSTS[post])
    assert answer.status_code == (404 if name in {"mallory", "suspended"} else 403)
    assert state(world) == before


def state(world: World) -> list[list[tuple[object, ...]]]:
    with tenancy.enter(world.acme.id):
        return [
            list(model.objects.order_by("id").values_list())
            for model in (Membership, RoleGrant, Invitation, ServiceAccount, Token)
        ]


@pytest.mark.parametrize("post", [post for post in POSTS if "{" in post])
def test_n1_ids_of_another_organization_are_nothing(post: str, world: World) -> None:
    target, account = world.bob, account_of(world)
    invitation = invite(world, world.person("Nora"))
    ids = {"bob": target.id, "invitation": invitation.id, "account": account.id}
    assert world.mallet
    before = state(world)
    answer = signed_in(world.mallory).post(f"/o/{world.mallet.slug}/{post.format(**ids)}", POSTS[post])
    assert answer.status_code == 404
    assert state(world) == before


def test_n2_inviting_accepting_and_the_second_click(world: World) -> None:
    nora = world.person("Nora")
    alice, browser = signed_in(world.alice), signed_in(nora)
    posted = {"email": nora.email, "role": "developer"}
    assert alice.post(at(world, "members"), posted).status_code == 303
    again = alice.post(at(world, "members"), posted)
    assert again.status_code == 409
    assert "is open already" in again.text
    assert f'value="{nora.email}"' in again.text
    home = browser.get("/").text
    assert "You are invited" in home
    assert "Acme" in home
    [path] = re.findall(r'href="(/invitations/[^"]+)"', home)
    with tenancy.enter(world.acme.id):
        link = invitation_link(Invitation.objects.get().id)
    assert link is not None
    assert link.reveal_text().endswith(path)
    page = browser.get(path).text
    assert "Alice invites you to Acme" in page
    assert "Join Acme" in page
    wrong = signed_in(world.mallory).post(path)
    assert wrong.status_code == 409
    assert "for another address" in wrong.text
    assert browser.post(path)["location"] == at(world, "")
    assert roles(world, nora) == {"developer"}
    second = browser.post(path)
    assert second.status_code == 409
    assert "You are in Acme by this invitation" in second.text
    assert "has been used already" in signed_in(world.mallory).get(path).text


def test_an_altered_link_and_one_that_is_over(world: World) -> None:
    nora = world.person("Nora")
    invitation = invite(world, nora)
    path, browser = invitation_path(invitation.id), signed_in(nora)
    flipped = path[:-1] + ("A" if path[-1] != "A" else "B")
    for bad in (flipped, path.replace(str(invitation.id), str(uuid4())), f"/invitations/{invitation.id}"):
        assert browser.get(bad).status_code == 404
        assert browser.post(bad).status_code == 404
    assert anonymous().get(path)["location"].startswith("/sign-in?next=")
    taken = signed_in(world.alice).post(at(world, f"invitations/{invitation.id}/take-back"))
    assert taken.status_code == 303
    assert "This invitation is over" in browser.get(path).text
    assert browser.post(path).status_code == 409


def test_roles_are_given_and_taken(world: World) -> None:
    alice, page = signed_in(world.alice), at(world, f"members/{world.bob.id}")
    for _ in range(2):
        assert alice.post(page + "/roles/give", {"role": "billing"}).status_code == 303
    assert roles(world, world.bob) == {"billing", "developer"}
    unknown = alice.post(page + "/roles/give", {"role": "emperor"})
    assert unknown.status_code == 422
    taken = {"role": "billing", "scope": "organization"}
    assert alice.post(page + "/roles/take", taken).status_code == 303
    last = alice.post(page + "/roles/take", {"role": "developer", "scope": "organization"})
    assert last.status_code == 409
    assert "is the last role of Bob" in last.text
    assert signed_in(world.adam).post(page + "/roles/give", {"role": "owner"}).status_code == 403
    own = alice.get(at(world, f"members/{world.alice.id}")).text
    assert "left without an owner" in own
    assert alice.post(at(world, f"members/{world.alice.id}/remove")).status_code == 409


def count(browser: Client, address: str) -> int:
    browser.get(address)
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(address).status_code == 200
    return len(queries)


def test_pages_take_the_same_queries_with_10_and_200_members(world: World) -> None:
    addresses = [at(world, page.format(bob=world.bob.id)) for page in ("", *PAGES)]
    addresses.append(at(world, f"tokens/{account_of(world).id}"))
    browser = signed_in(world.alice)

    def grow(first: int, end: int) -> None:
        with tenancy.enter(world.acme.id):
            for number in range(first, end):
                enlist(world.person(f"Person{number:03}"))[0].grants.create(role=Role.VIEWER)

    grow(0, 8)
    before = {address: count(browser, address) for address in addresses}
    grow(8, 198)
    assert {address: count(browser, address) for address in addresses} == before
    # The page before a removal counts each kind of thing that a member may hold.
    assert max(before.values()) <= 30


def test_two_hundred_members_are_read_in_pages_and_found(world: World) -> None:
    with tenancy.enter(world.acme.id):
        for number in range(120):
            enlist(world.person(f"Person{number:03}"))[0].grants.create(role=Role.VIEWER)
    browser, address, seen = signed_in(world.alice), at(world, "members"), []
    while True:
        text = browser.get(address).text
        seen += re.findall(r'class="named" href="[^"]+"><strong>([^<]+)', text)
        following = re.search(r'href="(\?[^"]*after=[^"]+)">Next', text)
        if not following:
            break
        address = at(world, "members") + following[1].replace("&amp;", "&")
    assert seen == ["Alice", *(f"Person{number:03}" for number in range(120))]
    found = browser.get(at(world, "members"), {"q": "person01"}).text
    assert len(re.findall(r'class="named"', found)) == 10
    assert "Nobody here is called “zzz”" in browser.get(at(world, "members"), {"q": "zzz"}).text


def test_i3_a_token_is_shown_once_and_kept_nowhere(
    world: World, admin: psycopg.Connection, capfd: pytest.CaptureFixture[str]
) -> None:
    account, browser = account_of(world), signed_in(world.alice)
    value = issue(browser, world, account)
    twice = browser.post(
        at(world, f"tokens/{account.id}"), {"name": "laptop", "scopes": "usage.view", "lifetime": "7"}
    )
    assert twice.status_code == 409
    assert "There is a token laptop already" in twice.text
    for page in (f"tokens/{account.id}", "tokens", ""):
        assert value not in browser.get(at(world, page)).text
    assert tokens.actor_of(value)
    tables = admin.execute(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = 'public'"
    ).fetchall()
    assert len(tables) > 8
    for schema, table in tables:
        hits = admin.execute(
            f'SELECT count(*) FROM "{schema}"."{table}" AS row WHERE row::text LIKE %s', [f"%{value[8:]}%"]
        ).fetchone()
        assert hits == (0,), table
    said = capfd.readouterr()
    assert value not in said.out + said.err


def test_i3_what_a_token_stands_for_and_when_it_stops(world: World, admin: psycopg.Connection) -> None:
    account, browser = account_of(world, acts_for=world.bob), signed_in(world.alice)
    value = issue(browser, world, account)
    actor = tokens.actor_of(value)
    assert actor
    assert (actor.account_id, actor.org_id, actor.acts_for) == (account.id, world.acme.id, world.bob.id)
    assert actor.scopes == {"usage.view", "log.read"}
    with tenancy.enter(world.acme.id):
        used = Token.objects.get().last_used_at
        assert used
    assert tokens.actor_of(value)
    with tenancy.enter(world.acme.id):
        assert Token.objects.get().last_used_at == used, "kept to five minutes"
        Token.objects.update(last_used_at=used - timedelta(minutes=6))
    assert tokens.actor_of(value)
    with tenancy.enter(world.acme.id):
        assert Token.objects.get().last_used_at not in {None, used, used - timedelta(minutes=6)}
        Membership.objects.filter(person=world.bob).update(suspended_at=timezone.now())
    assert tokens.actor_of(value) is None
    with tenancy.enter(world.acme.id):
        Membership.objects.filter(person=world.bob).update(suspended_at=None)
    assert tokens.actor_of(value)
    admin.execute("UPDATE orgs_token SET expires_at = now() WHERE org_id = %s", [world.acme.id])
    admin.commit()
    assert tokens.actor_of(value) is None
    for wrong in ("", "envf_sa_", value[:-1], value + "x" * 200, value.removeprefix("envf_sa_")):
        assert tokens.actor_of(wrong) is None


def test_tokens_and_accounts_are_ended_from_the_page(world: World) -> None:
    account, browser = account_of(world), signed_in(world.alice)
    first, second = issue(browser, world, account), issue(browser, world, account, "other")
    with tenancy.enter(world.acme.id):
        token = Token.objects.get(name="laptop")
    revoke = at(world, f"tokens/{account.id}/{token.id}/revoke")
    assert world.mallet
    elsewhere = revoke.replace(world.acme.slug, world.mallet.slug)
    assert signed_in(world.mallory).post(elsewhere).status_code == 404
    assert signed_in(world.bob).post(revoke).status_code == 403
    assert tokens.actor_of(first)
    assert [browser.post(revoke).status_code for _ in range(2)] == [303, 303]
    assert (tokens.actor_of(first), bool(tokens.actor_of(second))) == (None, True)
    remove = at(world, f"tokens/{account.id}/remove")
    assert "1 token stops working at once" in browser.get(remove).text
    assert browser.post(remove)["location"] == at(world, "tokens")
    assert browser.post(remove).status_code == 404
    assert tokens.actor_of(second) is None


def test_what_was_typed_stays_on_the_token_form(world: World) -> None:
    account, browser = account_of(world), signed_in(world.alice)
    answer = browser.post(at(world, f"tokens/{account.id}"), {"name": "laptop", "lifetime": "90"})
    assert answer.status_code == 422
    assert "Choose from the list of actions" in answer.text
    assert 'value="laptop"' in answer.text
    assert '<option value="90" selected>' in answer.text
    nobody = browser.post(at(world, "tokens"), {"name": "bot", "role": "viewer", "acts_for": "no@x.test"})
    assert nobody.status_code == 422
    assert "No member has this verified address." in nobody.text
    made = browser.post(at(world, "tokens"), {"name": "bot", "role": "viewer", "acts_for": world.bob.email})
    assert made.status_code == 303
    assert "acting for Bob" in browser.get(made["location"]).text


def test_p2_the_documents_are_what_the_table_says(world: World) -> None:
    call_command("policy_docs", "--check")
    shown = [row.action for group in groups() for row in group.rows]
    assert sorted(shown) == sorted(Action)
    for row in (row for group in groups() for row in group.rows):
        assert {cell.role for cell in row.cells if cell.allowed} == RULES[row.action].roles
    assert sorted(action for _, actions in scope_groups() for action, _ in actions) == sorted(Action)
    page = signed_in(world.vera).get(at(world, "roles")).text
    assert all(RULES[action].says in page for action in Action if "'" not in RULES[action].says)
    assert page.count('<span class="sr">yes</span>') == sum(len(rule.roles) for rule in RULES.values())
    assert 'viewer<span class="sr"> (yours)' in page


def test_p2_a_reviewer_is_no_actor_and_a_host_has_no_action(world: World) -> None:
    surfaces = {surface.name: surface for surface in SURFACES}
    assert surfaces["Signed dev link"].actions == ()
    assert surfaces["Runtime host"].actions == ()
    assert {kind.kind for kind in Actor.__subclasses__()} == {
        "user",
        "service_account",
        "host",
        "support",
        "system",
    }
    host = HostActor(id="vm", label="a VM", host_id=uuid4(), org_id=world.acme.id, generation=1)
    with tenancy.enter(world.acme.id):
        for action in Action:
            with pytest.raises(NotVisible):
                policy.explain(host, action)
    assert {
        action for action in Action if action.value.startswith(("host.", "machine.", "runtime_host"))
    } == {Action.HOST_DEDICATE}, "one asks for a machine of one's own; nothing reaches into one"
