"""A database of the workspace's own over real VMs: from the project's choice to data that outlive sleep and the VM (W3, W5)."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.test import override_settings

from envforge import tenancy
from envforge.host_forms import Files
from hosts import reconcile
from hosts.volumes import volume_of
from projects import operations as projects
from projects.choices import Cleanup, Mode
from tests.daemon.machine import why_no_walls
from tests.daemon.servers import PSQL
from tests.product.host_api.conftest import address
from tests.product.workspaces.real import Real
from tests.product.world import World
from tests.vms import Vms

__all__ = ["address"]  # a fixture

CONTRACT = """version: 1
service: {name: notes}
command: [/usr/bin/python3, app.py]
ports: {web: 3000}
resources: {database: postgres}
env: {DATABASE_URL: "${resources.database.url}"}
health: {http: /health}
"""
APP = f'''"""Keeps what it is told in its database."""
import http.server, os, subprocess, urllib.parse

class Notes(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path, _, word = self.path.partition("?")
        said = b"ok"
        if path == "/notes":
            sql = ["create table if not exists notes(text text)", "select text from notes"]
            if word:
                sql.insert(1, f"insert into notes values ('{{word}}')")
            asked = [piece for one in sql for piece in ("-c", one)]
            said = subprocess.run(["{PSQL}", "-qAt", os.environ["DATABASE_URL"], *asked], stdout=subprocess.PIPE).stdout
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said)

http.server.ThreadingHTTPServer(("127.0.0.1", 3000), Notes).serve_forever()
'''


@pytest.fixture(scope="module")
def real(vms: Vms, address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    reason = why_no_walls()
    if reason:
        pytest.skip(reason)
    content = tmp_path_factory.mktemp("content") / "notes"
    content.mkdir()
    (content / "envforge.yml").write_text(CONTRACT)
    (content / "app.py").write_text(APP)
    with override_settings(
        HOST_API_HOST=urlsplit(address).hostname,
        HOST_API_URL=address,
        WORKSPACE_FILES=Files("directory", str(vms.directory / "files")),
    ):
        made = Real(World(), vms, tmp_path_factory.mktemp("repositories"), {"notes": content})
        yield made
        made.end()


def test_w3_w5_data_outlive_sleep_and_the_vm(real: Real) -> None:
    """W3, W5, S1: written by the service, found after sleep and on another VM; no password comes to the control plane."""
    real.shell_ready()
    real.approve()
    projects.set_resource_mode(
        actor=real.alice,
        org_id=real.org_id,
        repository_id=real.repositories["notes"],
        resource="database",
        mode=Mode.MANAGED_LOCAL,
        owner="Alice",
        ready_within_s=60,
        cleanup=Cleanup.DELETE,
    )
    real.wakes_up()
    assert real.get("notes", "/notes?kept").text == "kept\n"
    real.asleep()
    real.wakes_up()
    assert real.get("notes", "/notes").text == "kept\n"
    lost = real.vm()
    epoch = real.runtime().epoch
    real.vms.client.act("reclaim", lost.instance_id)

    def noticed() -> bool:
        reconcile.reconcile(real.org_id, lost.id, look=True)
        return real.runtime().epoch > epoch

    real.until(noticed, real.told())
    real.observed("awake", within_s=120)
    assert real.vm().instance_id != lost.instance_id
    assert real.get("notes", "/notes").text == "kept\n"
    there = volume_of(org_id=real.org_id, workspace_id=real.opened.id)
    assert there is not None
    with tenancy.enter(real.org_id):
        said = str([wake.services for wake in real.wakes()])
    assert "postgresql://" not in said
