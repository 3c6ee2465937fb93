"""Noticing what people do to files while they are connected: a changed `envforge.yml` (W2), a need declared in the shell (W7)."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from envforge_daemon.errors import IsolationError
from envforge_daemon.parts import Context
from envforge_daemon.shell import keep_awake
from envforge_daemon.shell.server import Server
from envforge_daemon.trees import read_contract
from envforge_protocol.host.reports import ContractChanged
from envforge_protocol.host.runtimes import Declared
from envforge_protocol.host.workspaces import Checkout

LOOKED_AT_EVERY_S = 10.0


class Watch:
    """What was last told of each working tree; a restart of the program forgets it until the next reading."""

    def __init__(self, context: Context, server: Server) -> None:
        self._context = context
        self._server = server
        self._last: dict[tuple[UUID, str], str] = {}
        self._declared: dict[UUID, Declared] = {}
        # Looked at next time, whoever is connected then: where somebody just was, and what came to this VM or was there when the program began.
        self._once_more: set[UUID] = set()

    def begin(self, workspace_id: UUID) -> None:
        """The workspace is on this VM, and what was declared in it is not known yet."""
        self._once_more.add(workspace_id)

    def told(self, workspace_id: UUID, checkouts: Iterable[Checkout]) -> None:
        """These were told as a command's outcome."""
        for checkout in checkouts:
            if checkout.branch or checkout.commit:
                contract = checkout.contract
                self._last[workspace_id, checkout.directory] = contract.digest if contract else ""

    def forget(self, workspace_id: UUID) -> None:
        """The workspace left this VM."""
        for key in [key for key in self._last if key[0] == workspace_id]:
            del self._last[key]
        self._declared.pop(workspace_id, None)
        self._once_more.discard(workspace_id)

    def declared(self, workspace_id: UUID) -> Declared | None:
        """What was last declared in its shell; None where nothing is known."""
        return self._declared.get(workspace_id)

    async def keep(self) -> None:
        """Look every few seconds, for as long as the program runs."""
        while True:
            await asyncio.sleep(LOOKED_AT_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Look once: where somebody is connected, and at what is declared for longer than they stay."""
        await self._look_at_contracts()
        await self._look_at_declarations()

    async def _look_at_declarations(self) -> None:
        connected = {one.id for one in self._context.workspaces if self._server.connected(one.id)}
        once_more, self._once_more = self._once_more, set(connected)
        # What goes on in tmux after everybody left may take it back, or need it for longer.
        now = datetime.now(UTC)
        lasting = {one for one, declared in self._declared.items() if declared.until > now}
        for workspace_id in connected | once_more | lasting:
            workspace = self._context.workspaces.get(workspace_id)
            if workspace is None:
                continue
            found = await keep_awake.read(workspace)
            if found is not None:
                self._declared[workspace_id] = found

    async def _look_at_contracts(self) -> None:
        """A digest that is another is told."""
        for (workspace_id, directory), last in list(self._last.items()):
            workspace = self._context.workspaces.get(workspace_id)
            if workspace is None or not self._server.connected(workspace_id):
                continue
            try:
                contract, _ = await read_contract(workspace, directory)
            except IsolationError:
                continue
            digest = contract.digest if contract else ""
            if digest != last and self._last.get((workspace_id, directory)) == last:
                self._last[workspace_id, directory] = digest
                await self._context.outbox.add(
                    ContractChanged(workspace_id=workspace_id, directory=directory, digest=digest)
                )
