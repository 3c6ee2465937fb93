"""SSH on the VM's own address: one port for all of its workspaces, certificates alone (W5, THREATS H7).

The login is the workspace's `user` or its id. A connection ends when somebody ends its access, when its client is gone, and
at the latest `MOST_S` after it began: the certificate is good for minutes and says who may begin, not for how long. It also
ends with the program; what runs in tmux does not.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncssh

from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import Workspace
from envforge_daemon.parts import Context
from envforge_daemon.shell.certificates import Admission, admission
from envforge_daemon.shell.known import Door, Known
from envforge_daemon.shell.sessions import Session
from envforge_daemon.state import Documents
from envforge_protocol.host.reports import ShellConnected, ShellDisconnected

if TYPE_CHECKING:
    from envforge_daemon.shell.root import Windows

log = logging.getLogger("envforge_daemon")
# Its lesser messages hold what people run and type.
asyncssh.set_log_level(logging.WARNING)

MOST_S = 12 * 3600.0
LOGIN_S = 30.0
ALIVE_EVERY_S, MISSED = 30.0, 4
MOST_CONNECTIONS = 300
MOST_OF_A_WORKSPACE = 50
MOST_SESSIONS = 20
LOOPBACK = ("127.0.0.1", "localhost", "::1")
HOST_KEY = "host-key"
SIGNATURES = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


class Server:
    """All SSH connections of this VM."""

    def __init__(self, context: Context, known: Known, windows: "Windows", kept: Documents) -> None:
        self.context = context
        self.known = known
        self.windows = windows
        self._kept = kept
        self.visitors: set[Visitor] = set()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._key: asyncssh.SSHKey | None = None
        self._beginning = asyncio.Lock()
        self.telling: set[asyncio.Task[None]] = set()
        self._unkept: dict[str, dict[str, Any]] = {}

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.context.config.ssh_port

    @property
    def host_key(self) -> str:
        """The VM's public host key, in OpenSSH's one line: what clients are to expect (H7)."""
        key = self._host_key().export_public_key().decode()
        return " ".join(key.split()[:2])

    def _host_key(self) -> asyncssh.SSHKey:
        if self._key is None:
            keys = self.context.state.documents("ssh")
            kept = keys.read(HOST_KEY)
            if kept is None:
                made = asyncssh.generate_private_key("ssh-ed25519")
                kept = {"private": made.export_private_key().decode()}
                keys.write_now(HOST_KEY, kept)
            self._key = asyncssh.import_private_key(kept["private"])
        return self._key

    async def begin(self) -> None:
        """Listen, unless it does already.

        Raises:
            IsolationError: the port cannot be had.
        """
        async with self._beginning:
            if self._acceptor is not None:
                return
            try:
                self._acceptor = await asyncssh.listen(
                    str(self.context.config.listen_address),
                    self.port,
                    server_factory=lambda: Visitor(self),
                    server_host_keys=[self._host_key()],
                    reuse_address=True,
                    config=None,
                    encoding=None,
                    line_editor=False,
                    public_key_auth=True,
                    password_auth=False,
                    kbdint_auth=False,
                    host_based_auth=False,
                    gss_host=None,
                    agent_forwarding=False,
                    x11_forwarding=False,
                    allow_scp=False,
                    compression_algs=None,
                    signature_algs=SIGNATURES,
                    login_timeout=LOGIN_S,
                    keepalive_interval=ALIVE_EVERY_S,
                    keepalive_count_max=MISSED,
                    server_version="EnvForge",
                )
            except OSError as error:
                raise IsolationError(f"SSH cannot listen on port {self.port}: {error.strerror}.") from None

    def doors(self, login: str) -> list[Door]:
        """The workspaces a login may mean; which one, the certificate says."""
        return [door for door in self.known if login in (door.workspace.user, str(door.workspace.id))]

    def connected(self, workspace_id: UUID) -> int:
        """How many are connected to a workspace."""
        return sum(1 for v in self.visitors if v.admission and v.admission.door.workspace.id == workspace_id)

    async def end(self, which: Callable[[Admission], bool], *, cause: str = "access_ended") -> int:
        """End the connections of these, their programs too; how many there were."""
        ending = [v for v in self.visitors if v.admission is not None and which(v.admission)]
        await asyncio.gather(*(visitor.end(cause) for visitor in ending))
        return len(ending)

    async def close(self) -> None:
        """The program ends: connections do, too; what runs in tmux goes on."""
        if self._acceptor is not None:
            self._acceptor.close()
        await self.end(lambda _: True, cause="restarted")
        await asyncio.gather(*self.telling, return_exceptions=True)

    # What is told, and kept so that an end is told even if the program is killed

    async def tell_connected(self, visitor: "Visitor", admitted: Admission) -> None:
        """Tell that somebody came, before they can do anything."""
        body = ShellConnected(
            workspace_id=admitted.door.workspace.id,
            session_id=visitor.id,
            serial=admitted.serial,
            key_id=admitted.key_id,
        )
        came = body.model_dump(mode="json") | {"since": visitor.since.isoformat()}
        try:
            await self._kept.write(str(visitor.id), came)
        except OSError as error:
            # Whoever comes to make room is let in; their end is told as long as the program lives.
            log.error("a connection is remembered in memory alone: %s", error.strerror)  # noqa: TRY400
            self._unkept[str(visitor.id)] = came
        await self.context.outbox.add(body)

    async def tell_disconnected(self, session_id: UUID, cause: str) -> None:
        """Tell that they left, once."""
        kept = self._unkept.pop(str(session_id), None) or self._kept.read(str(session_id))
        if kept is None:
            return
        since = datetime.fromisoformat(kept.pop("since"))
        gone = ShellDisconnected.model_validate(
            kept
            | {
                "kind": "shell_disconnected",
                "cause": cause,
                "duration_s": max(0, int((datetime.now(UTC) - since).total_seconds())),
            }
        )
        await self.context.outbox.add(gone)
        self._kept.remove(str(session_id))

    async def tell_restarted(self) -> None:
        """Those who were connected when the program ended without notice."""
        for name in self._kept.names():
            await self.tell_disconnected(UUID(name), "restarted")


class Visitor(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, server: Server) -> None:
        self.id = uuid4()
        self.since = datetime.now(UTC)
        self.admission: Admission | None = None
        self._server = server
        self._connection: Any = None
        self._doors: list[Door] = []
        self._found: Admission | None = None
        self._sessions: set[Session] = set()
        self._cause = ""
        self._timer: asyncio.TimerHandle | None = None
        self._told: asyncio.Task[None] | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        if len(self._server.visitors) >= MOST_CONNECTIONS:
            conn.abort()
            return
        self._server.visitors.add(self)
        # asyncssh tells a server neither serial nor id of a certificate, so we look at it where it is decoded. If a later
        # version decodes elsewhere, nobody is admitted.
        checks: Callable[[str, Any], Awaitable[Any]] = conn._validate_openssh_certificate  # noqa: SLF001

        async def look(username: str, certificate: Any) -> Any:
            self._found = admission(certificate.export_certificate(), self._doors, datetime.now(UTC))
            return await checks(username, certificate) if self._found else None

        self._connection._validate_openssh_certificate = look  # noqa: SLF001

    def begin_auth(self, username: str) -> bool:
        self._doors = self._server.doors(username)
        lines = [
            f'cert-authority,principals="{door.workspace.id}" {" ".join(door.authority.split()[:2])}'
            for door in self._doors
        ]
        if lines:
            self._connection.set_authorized_keys(asyncssh.import_authorized_keys("\n".join(lines)))
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return False

    def validate_ca_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return False

    def auth_completed(self) -> None:
        found = self._found
        door = self._server.known.get(found.door.workspace.id) if found else None
        # What was revoked while the signature was looked at.
        if (
            found is None
            or door is None
            or door.authority != found.door.authority
            or found.serial in door.revoked
        ):
            self._connection.disconnect(asyncssh.DISC_BY_APPLICATION, "A certificate is needed.")
            return
        if self._server.connected(found.door.workspace.id) >= MOST_OF_A_WORKSPACE:
            self._connection.disconnect(
                asyncssh.DISC_TOO_MANY_CONNECTIONS,
                "Too many connections to this workspace; close one of them.",
            )
            return
        self.admission = found
        self._told = self._spawn(self._server.tell_connected(self, found))
        self._timer = asyncio.get_running_loop().call_later(MOST_S, self._grown_old)

    async def _is_told(self) -> None:
        """Nothing is done for anybody before it is on record that they came."""
        if self._told is not None:
            await asyncio.shield(self._told)

    def _grown_old(self) -> None:
        self._spawn(self.end("certificate_expired"))

    def _spawn(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._server.telling.add(task)
        task.add_done_callback(self._server.telling.discard)
        return task

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.visitors.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        cause = self._cause or ("lost" if exc is not None else "left")
        self._spawn(self._gone(cause))

    async def _gone(self, cause: str) -> None:
        await self._end_sessions()
        await self._is_told()
        await self._server.tell_disconnected(self.id, cause)

    async def _end_sessions(self) -> None:
        await asyncio.gather(*(session.end() for session in list(self._sessions)), return_exceptions=True)

    async def end(self, cause: str) -> None:
        """End the connection and what runs in it."""
        self._cause = self._cause or cause
        self._connection.disconnect(asyncssh.DISC_BY_APPLICATION, "EnvForge ended this session.")
        await self._end_sessions()

    # What a connection may ask for

    def workspace(self) -> Workspace | None:
        """The workspace it was admitted to, as long as it is here."""
        if self.admission is None:
            return None
        return self._server.context.workspaces.get(self.admission.door.workspace.id)

    def session_requested(self) -> Any:
        workspace = self.workspace()
        if self.admission is None or workspace is None or len(self._sessions) >= MOST_SESSIONS:
            return False
        grant = self._server.windows.grant_of(workspace)
        session = Session(workspace, limits=self.admission.door.limits, grant=grant)
        self._sessions.add(session)

        async def serve(process: Any) -> None:
            try:
                await self._is_told()
                await session.serve(process)
            except IsolationError as error:
                log.error("a shell did not start: %s", error)  # noqa: TRY400 - its sentence says it all
                process.stderr.write(
                    b"The shell could not be started. Try again; if it stays, ask an admin.\n"
                )
                process.exit(1)
            finally:
                self._sessions.discard(session)

        return Channel(serve, None, 3, False)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        # asyncssh asks the certificate for permit-port-forwarding before it asks us.
        workspace = self.workspace()
        if workspace is None or dest_host not in LOOPBACK or not 0 < dest_port < 65536:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "Only the workspace's own loopback can be reached."
            )

        async def forward(reader: Any, writer: Any) -> None:
            await self._is_told()
            try:
                # Dialled inside the workspace's namespace, by an account that is neither root nor the VM's (H1).
                far = await self._server.context.ingress.connect(workspace, dest_port)
            except (OSError, IsolationError):
                writer.close()
                return
            there, back = await asyncio.open_connection(sock=far)
            try:
                await _both_ways(((reader, back), (there, writer)))
            finally:
                back.close()
                writer.close()

        return forward


class Channel(asyncssh.SSHServerProcess):  # type: ignore[type-arg]
    """A session whose sftp is a program of the account, not a server inside ours, which would read files as root (H2)."""

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp"

    def session_started(self) -> None:
        streams = (
            asyncssh.SSHReader(self, self._chan),
            asyncssh.SSHWriter(self, self._chan),
            asyncssh.SSHWriter(self, self._chan, asyncssh.EXTENDED_DATA_STDERR),
        )
        starting = self._start_process(*streams)
        if self._conn is not None and starting is not None:
            self._conn.create_task(starting)


async def _both_ways(ways: Iterable[tuple[Any, Any]]) -> None:
    async def one_way(reader: Any, writer: Any) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except (OSError, asyncssh.Error):
            return

    await asyncio.gather(*(one_way(reader, writer) for reader, writer in ways))
