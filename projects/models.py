"""Projects, their repositories, the contracts these propose, and where each input comes from (W1-W3)."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from envforge.actor import Target
from envforge.tenancy.models import TenantModel
from projects.choices import Cleanup, Decision, Mode, Source
from secrets_ref.models import Secret

# A DNS label without the doubled dash that separates labels in a dev host (L2).
NAME_FORM = r"[a-z0-9](?:-?[a-z0-9]){0,38}"


class Project(TenantModel):
    """Repositories that are worked on together, and the people who do."""

    slug = models.CharField(max_length=40, validators=[RegexValidator(rf"\A{NAME_FORM}\Z")])
    name = models.CharField(max_length=80)
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org_id", "slug"], name="projects_project_slug"),
            models.CheckConstraint(
                condition=Q(slug__regex=rf"^{NAME_FORM}$"), name="projects_project_slug_form"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def as_target(self) -> Target:
        return Target("project", str(self.id), self.name, project_id=self.id)


class ForgeApp(TenantModel):
    """An app of the organization's own at its forge, which mints credentials that read one repository for minutes (THREATS H2).

    Its signing key is the organization's, in KMS; `git_url` is the owner below whom the repositories are that it reads.
    """

    name = models.CharField(max_length=40, validators=[RegexValidator(rf"\A{NAME_FORM}\Z")])
    api_url = models.CharField(max_length=200)
    git_url = models.CharField(max_length=300)
    client_id = models.CharField(max_length=60)
    installation = models.CharField(max_length=40)
    key_arn = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "name"], condition=Q(removed_at=None), name="projects_forgeapp_name"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def as_target(self) -> Target:
        return Target("forge_app", str(self.id), self.name)


class Repository(TenantModel):
    """A Git repository of a project; its name is its directory in each workspace."""

    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="repositories", db_index=False
    )
    name = models.CharField(max_length=40, validators=[RegexValidator(rf"\A{NAME_FORM}\Z")])
    url = models.CharField(max_length=500)
    default_branch = models.CharField(max_length=200, default="main")
    # The secret whose value lets this one repository be read; none where anybody may read it.
    access = models.ForeignKey(Secret, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    # Or the app that mints a credential for it whenever a VM fetches.
    app = models.ForeignKey(
        ForgeApp, null=True, on_delete=models.PROTECT, related_name="repositories", db_index=False
    )
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "project", "name"],
                condition=Q(removed_at=None),
                name="projects_repository_name",
            ),
            models.CheckConstraint(
                condition=Q(name__regex=rf"^{NAME_FORM}$"), name="projects_repository_name_form"
            ),
            models.CheckConstraint(
                condition=Q(access=None) | Q(app=None), name="projects_repository_one_access"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def as_target(self) -> Target:
        return Target("repository", str(self.id), self.name, project_id=self.project_id)


class Proposal(TenantModel):
    """An `envforge.yml` that was seen in a repository; the contract of wakes once a maintainer approved its digest (W2).

    `commit` and `branch` are where it was seen first. What was seen is never changed, only decided about, or forgotten while
    nobody has (`operations.contracts`): the application may update no other column and delete no other row.
    """

    repository = models.ForeignKey(
        Repository, on_delete=models.PROTECT, related_name="proposals", db_index=False
    )
    digest = models.CharField(max_length=64)
    text = models.TextField()
    service = models.CharField(max_length=63)
    branch = models.CharField(max_length=200)
    commit = models.CharField(max_length=64)
    proposed_at = models.DateTimeField(auto_now_add=True)
    decision = models.CharField(max_length=10, choices=Decision.choices, default=Decision.PROPOSED)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org_id", "repository", "digest"], name="projects_proposal_once"),
            models.CheckConstraint(
                condition=Q(decision=Decision.PROPOSED, decided_at=None)
                | (~Q(decision=Decision.PROPOSED) & Q(decided_at__isnull=False)),
                name="projects_proposal_decided",
            ),
        ]
        indexes = [
            models.Index(
                fields=["org_id", "repository", "-decided_at"],
                condition=Q(decision=Decision.APPROVED),
                name="projects_proposal_approved",
            ),
            models.Index(
                fields=["org_id", "repository", "-proposed_at"],
                condition=Q(decision=Decision.PROPOSED),
                name="projects_proposal_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service} {self.digest[:12]}"


class RefusedFile(TenantModel):
    """An `envforge.yml` that is no contract, as it was last seen in a branch: what is wrong with it, not its text.

    `problems` are those of `envforge_protocol.contract.problems.Problem`, which never repeat what may be a secret.
    """

    repository = models.ForeignKey(
        Repository, on_delete=models.PROTECT, related_name="refused_files", db_index=False
    )
    branch = models.CharField(max_length=200)
    commit = models.CharField(max_length=64)
    problems = models.JSONField()
    not_listed = models.PositiveIntegerField(default=0)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "repository", "branch"], name="projects_refusedfile_branch"
            )
        ]

    def __str__(self) -> str:
        return f"{self.branch} {self.commit[:12]}"


class Binding(TenantModel):
    """Where one input of one repository's service comes from (W1); for every workspace of the project."""

    repository = models.ForeignKey(
        Repository, on_delete=models.PROTECT, related_name="bindings", db_index=False
    )
    input = models.CharField(max_length=64)
    source = models.CharField(max_length=10, choices=Source.choices)
    secret = models.ForeignKey(Secret, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    literal = models.CharField(max_length=2000, blank=True, default="")
    # Another repository of the project, whose service answers at its ingress.
    route_to = models.ForeignKey(
        Repository, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # `NAME.PROPERTY` of a resource of the same contract.
    resource = models.CharField(max_length=130, blank=True, default="")
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org_id", "repository", "input"], name="projects_binding_once"),
            models.CheckConstraint(
                condition=Q(
                    source=Source.SECRET, secret__isnull=False, route_to=None, literal="", resource=""
                )
                | Q(source=Source.LITERAL, secret=None, route_to=None, resource="")
                | Q(source=Source.ROUTE, secret=None, route_to__isnull=False, literal="", resource="")
                | (Q(source=Source.RESOURCE, secret=None, route_to=None, literal="") & ~Q(resource="")),
                name="projects_binding_one_source",
            ),
        ]
        indexes = [
            models.Index(
                fields=["org_id", "secret"],
                condition=Q(secret__isnull=False),
                name="projects_binding_secret",
            ),
        ]

    def __str__(self) -> str:
        return self.input


class ResourceMode(TenantModel):
    """How one resource of one repository's contract is provided, by whom, and what becomes of its data (W3)."""

    repository = models.ForeignKey(
        Repository, on_delete=models.PROTECT, related_name="resource_modes", db_index=False
    )
    resource = models.CharField(max_length=64)
    mode = models.CharField(max_length=20, choices=Mode.choices)
    owner = models.CharField(max_length=120)
    ready_within_s = models.PositiveIntegerField(default=60)
    cleanup = models.CharField(max_length=10, choices=Cleanup.choices, default=Cleanup.DELETE)
    # What was asked of the customer's cloud, in words.
    request = models.CharField(max_length=500, blank=True, default="")
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "repository", "resource"], name="projects_resource_mode_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.resource}: {self.mode}"


class ResourceValue(TenantModel):
    """One property of a resource that the customer or their cloud provides: a secret, or what is none in plain."""

    resource_mode = models.ForeignKey(
        ResourceMode, on_delete=models.CASCADE, related_name="values", db_index=False
    )
    property = models.CharField(max_length=40)
    secret = models.ForeignKey(Secret, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    literal = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "resource_mode", "property"], name="projects_resource_value_once"
            ),
            models.CheckConstraint(
                condition=Q(secret__isnull=False, literal="") | (Q(secret=None) & ~Q(literal="")),
                name="projects_resource_value_one",
            ),
        ]
        indexes = [
            models.Index(
                fields=["org_id", "secret"],
                condition=Q(secret__isnull=False),
                name="projects_resvalue_secret",
            ),
        ]

    def __str__(self) -> str:
        return self.property
