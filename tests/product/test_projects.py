"""Projects: who may do what, what a maintainer reviews, and where inputs may come from (W1-W3)."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import Event
from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.errors import Conflict, Invalid, NotAllowed, NotVisible
from envforge.ids import uuid7
from envforge_protocol.contract import parse
from envforge_protocol.contract.digest import digest
from projects import operations, selectors
from projects.choices import Cleanup, Mode, Source
from projects.models import Binding, Project, Proposal, Repository
from projects.operations.resources import Given
from tests.product.secret_places import maintainer
from tests.product.store import set_secret
from tests.product.world import World

WEB = """version: 1
service: {name: web}
command: run
ports: {web: 3000}
inputs: {BACKEND: route, KEY: secret, LEVEL: literal}
resources: {database: postgres}
env: {BACKEND: "${inputs.BACKEND}", KEY: "${inputs.KEY}", LEVEL: "${inputs.LEVEL}", DB: "${resources.database.url}"}
"""
BACKEND = "version: 1\nservice: {name: backend}\ncommand: run\nports: {web: 3000}\n"
CONSOLE = BACKEND.replace("name: backend", "name: backend, kind: console")


class Yard:
    """A project of Acme with one repository."""

    def __init__(self, world: World) -> None:
        self.world, self.org = world, world.acme.id
        self.alice = world.alice.as_actor()
        self.project = operations.create_project(
            actor=self.alice, org_id=self.org, slug="scheduler", name="Scheduler"
        )
        self.web = self.repository("web")

    def repository(self, name: str) -> UUID:
        made = operations.add_repository(
            actor=self.alice,
            org_id=self.org,
            project_id=self.project.id,
            name=name,
            url=f"https://git.test/acme/{name}.git",
        )
        return made.id

    def propose(self, repository: UUID, text: str, **others: Any) -> UUID | None:
        told = {"branch": "main", "commit": "c" * 40, "digest": digest(parse(text.encode()))} | others
        return operations.propose_contract(
            actor=SYSTEM, org_id=self.org, repository_id=repository, text=text, **told
        ).proposal_id

    def approve(self, repository: UUID, text: str) -> None:
        proposal = self.propose(repository, text)
        assert proposal
        operations.approve_contract(actor=self.alice, org_id=self.org, proposal_id=proposal)

    def bind(self, name: str, source: Source, **where: Any) -> None:
        operations.bind_input(
            actor=self.alice, org_id=self.org, repository_id=self.web, name=name, source=source, **where
        )

    def mode(self, mode: Mode, **others: Any) -> None:
        told: dict[str, Any] = {
            "owner": "Data team",
            "ready_within_s": 60,
            "cleanup": Cleanup.DELETE,
        } | others
        operations.set_resource_mode(
            actor=self.alice, org_id=self.org, repository_id=self.web, resource="database", mode=mode, **told
        )

    def view(self) -> selectors.OneProject:
        return selectors.project(actor=self.alice, slug=self.world.acme.slug, project=self.project.slug)

    def missing(self) -> list[str]:
        return next(one for one in self.view().repositories if one.id == self.web).missing

    def kinds(self) -> list[str]:
        with tenancy.enter(self.org):
            return list(Event.objects.order_by("at", "id").values_list("kind", flat=True))


@pytest.fixture
def yard(world: World) -> Yard:
    return Yard(world)


def acts(yard: Yard, proposal: UUID) -> list[tuple[Any, dict[str, Any]]]:
    of_web = {"org_id": yard.org, "repository_id": yard.web}
    return [
        (operations.archive_project, {"org_id": yard.org, "project_id": yard.project.id}),
        (
            operations.add_repository,
            {"org_id": yard.org, "project_id": yard.project.id, "name": "x", "url": "https://git.test/x"},
        ),
        (
            operations.change_repository,
            {**of_web, "url": "https://git.test/y", "default_branch": "main", "access_id": None},
        ),
        (operations.remove_repository, of_web),
        (operations.approve_contract, {"org_id": yard.org, "proposal_id": proposal}),
        (operations.reject_contract, {"org_id": yard.org, "proposal_id": proposal}),
        (operations.bind_input, {**of_web, "name": "LEVEL", "source": Source.LITERAL, "literal": "info"}),
        (operations.unbind_input, {**of_web, "name": "LEVEL"}),
        (
            operations.set_resource_mode,
            {
                **of_web,
                "resource": "database",
                "mode": Mode.MANAGED_LOCAL,
                "owner": "x",
                "ready_within_s": 1,
                "cleanup": Cleanup.KEEP,
            },
        ),
    ]


def test_i5_nobody_without_the_role_changes_anything(yard: Yard) -> None:
    world, proposal = yard.world, yard.propose(yard.web, WEB)
    assert proposal
    visitors = (
        (world.mallory, NotVisible),
        (world.bill, NotVisible),
        (world.vera, NotAllowed),
        (world.bob, NotAllowed),
    )
    before = yard.kinds()
    for person, refusal in visitors:
        for operation, given in acts(yard, proposal):
            with pytest.raises(refusal):
                operation(actor=person.as_actor(), **given)
    assert yard.kinds() == before


def test_i5_reads_are_for_those_who_see_projects(yard: Yard) -> None:
    world, slug = yard.world, yard.world.acme.slug
    proposal = yard.propose(yard.web, WEB)
    assert proposal
    vera = world.vera.as_actor()
    assert [one.slug for one in selectors.projects(actor=vera, slug=slug).projects] == ["scheduler"]
    assert selectors.review(actor=vera, slug=slug, proposal_id=proposal).approve.allowed is False
    with pytest.raises(NotAllowed):
        selectors.projects(actor=world.bill.as_actor(), slug=slug)
    for who in (world.bill, world.mallory):
        with pytest.raises(NotVisible):
            selectors.project(actor=who.as_actor(), slug=slug, project=yard.project.slug)
        with pytest.raises(NotVisible):
            selectors.review(actor=who.as_actor(), slug=slug, proposal_id=proposal)


@pytest.mark.parametrize(
    "url",
    [
        "http://git.test/a/b.git",
        "file:///etc/passwd",
        "ext::sh -c id",
        "--upload-pack=id",
        "git@-oProxyCommand=id:x",
        "git@git.test:-x",
        "https://user:hunter2@git.test/a.git",
        "https://token@git.test/a.git",
        "ssh://git:hunter2@git.test/a.git",
        "https://git.test/a\n.git",
        "https://git.test/../a",
        "https://git.test/a?x=1",
        "https://git.tést/a",
    ],
)
def test_an_address_that_a_vm_must_not_clone_is_refused_and_not_repeated(yard: Yard, url: str) -> None:
    with pytest.raises(Invalid) as refused:
        operations.add_repository(
            actor=yard.alice, org_id=yard.org, project_id=yard.project.id, name="x", url=url
        )
    assert "url" in refused.value.fields
    assert "hunter2" not in str(refused.value.fields)


@pytest.mark.parametrize(
    "url",
    ["git@git.test:acme/web.git", "ssh://git@git.test:2222/acme/web.git", "https://git.test:8443/a_b.git"],
)
def test_addresses_that_can_be_cloned(yard: Yard, url: str) -> None:
    operations.change_repository(
        actor=yard.alice,
        org_id=yard.org,
        repository_id=yard.web,
        url=url,
        default_branch="main",
        access_id=None,
    )
    assert yard.view().repositories[0].url == url


def test_http_is_for_the_named_hosts_alone(yard: Yard) -> None:
    host = next(iter(settings.PLAIN_GIT_HOSTS))
    operations.add_repository(
        actor=yard.alice, org_id=yard.org, project_id=yard.project.id, name="x", url=f"http://{host}/a.git"
    )


def test_w2_a_proposal_is_reviewed_and_the_last_approved_stays(yard: Yard) -> None:
    yard.approve(yard.web, WEB)
    changed = WEB.replace("command: run", "command: other")
    proposal = yard.propose(yard.web, changed, branch="topic")
    assert yard.propose(yard.web, changed + "# a comment\n") == proposal
    (repository,) = yard.view().repositories
    assert repository.approved
    assert repository.approved.branch == "main"
    assert [one.branch for one in repository.waiting] == ["topic"]
    assert proposal
    seen = selectors.review(actor=yard.alice, slug=yard.world.acme.slug, proposal_id=proposal)
    assert [(one.field, str(one.weight)) for one in seen.changes] == [("command", "widens")]
    assert "-command: run\n+command: other\n" in seen.difference
    operations.reject_contract(actor=yard.alice, org_id=yard.org, proposal_id=proposal)
    (repository,) = yard.view().repositories
    assert repository.waiting == []
    assert repository.approved
    assert repository.approved.branch == "main"
    assert yard.kinds()[-2:] == ["contract.proposed", "contract.rejected"]


def test_w2_what_was_seen_cannot_be_changed_after_its_review(yard: Yard) -> None:
    yard.approve(yard.web, WEB)
    for column in ("text", "digest", "repository_id"):
        with pytest.raises(ProgrammingError), tenancy.enter(yard.org):
            Proposal.objects.update(**{column: uuid4() if column == "repository_id" else "x"})


def test_a_text_that_is_no_contract_is_told_with_its_place(yard: Yard) -> None:
    seen = operations.propose_contract(
        actor=SYSTEM,
        org_id=yard.org,
        repository_id=yard.web,
        branch="main",
        commit="c" * 40,
        text="version: 1\nservise: {name: web}\n",
        digest="",
    )
    assert seen.proposal_id is None
    (repository,) = yard.view().repositories
    (refused,) = repository.refused
    assert any((one["line"], one["column"]) == (2, 1) for one in refused.problems)
    yard.propose(yard.web, WEB)
    assert yard.view().repositories[0].refused == []


def test_a_digest_of_another_text_is_refused(yard: Yard) -> None:
    with pytest.raises(Invalid):
        yard.propose(yard.web, WEB, digest="0" * 64)


def test_w1_what_is_unbound_is_named_before_the_wake(yard: Yard) -> None:
    yard.approve(yard.web, WEB)
    assert yard.missing() == [
        "the route to another service BACKEND",
        "the secret KEY",
        "the text LEVEL",
        "the postgres resource database",
    ]
    backend = yard.repository("backend")
    yard.approve(backend, BACKEND)
    secret = set_secret(yard.world)
    yard.bind("BACKEND", Source.ROUTE, route_to_id=backend)
    yard.bind("KEY", Source.SECRET, secret_id=secret.id)
    yard.bind("LEVEL", Source.LITERAL, literal="info")
    yard.mode(Mode.MANAGED_LOCAL)
    assert yard.missing() == []
    yard.mode(Mode.CUSTOMER_PROVIDED)
    assert yard.missing() == ["the property url of the resource database"]
    yard.mode(Mode.CUSTOMER_PROVIDED, values={"url": Given(secret.id)})
    assert yard.missing() == []
    operations.unbind_input(actor=yard.alice, org_id=yard.org, repository_id=yard.web, name="LEVEL")
    assert yard.missing() == ["the text LEVEL"]


def test_an_input_comes_only_from_where_its_kind_allows(yard: Yard) -> None:
    yard.approve(yard.web, WEB)
    secret = set_secret(yard.world)
    for name, source, where, field in (
        ("LEVEL", Source.SECRET, {"secret_id": secret.id}, "source"),
        ("KEY", Source.LITERAL, {"literal": "x"}, "source"),
        ("KEY", Source.SECRET, {"secret_id": uuid4()}, "secret"),
        ("KEY", Source.RESOURCE, {"resource": "database.nothing"}, "resource"),
        ("KEY", Source.RESOURCE, {"resource": "database.password"}, "resource"),
        ("BACKEND", Source.ROUTE, {"route_to_id": yard.web}, "route_to"),
        ("NOTHING", Source.LITERAL, {"literal": "x"}, "input"),
        ("LEVEL", Source.LITERAL, {"literal": "AKIAIOSFODNN7EXAMPLE"}, "literal"),
    ):
        with pytest.raises(Invalid) as refused:
            yard.bind(name, source, **where)
        assert list(refused.value.fields) == [field]
    with tenancy.enter(yard.org):
        assert not Binding.objects.exists()


def test_nothing_leads_to_a_console(yard: Yard) -> None:
    yard.approve(yard.web, WEB)
    backend = yard.repository("backend")
    yard.approve(backend, CONSOLE)
    with pytest.raises(Invalid, match="console"):
        yard.bind("BACKEND", Source.ROUTE, route_to_id=backend)
    yard.approve(backend, BACKEND)
    yard.bind("BACKEND", Source.ROUTE, route_to_id=backend)
    later = yard.propose(backend, CONSOLE.replace("command: run", "command: other"))
    assert later
    with pytest.raises(Conflict, match="console"):
        operations.approve_contract(actor=yard.alice, org_id=yard.org, proposal_id=later)
    with pytest.raises(Conflict, match="BACKEND"):
        operations.remove_repository(actor=yard.alice, org_id=yard.org, repository_id=backend)


def test_w3_a_mode_says_who_and_holds_no_credential(yard: Yard) -> None:
    yard.approve(yard.web, WEB)
    for others, field in (
        ({"owner": " "}, "owner"),
        ({"ready_within_s": 0}, "ready_within_s"),
        ({"values": {"password": Given(literal="hunter2")}}, "values.password"),
        ({"values": {"shoe_size": Given(literal="x")}}, "values"),
    ):
        with pytest.raises(Invalid) as refused:
            yard.mode(Mode.CUSTOMER_PROVIDED, **others)
        assert list(refused.value.fields) == [field]
    with pytest.raises(Invalid):
        yard.mode(Mode.DISABLED)


def test_two_services_of_a_project_have_two_names(yard: Yard) -> None:
    yard.approve(yard.web, WEB)
    with pytest.raises(Conflict, match="another name"):
        yard.approve(yard.repository("other"), WEB)


def test_n1_nothing_joins_two_organizations(yard: Yard) -> None:
    with tenancy.enter(yard.world.mallet.id):
        theirs = Project.objects.create(slug="theirs", name="Theirs")
        repository = Repository.objects.create(project=theirs, name="r", url="https://git.test/r")
    secret = set_secret(yard.world)
    row = {"input": "KEY", "source": Source.SECRET, "changed_at": timezone.now(), "changed_by": "x"}
    for org, owner, bound in (
        (yard.world.mallet.id, repository.id, secret.id),
        (yard.org, repository.id, secret.id),
    ):
        with pytest.raises(IntegrityError), tenancy.enter(org):
            Binding.objects.create(repository_id=owner, secret_id=bound, id=uuid7(), **row)
    with pytest.raises(NotVisible):
        operations.remove_repository(actor=yard.alice, org_id=yard.org, repository_id=repository.id)


def test_an_archived_project_changes_no_more(yard: Yard) -> None:
    operations.archive_project(actor=yard.alice, org_id=yard.org, project_id=yard.project.id)
    operations.archive_project(actor=yard.alice, org_id=yard.org, project_id=yard.project.id)
    assert yard.kinds().count("project.archived") == 1
    with pytest.raises(Conflict, match="archived"):
        yard.repository("late")


def queries(yard: Yard) -> int:
    with transaction.atomic(), CaptureQueriesContext(connection) as captured:
        yard.view()
        selectors.projects(actor=yard.alice, slug=yard.world.acme.slug)
    return len(captured)


def test_queries_do_not_grow_with_repositories(yard: Yard) -> None:
    yard.approve(yard.web, WEB)
    yard.mode(Mode.CUSTOMER_PROVIDED, values={"url": Given(set_secret(yard.world).id)})
    before = queries(yard)
    for number in range(4):
        yard.approve(yard.repository(f"r{number}"), BACKEND.replace("backend", f"b{number}"))
    assert queries(yard) == before


def test_n1_a_maintainer_hands_on_only_secrets_they_can_see(yard: Yard) -> None:
    yard.approve(yard.web, WEB)
    whole = set_secret(yard.world)
    mia = maintainer(yard.world, yard.project.id).as_actor()
    given = {"org_id": yard.org, "repository_id": yard.web, "name": "KEY", "source": Source.SECRET}
    with pytest.raises(Invalid) as refused:
        operations.bind_input(actor=mia, secret_id=whole.id, **given)  # type: ignore[arg-type]
    assert list(refused.value.fields) == ["secret"]
    operations.bind_input(actor=yard.alice, secret_id=whole.id, **given)  # type: ignore[arg-type]
    assert yard.view().repositories[0].inputs[1].words == f"the secret {whole.name}"
