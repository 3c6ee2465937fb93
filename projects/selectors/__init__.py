"""Reads of projects: what there is, what waits for review, and what is missing before a wake."""

from projects.selectors.forge_apps import ForgeApps, ForgeAppView, forge_apps
from projects.selectors.listing import MOST_SHOWN, Projects, ProjectView, projects
from projects.selectors.one import OneProject, OneRepository, SecretChoice, project, repository
from projects.selectors.repositories import (
    BindingView,
    ProposalView,
    RefusedView,
    RepositoryView,
    ResourceView,
    ValueView,
)
from projects.selectors.reviews import Proposals, Review, proposals, review

__all__ = [
    "MOST_SHOWN",
    "BindingView",
    "ForgeAppView",
    "ForgeApps",
    "OneProject",
    "OneRepository",
    "ProjectView",
    "Projects",
    "ProposalView",
    "Proposals",
    "RefusedView",
    "RepositoryView",
    "ResourceView",
    "Review",
    "SecretChoice",
    "ValueView",
    "forge_apps",
    "project",
    "projects",
    "proposals",
    "repository",
    "review",
]
