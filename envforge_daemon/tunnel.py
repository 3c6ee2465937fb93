"""The way to a file system of EFS in TLS: stunnel, as a unit of its own that outlives the daemon.

Source: "Encrypting data in transit" in the Amazon EFS user guide (without the mount helper), and stunnel's manual.
"""

import asyncio
import contextlib
from pathlib import Path

from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation.firewall import NFS_PORT, TUNNEL_PORT
from envforge_daemon.isolation.programs import run

UNIT = "envforge-files.service"
PORT = TUNNEL_PORT
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
TRIES, TRIED_EVERY_S = 100, 0.1


def server(config: Config, file_system: str) -> str:
    """The name that the file system's mount target in this VM's zone has, in the network's own DNS."""
    domain = "amazonaws.com.cn" if config.region.startswith("cn-") else "amazonaws.com"
    return f"{file_system}.efs.{config.region}.{domain}"


def configuration(name: str, *, port: int, to_port: int = NFS_PORT, authorities: Path = AUTHORITIES) -> str:
    """What stunnel is told: listen on loopback, and go on only with who proves to be `name`."""
    return f"""; Written by EnvForge's daemon.
foreground = yes
syslog = no
debug = notice
socket = l:SO_REUSEADDR=1
socket = l:SO_KEEPALIVE=1
socket = r:SO_KEEPALIVE=1
[files]
client = yes
accept = 127.0.0.1:{port}
connect = {name}:{to_port}
; Asked for at each connection: a mount target may have another address when it is made anew.
delay = yes
sslVersionMin = TLSv1.2
renegotiation = no
verifyChain = yes
checkHost = {name}
sni = {name}
CAfile = {authorities}
TIMEOUTbusy = 20
TIMEOUTclose = 0
TIMEOUTconnect = 10
; NFS keeps its connection for as long as something is mounted.
TIMEOUTidle = 86400
"""


async def open_to(config: Config, file_system: str) -> None:
    """Have the unit run with this file system's configuration, and wait until it listens.

    Raises:
        IsolationError: the unit does not start, or does not listen in time.
    """
    file = config.run_dir / "files.conf"
    wanted = configuration(server(config, file_system), port=PORT)
    told = file.read_text() if file.exists() else ""
    if told != wanted:
        file.write_text(wanted)
        file.chmod(0o600)
    await run("systemctl", "start" if told == wanted else "restart", UNIT)
    for _ in range(TRIES):
        if await _listens():
            return
        await asyncio.sleep(TRIED_EVERY_S)
    raise IsolationError("The tunnel to the file system does not start.")


async def _listens() -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", PORT)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
