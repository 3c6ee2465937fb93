"""Every change of a project that somebody causes."""

from projects.operations.bindings import bind_input, unbind_input
from projects.operations.contracts import approve_contract, propose_contract, reject_contract
from projects.operations.forge_apps import check_forge_app, register_forge_app, remove_forge_app
from projects.operations.projects import archive_project, create_project
from projects.operations.repositories import add_repository, change_repository, remove_repository
from projects.operations.resources import set_resource_mode

__all__ = [
    "add_repository",
    "approve_contract",
    "archive_project",
    "bind_input",
    "change_repository",
    "check_forge_app",
    "create_project",
    "propose_contract",
    "register_forge_app",
    "reject_contract",
    "remove_forge_app",
    "remove_repository",
    "set_resource_mode",
    "unbind_input",
]
