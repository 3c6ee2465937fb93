"""What the API of projects takes and answers."""

from typing import Any

from rest_framework import serializers

from projects.choices import Cleanup, Decision, Mode, Source


class ProjectInList(serializers.Serializer[Any]):
    """A project by its short name; `waiting` contracts of it want a review."""

    slug = serializers.CharField()
    name = serializers.CharField()
    repositories = serializers.IntegerField()
    waiting = serializers.IntegerField()


class ProjectsOut(serializers.Serializer[Any]):
    """The projects by name, those in use and those archived."""

    projects = ProjectInList(many=True)
    archived = ProjectInList(many=True)


class ProposalOut(serializers.Serializer[Any]):
    """An `envforge.yml` seen in a repository; `branch` and `commit` are where it was seen first."""

    id = serializers.UUIDField()
    repository = serializers.CharField()
    service = serializers.CharField()
    digest = serializers.CharField()
    branch = serializers.CharField()
    commit = serializers.CharField()
    decision = serializers.ChoiceField(choices=Decision.values)
    proposed_at = serializers.DateTimeField()
    decided_by = serializers.CharField(allow_blank=True)
    decided_at = serializers.DateTimeField(allow_null=True)


class ProblemInFile(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    column = serializers.IntegerField()
    path = serializers.CharField(allow_blank=True)
    problem = serializers.CharField()
    expected = serializers.CharField(allow_blank=True)
    hint = serializers.CharField(allow_blank=True)


class RefusedOut(serializers.Serializer[Any]):
    """A file that is no contract, as it was last seen in a branch."""

    branch = serializers.CharField()
    commit = serializers.CharField()
    problems = ProblemInFile(many=True)
    not_listed = serializers.IntegerField()
    seen_at = serializers.DateTimeField()


class BindingOut(serializers.Serializer[Any]):
    """An input and where it comes from; `source` is empty where nothing was said."""

    name = serializers.CharField()
    kind = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment]
    default = serializers.CharField(allow_null=True)
    source = serializers.ChoiceField(choices=Source.values, allow_blank=True)  # type: ignore[assignment]
    secret = serializers.UUIDField(source="secret_id", allow_null=True)
    literal = serializers.CharField(allow_blank=True)
    route_to = serializers.CharField(allow_blank=True)
    resource = serializers.CharField(allow_blank=True)


class ValueOut(serializers.Serializer[Any]):
    property = serializers.CharField()
    secret = serializers.UUIDField(source="secret_id", allow_null=True)
    literal = serializers.CharField(allow_blank=True)


class ResourceOut(serializers.Serializer[Any]):
    """A resource and how it is provided; `mode` is empty where nothing was said."""

    name = serializers.CharField()
    type = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment]
    mode = serializers.ChoiceField(choices=Mode.values, allow_blank=True)
    owner = serializers.CharField(allow_blank=True)
    ready_within_s = serializers.IntegerField()
    cleanup = serializers.ChoiceField(choices=Cleanup.values)
    request = serializers.CharField(allow_blank=True)
    values = ValueOut(many=True)


class RepositoryOut(serializers.Serializer[Any]):
    """A repository; `missing` says in words what its next wake lacks, `approved` is what wakes use."""

    name = serializers.CharField()
    url = serializers.CharField()
    default_branch = serializers.CharField()
    access = serializers.UUIDField(source="access_id", allow_null=True)
    app = serializers.CharField(allow_blank=True)
    approved = ProposalOut(allow_null=True)
    waiting = ProposalOut(many=True)
    refused = RefusedOut(many=True)
    inputs = BindingOut(many=True)
    resources = ResourceOut(many=True)
    missing = serializers.ListField(child=serializers.CharField())


class OneProjectOut(serializers.Serializer[Any]):
    """A project with its repositories; those that wait for a review come first."""

    slug = serializers.CharField()
    name = serializers.CharField()
    archived_at = serializers.DateTimeField(allow_null=True)
    repositories = RepositoryOut(many=True)


class ProposalsOut(serializers.Serializer[Any]):
    """A page of proposals, the newest first; `next` is the `after` of the following page."""

    proposals = ProposalOut(many=True)
    next = serializers.UUIDField(allow_null=True)


class ChangeOut(serializers.Serializer[Any]):
    """One change against the approved contract; `weight` says how closely it wants to be looked at."""

    field = serializers.CharField()
    kind = serializers.ChoiceField(choices=["added", "removed", "changed"])
    weight = serializers.ChoiceField(choices=["widens", "changes", "harmless"])
    text = serializers.CharField()


class ReviewOut(serializers.Serializer[Any]):
    """A proposal against what was approved last (`against`), by field and as a unified difference of the files."""

    proposal = ProposalOut()
    against = ProposalOut(allow_null=True)
    text = serializers.CharField()
    changes = ChangeOut(many=True)
    difference = serializers.CharField(allow_blank=True)


class DecidedOut(serializers.Serializer[Any]):
    decision = serializers.ChoiceField(choices=Decision.values)


class GoneOut(serializers.Serializer[Any]):
    removed = serializers.BooleanField()


class ArchivedOut(serializers.Serializer[Any]):
    archived = serializers.BooleanField()


class NewProject(serializers.Serializer[Any]):
    slug = serializers.CharField(max_length=200)
    name = serializers.CharField(max_length=200)


class RepositoryIn(serializers.Serializer[Any]):
    """`access` is the id of the secret with which it is read, `app` the name of the forge app that mints what reads it; at most
    one of them, and neither where anybody may read it."""

    url = serializers.CharField(max_length=1000)
    default_branch = serializers.CharField(max_length=500, default="main")
    access = serializers.UUIDField(required=False, allow_null=True, default=None)
    app = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)


class NewRepository(RepositoryIn):
    name = serializers.CharField(max_length=200)


class BindingIn(serializers.Serializer[Any]):
    """With its `source` the one of the others that says which: a secret's id, text, a repository, or `NAME.PROPERTY`."""

    source = serializers.ChoiceField(choices=Source.values)  # type: ignore[assignment]
    secret = serializers.UUIDField(required=False, allow_null=True, default=None)
    literal = serializers.CharField(
        required=False, allow_blank=True, default="", trim_whitespace=False, max_length=10_000
    )
    route_to = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)
    resource = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)


class ValueIn(serializers.Serializer[Any]):
    """A secret's id, or text that is no secret."""

    secret = serializers.UUIDField(required=False, allow_null=True, default=None)
    literal = serializers.CharField(required=False, allow_blank=True, default="", max_length=1000)


class ResourceIn(serializers.Serializer[Any]):
    """`values` by property, for what you or your cloud provide."""

    mode = serializers.ChoiceField(choices=Mode.values)
    owner = serializers.CharField(max_length=500)
    ready_within_s = serializers.IntegerField(default=60)
    cleanup = serializers.ChoiceField(choices=Cleanup.values, default=Cleanup.DELETE.value)
    request = serializers.CharField(required=False, allow_blank=True, default="", max_length=1000)
    values = serializers.DictField(child=ValueIn(), required=False, default=dict)
