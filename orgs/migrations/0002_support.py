"""Support staff: grants, visits, sessions of their own host, and the columns that support's database role may read."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import envforge.ids
import envforge.tenancy
from envforge.tenancy.migrations import Lookup, PlatformTable, Reads, SupportReads, Wall

VISITS = Reads("orgs_supportvisit", ("org_id", "person_id", "until", "left_at"))


class Migration(migrations.Migration):
    dependencies = [("orgs", "0001_initial"), ("audit", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="consolesession",
            name="surface",
            field=models.CharField(default="console", max_length=10),
        ),
        migrations.CreateModel(
            name="StaffGrant",
            fields=[
                ("id", models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("granted_by", models.CharField(max_length=200)),
                ("granted_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("cause", models.CharField(blank=True, default="", max_length=40)),
                ("person", models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL)),
            ],
            options={
                "indexes": [models.Index(condition=models.Q(("ended_at", None)), fields=["expires_at"], name="orgs_staff_grant_due")],
                "constraints": [models.UniqueConstraint(condition=models.Q(("ended_at", None)), fields=("person",), name="orgs_staff_grant_once")],
            },
        ),
        migrations.CreateModel(
            name="SupportVisit",
            fields=[
                ("id", models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("org_id", models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ("reason", models.CharField(max_length=200)),
                ("ticket", models.CharField(max_length=60)),
                ("entered_at", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("left_at", models.DateTimeField(null=True)),
                ("person", models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["org_id", "-entered_at"], name="orgs_support_visit_latest"),
                    models.Index(condition=models.Q(("left_at", None)), fields=["until"], name="orgs_support_visit_due"),
                ],
                "constraints": [models.UniqueConstraint(condition=models.Q(("left_at", None)), fields=("person",), name="orgs_support_visit_once")],
            },
        ),
        # Who is staff and for whom support came is told once; only the end is added.
        PlatformTable("orgs_staffgrant", grants=["SELECT", "INSERT", "UPDATE (ended_at, cause)"]),
        Wall("SupportVisit", grants=("SELECT", "INSERT", "UPDATE (left_at)")),
        Lookup(
            "organizations_support_is_in",
            arguments="wanted uuid",
            returns="SETOF uuid",
            query="SELECT org_id FROM public.orgs_supportvisit WHERE person_id = wanted AND left_at IS NULL",
            reads=[VISITS],
        ),
        Lookup(
            "organizations_with_overdue_visits",
            arguments="",
            returns="SETOF uuid",
            query="SELECT DISTINCT org_id FROM public.orgs_supportvisit WHERE left_at IS NULL AND until <= now()",
            reads=[VISITS],
        ),
        SupportReads("orgs_organization", ("id", "created_at")),
        SupportReads("orgs_membership", ("id", "org_id")),
        SupportReads("orgs_supportvisit", ("id", "org_id", "person_id", "entered_at", "until", "left_at")),
        SupportReads("orgs_staffgrant", ("id", "person_id", "granted_at", "expires_at", "ended_at"), walled=False),
        SupportReads("audit_chain_head", ("org_id", "seq", "signed_seq", "signed_at")),
    ]
