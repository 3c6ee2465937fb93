"""Organizations, people and roles, with their walls and what is looked up before an organization is known."""

import django.core.validators
import django.db.models.deletion
import envforge.ids
import envforge.tenancy
from django.conf import settings
from django.db import migrations, models

from envforge.tenancy.migrations import Lookup, PlatformTable, Reads, Wall


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Person',
            fields=[
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('issuer', models.TextField()),
                ('subject', models.TextField()),
                ('email', models.EmailField(max_length=254)),
                ('email_verified', models.BooleanField(default=False)),
                ('name', models.CharField(max_length=120)),
                ('is_active', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('issuer', 'subject'), name='orgs_person_identity')],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('joined_at', models.DateTimeField(auto_now_add=True)),
                ('person', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='ConsoleSession',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('key_digest', models.CharField(max_length=64, unique=True)),
                ('browser', models.CharField(max_length=60)),
                ('created_at', models.DateTimeField()),
                ('last_seen_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('cause', models.CharField(blank=True, default='', max_length=40)),
                ('person', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [
                    models.Index(condition=models.Q(('ended_at', None)), fields=['person'], name='orgs_session_of_person'),
                    models.Index(condition=models.Q(('ended_at', None)), fields=['last_seen_at'], name='orgs_session_idle'),
                    models.Index(condition=models.Q(('ended_at', None)), fields=['created_at'], name='orgs_session_age'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Organization',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('slug', models.TextField(unique=True, validators=[django.core.validators.RegexValidator('\\A[a-z0-9](?:-?[a-z0-9]){1,38}\\Z')])),
                ('name', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('slug__regex', '^[a-z0-9](?:-?[a-z0-9]){1,38}$')), name='orgs_organization_slug_form')],
            },
        ),
        migrations.CreateModel(
            name='RoleGrant',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('role', models.TextField(choices=[('owner', 'Owner'), ('admin', 'Admin'), ('developer', 'Developer'), ('viewer', 'Viewer'), ('billing', 'Billing')])),
                ('granted_at', models.DateTimeField(auto_now_add=True)),
                ('membership', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='grants', to='orgs.membership')),
            ],
        ),
        migrations.AddIndex(
            model_name='membership',
            index=models.Index(fields=['person'], name='orgs_membership_person'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.UniqueConstraint(fields=('org_id', 'person'), name='orgs_membership_once'),
        ),
        migrations.AddConstraint(
            model_name='rolegrant',
            constraint=models.UniqueConstraint(fields=('org_id', 'membership', 'role'), name='orgs_role_grant_once'),
        ),
        PlatformTable("orgs_person", grants=["SELECT", "INSERT", "UPDATE"]),
        # Whose session it is and since when is told once; only its use and its end are added.
        PlatformTable("orgs_consolesession", grants=["SELECT", "INSERT", "UPDATE (last_seen_at, ended_at, cause)"]),
        Wall("Organization", key="id"),
        Wall("Membership"),
        Wall("RoleGrant"),
        Lookup(
            "organization_by_slug",
            arguments="wanted text",
            returns="uuid",
            query="SELECT id FROM public.orgs_organization WHERE slug = wanted",
            reads=[Reads("orgs_organization", ("id", "slug"))],
        ),
        Lookup(
            "organizations_of_person",
            arguments="wanted uuid",
            returns="SETOF uuid",
            query="SELECT org_id FROM public.orgs_membership WHERE person_id = wanted ORDER BY joined_at, id",
            reads=[Reads("orgs_membership", ("id", "org_id", "person_id", "joined_at"))],
        ),
    ]
