"""The forms of projects: where inputs come from, how resources are provided, and what is never repeated (W1, W3, K3)."""

from uuid import uuid4

import pytest
from django.test import Client

from envforge import tenancy
from projects.choices import Mode
from projects.models import Binding, ResourceMode
from tests.product.store import set_secret
from tests.product.test_projects_pages import WEB, alice, at, repository, words
from tests.product.things import propose
from tests.product.world import World

__all__ = ["alice"]  # a fixture

CANARY = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


@pytest.mark.parametrize(
    ("tail", "form"),
    [
        ("", {"name": CANARY, "slug": "x"}),
        ("", {"name": "x", "slug": CANARY}),
        ("/scheduler", {"name": "b", "url": f"https://u:{CANARY}@git.test/b.git", "default_branch": "main"}),
        (
            "/scheduler/repositories/web",
            {"url": f"https://{CANARY}@git.test/b.git", "default_branch": "main"},
        ),
        ("/scheduler/repositories/web/inputs/LEVEL", {"value": CANARY}),
        (
            "/scheduler/repositories/web/resources/database",
            {
                "mode": "customer_provided",
                "owner": "Ops",
                "ready_within_s": "5",
                "cleanup": "keep",
                "values.host": CANARY,
            },
        ),
        (
            "/scheduler/repositories/web/resources/database",
            {
                "mode": "customer_cloud",
                "owner": CANARY,
                "ready_within_s": "5",
                "cleanup": "keep",
                "request": CANARY,
            },
        ),
    ],
)
def test_k3_a_credential_in_the_wrong_field_is_refused_and_not_repeated(
    world: World, alice: Client, tail: str, form: dict[str, str]
) -> None:
    propose(world, repository(world), WEB)
    answer = alice.post(at(world, tail), form)
    assert answer.status_code == 422
    assert CANARY not in answer.content.decode()


def test_what_cannot_be_done_is_said_beside_its_field(world: World, alice: Client) -> None:
    page = at(world, "/scheduler")
    propose(world, repository(world), WEB)
    again = alice.post(page, {"name": "web", "url": "https://git.test/b.git", "default_branch": "main"})
    assert again.status_code == 409
    assert "The project has a repository web already" in words(again)
    web = f"{page}/repositories/web"
    for tail, form, said in (
        ("/inputs/KEY", {"value": str(uuid4())}, "There is no such secret"),
        ("/inputs/BACKEND", {"value": "nowhere"}, "Choose another repository"),
        (
            "/resources/database",
            {"mode": "disabled", "owner": "x", "ready_within_s": "5", "cleanup": "keep"},
            "cannot start without",
        ),
        (
            "/resources/database",
            {"mode": "managed_local", "owner": "x", "ready_within_s": "soon", "cleanup": "keep"},
            "whole number",
        ),
        (
            "/resources/database",
            {"mode": "none", "owner": "x", "ready_within_s": "5", "cleanup": "keep"},
            "Choose one of the list",
        ),
    ):
        answer = alice.post(web + tail, form)
        assert answer.status_code == 422
        assert said in words(answer)
    assert alice.post(at(world), {"name": "Again", "slug": "scheduler"}).status_code == 409


def test_what_customers_provide_is_a_secret_or_text_and_other_modes_forget_it(
    world: World, alice: Client
) -> None:
    propose(world, repository(world), WEB)
    address = at(world, "/scheduler/repositories/web/resources/database")
    secret = set_secret(world, "DATABASE_URL")
    said = {"mode": "customer_provided", "owner": "Ops", "ready_within_s": "30", "cleanup": "keep"}
    values = {"values.url": str(secret.id), "values.host": "db.test"}
    assert alice.post(address, said | values).status_code == 303
    with tenancy.enter(world.acme.id):
        kept = ResourceMode.objects.get()
        assert dict(kept.values.values_list("property", "literal")) == {"url": "", "host": "db.test"}
    form = alice.get(address).content.decode()
    assert f'<option value="{secret.id}" selected>' in form
    # The input can take it from there now.
    key = at(world, "/scheduler/repositories/web/inputs/KEY")
    assert alice.post(key, {"value": "resource:database.url"}).status_code == 303
    assert "KEY comes from database.url" in words(alice.get(key))
    taken = alice.post(address, said | values | {"mode": "managed_local"})
    assert taken.status_code == 409
    assert "KEY takes its value from database" in words(taken)
    alice.post(key, {"forget": "yes"})
    assert alice.post(address, said | values | {"mode": "managed_local"}).status_code == 303
    with tenancy.enter(world.acme.id):
        assert ResourceMode.objects.get().mode == Mode.MANAGED_LOCAL
        assert not ResourceMode.objects.get().values.exists()
        assert not Binding.objects.exists()
