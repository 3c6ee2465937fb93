"""Noticing that somebody changed `envforge.yml`, while they are connected (W2)."""

import asyncio
from collections.abc import Iterable
from uuid import UUID

from envforge_daemon.errors import IsolationError
from envforge_daemon.parts import Context
from envforge_daemon.shell.server import Server
from envforge_daemon.trees import read_contract
from envforge_protocol.host.reports import ContractChanged
from envforge_protocol.host.workspaces import Checkout

LOOKED_AT_EVERY_S = 10.0


class Watch:
    """What was last told of each working tree; a restart of the program forgets it until the next reading."""

    def __init__(self, context: Context, server: Server) -> None:
        self._context = context
        self._server = server
        self._last: dict[tuple[UUID, str], str] = {}

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

    async def keep(self) -> None:
        """Look every few seconds, for as long as the program runs."""
        while True:
            await asyncio.sleep(LOOKED_AT_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Look once, where somebody is connected; a digest that is another is told."""
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
