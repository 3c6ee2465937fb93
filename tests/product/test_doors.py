"""What every door has in common: errors as pages or problem+json, headers, request ids, health, metrics."""

import json
import re
from uuid import uuid4

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from audit.models import Event
from envforge import health, request_id, tenancy
from envforge.errors import Conflict, Invalid, NotVisible
from envforge.urls import urlpatterns as product_urls
from orgs import operations
from orgs.models import Organization, Person
from tests.product.world import World

handler400 = "envforge.problems.bad_request"
handler403 = "envforge.problems.permission_denied"
handler404 = "envforge.problems.not_found"
handler500 = "envforge.problems.server_error"


def invalid(request: HttpRequest) -> HttpResponse:
    raise Invalid("The name cannot be used.", {"name": "Use one line."})


def conflict(request: HttpRequest) -> HttpResponse:
    raise Conflict("The short name acme is taken; choose another.")


def hidden(request: HttpRequest) -> HttpResponse:
    raise NotVisible


def broken(request: HttpRequest) -> HttpResponse:
    canary = "canary-in-a-local"
    raise ZeroDivisionError(canary)


def rename(request: HttpRequest) -> HttpResponse:
    person = Person.objects.get(id=request.GET["as"])
    operations.rename_organization(actor=person.as_actor(), org_id=request.GET["org"], name="Taken over")  # type: ignore[arg-type]
    return HttpResponse("renamed")


urlpatterns = [
    *product_urls,
    path("invalid", invalid),
    path("conflict", conflict),
    path("hidden", hidden),
    path("broken", broken),
    path("api/invalid", invalid),
    path("api/broken", broken),
    path("rename", rename),
]


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False, headers={"host": settings.CONSOLE_HOST})


@pytest.fixture(autouse=True)
def _doors() -> object:
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [("/invalid", 422, "Use one line."), ("/conflict", 409, "is taken"), ("/hidden", 404, "nothing here")],
)
def test_people_get_a_page_with_words(client: Client, address: str, status: int, words: str) -> None:
    answer = client.get(address, headers={"accept": "text/html"})
    assert answer.status_code == status
    assert words in answer.text
    assert answer["Content-Type"].startswith("text/html")


def test_programs_get_a_problem(client: Client) -> None:
    for answer in (
        client.get("/api/invalid"),
        client.get("/invalid", headers={"accept": "application/json"}),
    ):
        assert answer["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert problem["fields"] == {"name": "Use one line."}
        assert (problem["status"], problem["request_id"]) == (422, answer["X-Request-ID"])


@pytest.mark.parametrize("address", ["/broken", "/api/broken"])
def test_a_breakdown_shows_nothing_of_the_inside(client: Client, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 500
    assert "canary" not in answer.text
    assert "Traceback" not in answer.text
    assert answer["X-Request-ID"] in answer.text


def test_what_is_not_there_looks_like_what_is_hidden(client: Client) -> None:
    """I5."""
    hidden_page, missing_page = client.get("/hidden"), client.get("/no/such/page")
    without_ids = [re.sub(r"req_[0-9a-f]{32}", "", page.text) for page in (hidden_page, missing_page)]
    assert without_ids[0].replace("Not found", "") == without_ids[1].replace("Not Found", "")
    assert (hidden_page.status_code, missing_page.status_code) == (404, 404)


def test_a_refusal_of_something_visible_names_the_rule_and_is_recorded_once_a_minute(
    client: Client, world: World
) -> None:
    """I2, A2: the refused transaction is rolled back, the denial is not."""
    for _ in range(3):
        answer = client.get(
            f"/rename?as={world.bob.id}&org={world.acme.id}", headers={"accept": "application/json"}
        )
        assert answer.status_code == 403
        assert answer.json()["rule"] == "role"
        assert "owner or admin" in answer.json()["detail"]
    with tenancy.enter(world.acme.id):
        denied = list(Event.objects.filter(kind="access.denied"))
        assert Organization.objects.get().name == "Acme"
    assert len(denied) == 1
    assert denied[0].facts == {"action": "organization.rename", "rule": "role"}
    assert (denied[0].actor_label, denied[0].target_label) == ("Bob", "Acme")


def test_a_stranger_is_told_nothing_and_leaves_no_event(client: Client, world: World) -> None:
    answers = [
        client.get(f"/rename?as={world.mallory.id}&org={org}", headers={"accept": "application/json"})
        for org in (world.acme.id, uuid4())
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    bodies = [{**answer.json(), "request_id": ""} for answer in answers]
    assert bodies[0] == bodies[1]
    with tenancy.enter(world.acme.id):
        assert not Event.objects.filter(kind="access.denied").exists()


def test_every_answer_has_its_headers(client: Client) -> None:
    for address in ("/", "/hidden", "/broken", "/health/live", "/metrics"):
        answer = client.get(address)
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["Referrer-Policy"] == "same-origin"
        assert "camera=()" in answer["Permissions-Policy"]
        assert answer["Cache-Control"] == "private, no-store"


def test_a_request_id_is_ours_and_never_the_client_s(client: Client) -> None:
    mine = f"req_{uuid4().hex}"
    first, second = (
        client.get("/health/live", headers={"x-request-id": mine})["X-Request-ID"] for _ in range(2)
    )
    assert re.fullmatch(r"req_[0-9a-f]{32}", first)
    assert len({first, second, mine}) == 3
    assert request_id.current() == ""


def test_an_unknown_host_is_refused(client: Client) -> None:
    assert client.get("/", headers={"host": "elsewhere.example"}).status_code == 400


def test_live_and_ready(client: Client) -> None:
    assert client.get("/health/live").json() == {"live": True}
    health.beat("worker")
    health.beat("sealer")
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "not_ready": [], "behind": []})


def test_ready_names_what_is_not(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
    with override_settings(CACHES={"default": nowhere}):
        answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert {problem["part"] for problem in answer.json()["not_ready"]} == {"cache"}
    assert "worker" in {problem["part"] for problem in answer.json()["behind"]}


def test_metrics_are_for_the_holder_of_the_token(client: Client) -> None:
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"authorization": "Bearer wrong"}).status_code == 404
    answer = client.get("/metrics", headers={"authorization": f"Bearer {settings.METRICS_TOKEN}"})
    assert answer.status_code == 200
    assert "envforge_audit_events_appended_total" in answer.text


def test_the_keys_document_holds_public_halves_alone(client: Client) -> None:
    keys = json.loads(client.get("/.well-known/envforge-audit-keys.json").text)["keys"]
    assert all(set(key) == {"key_id", "pem"} and "PRIVATE" not in key["pem"] for key in keys)


def test_writing_to_a_page_that_only_reads_is_refused(client: Client) -> None:
    assert client.post("/health/live").status_code == 405
