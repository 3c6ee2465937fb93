"""H2: what a forge answers is looked at, and one in trouble or up to no good costs its own organization alone."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from envforge.errors import Unavailable
from projects import forge
from projects.forge import Trouble
from tests.product.elsewhere import Elsewhere, serve
from tests.product.forge_scene import Scene, nothing_held, scene

__all__ = ["nothing_held", "scene", "serve"]  # fixtures


class Forge:
    """A forge that answers as it likes."""

    def __init__(self, serve: Callable[..., Elsewhere], scene: Scene, **said: Any) -> None:
        self.said, self.status, self.waits_s = said, 201, 0.0
        self.revoked: list[str] = []
        self.there = serve(self._answer)
        scene.crooked(f"http://127.0.0.1:{self.there.port}")

    def _answer(self, request: Any) -> None:
        time.sleep(self.waits_s)
        if request.command == "DELETE":
            self.revoked.append(request.headers["authorization"])
        content = json.dumps(self.said).encode()
        request.send_response(204 if request.command == "DELETE" else self.status)
        request.send_header("Content-Length", "0" if request.command == "DELETE" else str(len(content)))
        request.end_headers()
        if request.command != "DELETE":
            request.wfile.write(content)


def token(**others: Any) -> dict[str, Any]:
    soon = (datetime.now(UTC) + timedelta(minutes=59)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "token": "ghs_" + "x" * 36,
        "expires_at": soon,
        "permissions": {"contents": "read", "metadata": "read"},
        "repositories": [{"name": "Scheduler-Backend"}],
        "repository_selection": "selected",
    } | others


def test_h2_a_forge_in_githubs_shape_is_taken(scene: Scene, serve: Callable[..., Elsewhere]) -> None:
    crooked = Forge(serve, scene, **token())
    filled = scene.fill(scene.command())
    assert filled.credential is not None
    assert crooked.there.asked == ["/app/installations/acme/access_tokens"]


@pytest.mark.parametrize(
    "wide",
    [
        {"permissions": {"contents": "write"}},
        {"permissions": {"contents": "read", "actions": "read"}},
        {"repositories": [{"name": "scheduler-backend"}, {"name": "scheduler-web"}]},
        {"repositories": [{"name": "other"}]},
        {"repositories": []},
        {"repository_selection": "all"},
        {"expires_at": "2099-01-01T00:00:00Z"},
    ],
)
def test_h2_a_credential_for_more_is_not_used_and_ended(
    scene: Scene, serve: Callable[..., Elsewhere], wide: dict[str, Any]
) -> None:
    crooked = Forge(serve, scene, **token(**wide))
    filled = scene.fill(scene.command())
    assert filled.credential is None
    assert filled.unreadable == forge.WORDS[Trouble.TOO_WIDE]
    assert crooked.revoked == ["Bearer ghs_" + "x" * 36]


@pytest.mark.parametrize(
    ("status", "said", "trouble"),
    [
        (404, {"message": "Not Found"}, Trouble.INSTALLATION),
        (403, {"message": "This installation has been suspended"}, Trouble.SUSPENDED),
        (
            422,
            {"message": "The permissions requested are not granted to this installation."},
            Trouble.PERMISSION,
        ),
        (422, {"message": "There is at least one repository that does not exist"}, Trouble.REPOSITORY),
        (401, {}, Trouble.APP),
    ],
)
def test_what_waits_for_somebody_opens_the_shell_with_words(
    scene: Scene, serve: Callable[..., Elsewhere], status: int, said: dict[str, str], trouble: Trouble
) -> None:
    Forge(serve, scene, **said).status = status
    assert scene.fill(scene.command()).unreadable == forge.WORDS[trouble]


@pytest.mark.parametrize(
    ("status", "said"), [(500, {}), (429, {}), (201, {}), (403, {"message": "API rate limit exceeded"})]
)
def test_what_passes_by_itself_is_waited_for_a_minute(
    scene: Scene, serve: Callable[..., Elsewhere], status: int, said: dict[str, str]
) -> None:
    Forge(serve, scene, **said).status = status
    with pytest.raises(Unavailable):
        scene.fill(scene.command())
    assert scene.fill(scene.command(ago=timedelta(minutes=2))).unreadable


def test_a_slow_forge_holds_two_leases_of_its_organization_and_nobody_elses(
    scene: Scene, serve: Callable[..., Elsewhere]
) -> None:
    Forge(serve, scene, **token()).waits_s = 2.0

    def one(_: int) -> float:
        began = time.monotonic()
        try:
            scene.fill(scene.command())
        except Unavailable:
            return time.monotonic() - began
        finally:
            connections.close_all()
        return -1.0

    with ThreadPoolExecutor(6) as threads:
        took = list(threads.map(one, range(6)))
    at_once = [each for each in took if each >= 0]
    assert len(at_once) == 4
    assert max(at_once) < 1.5
