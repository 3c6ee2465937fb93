"""Every address of the API, below /api/v1/; composes the apps as `envforge.urls` does."""

from django.urls import path

from envforge.api import schema
from orgs import api as orgs
from timeline import api as timeline

urlpatterns = [
    path("orgs", orgs.Organizations.as_view(), name="api-organizations"),
    path("orgs/<slug:slug>", orgs.OneOrganization.as_view(), name="api-organization"),
    path("orgs/<slug:slug>/events", timeline.Events.as_view(), name="api-events"),
    path("orgs/<slug:slug>/events/export", timeline.export, name="api-events-export"),
    path("orgs/<slug:slug>/chain", timeline.Chain.as_view(), name="api-chain"),
    path("schema", schema.schema, name="api-schema"),
    path("docs", schema.docs, name="api-docs"),
]
