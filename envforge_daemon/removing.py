"""Taking a workspace off this VM."""

from collections.abc import Iterable

from envforge_daemon.errors import CommandFailed, IsolationError
from envforge_daemon.parts import Doing, Part, Task
from envforge_protocol.host.commands import Done, RemoveWorkspace


class Removing(Part):
    """Does `remove_workspace`, after whatever was being done for the workspace was ended."""

    def commands(self) -> Iterable[Doing]:
        everything = (
            "prepare_shell",
            "read_contract",
            "start_runtime",
            "stop_runtime",
            "run_command",
            "authorize_shell",
        )
        return (Doing(RemoveWorkspace, self._remove, lane="runtime", interrupts=everything),)

    async def _remove(self, task: Task, asked: RemoveWorkspace) -> Done:
        task.progress("ending_processes")
        await self.context.ingress.close(asked.workspace)
        try:
            ended = await self.context.workspaces.remove(
                asked.workspace, delete_files=asked.delete_files, delete_resources=asked.delete_resources
            )
        except IsolationError as error:
            raise CommandFailed("not_removed", str(error), again=True) from None
        return Done(kind="remove_workspace", ended=ended)
