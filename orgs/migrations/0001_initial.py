"""Organizations, people, roles and invitations, with their walls and what is looked up before an organization is known."""

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
                ('suspended_at', models.DateTimeField(null=True)),
                ('person', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
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
            name='ServiceAccount',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('name', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('removed_at', models.DateTimeField(null=True)),
                ('acts_for', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('created_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='RoleGrant',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('scope', models.TextField(choices=[('organization', 'Organization'), ('project', 'Project'), ('workspace', 'Workspace')], default='organization')),
                ('scope_id', models.UUIDField(default=envforge.tenancy.current_org)),
                ('role', models.TextField(choices=[('owner', 'Owner'), ('admin', 'Admin'), ('developer', 'Developer'), ('viewer', 'Viewer'), ('billing', 'Billing'), ('maintainer', 'Maintainer'), ('contributor', 'Contributor'), ('reader', 'Reader'), ('operator', 'Operator'), ('collaborator', 'Collaborator'), ('observer', 'Observer')])),
                ('granted_at', models.DateTimeField(auto_now_add=True)),
                ('membership', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='grants', to='orgs.membership')),
                ('service_account', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='grants', to='orgs.serviceaccount')),
            ],
        ),
        migrations.CreateModel(
            name='Token',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('name', models.CharField(max_length=80)),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('scopes', models.JSONField()),
                ('issued_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('last_used_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='tokens', to='orgs.serviceaccount')),
                ('issued_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
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
                'indexes': [models.Index(condition=models.Q(('ended_at', None)), fields=['person'], name='orgs_session_of_person'), models.Index(condition=models.Q(('ended_at', None)), fields=['last_seen_at'], name='orgs_session_idle'), models.Index(condition=models.Q(('ended_at', None)), fields=['created_at'], name='orgs_session_age')],
            },
        ),
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('email', models.EmailField(max_length=254)),
                ('role', models.TextField(choices=[('owner', 'Owner'), ('admin', 'Admin'), ('developer', 'Developer'), ('viewer', 'Viewer'), ('billing', 'Billing'), ('maintainer', 'Maintainer'), ('contributor', 'Contributor'), ('reader', 'Reader'), ('operator', 'Operator'), ('collaborator', 'Collaborator'), ('observer', 'Observer')])),
                ('invited_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField()),
                ('accepted_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('accepted_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('invited_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('accepted_at', None), ('ended_at', None)), fields=['expires_at'], name='orgs_invitation_expiry'), models.Index(condition=models.Q(('accepted_at', None), ('ended_at', None)), fields=['email'], name='orgs_invitation_email')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('accepted_at', None), ('ended_at', None)), fields=('org_id', 'email'), name='orgs_invitation_open_once'), models.CheckConstraint(condition=models.Q(('role__in', ['admin', 'billing', 'developer', 'owner', 'viewer'])), name='orgs_invitation_role')],
            },
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
            model_name='serviceaccount',
            constraint=models.UniqueConstraint(condition=models.Q(('removed_at', None)), fields=('org_id', 'name'), name='orgs_account_name'),
        ),
        migrations.AddIndex(
            model_name='rolegrant',
            index=models.Index(fields=['org_id', 'service_account'], name='orgs_role_grant_account'),
        ),
        migrations.AddConstraint(
            model_name='rolegrant',
            constraint=models.UniqueConstraint(fields=('org_id', 'membership', 'service_account', 'scope', 'scope_id', 'role'), name='orgs_role_grant_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='rolegrant',
            constraint=models.CheckConstraint(condition=models.Q(('membership', None), ('service_account', None), _connector='XOR'), name='orgs_role_grant_one_subject'),
        ),
        migrations.AddConstraint(
            model_name='rolegrant',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('role__in', ['admin', 'billing', 'developer', 'owner', 'viewer']), ('scope', 'organization')), models.Q(('role__in', ['contributor', 'maintainer', 'reader']), ('scope', 'project')), models.Q(('role__in', ['collaborator', 'observer', 'operator']), ('scope', 'workspace')), _connector='OR'), name='orgs_role_grant_role_fits_scope'),
        ),
        migrations.AddConstraint(
            model_name='rolegrant',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('scope', 'organization'), _negated=True), ('scope_id', models.F('org_id')), _connector='OR'), name='orgs_role_grant_own_organization'),
        ),
        migrations.AddIndex(
            model_name='token',
            index=models.Index(fields=['org_id', 'account'], name='orgs_token_account'),
        ),
        migrations.AddIndex(
            model_name='token',
            index=models.Index(condition=models.Q(('ended_at', None)), fields=['expires_at'], name='orgs_token_expiry'),
        ),
        PlatformTable("orgs_person", grants=["SELECT", "INSERT", "UPDATE"]),
        # Whose session it is and since when is told once; only its use and its end are added.
        PlatformTable("orgs_consolesession", grants=["SELECT", "INSERT", "UPDATE (last_seen_at, ended_at, cause)"]),
        Wall("Organization", key="id"),
        Wall("Membership"),
        # A service account is kept with its history; a token's owner and scopes are told once.
        Wall("ServiceAccount", grants=["SELECT", "INSERT", "UPDATE (removed_at)"]),
        Wall("Token", grants=["SELECT", "INSERT", "UPDATE (ended_at, last_used_at)"]),
        Wall("RoleGrant", grants=["SELECT", "INSERT", "DELETE"]),
        Wall("Invitation", grants=["SELECT", "INSERT", "UPDATE (accepted_at, accepted_by_id, ended_at)"]),
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
        Lookup(
            "token_by_digest",
            arguments="wanted text",
            returns="SETOF uuid",
            query="SELECT unnest(ARRAY[org_id, id]) FROM public.orgs_token WHERE digest = wanted",
            reads=[Reads("orgs_token", ("id", "org_id", "digest"))],
        ),
        Lookup(
            "organization_of_invitation",
            arguments="wanted uuid",
            returns="uuid",
            query="SELECT org_id FROM public.orgs_invitation WHERE id = wanted",
            reads=[Reads("orgs_invitation", ("id", "org_id"))],
        ),
        Lookup(
            "invitations_of_email",
            arguments="wanted text",
            returns="SETOF uuid",
            query=(
                "SELECT id FROM public.orgs_invitation WHERE email = wanted AND accepted_at IS NULL AND ended_at IS NULL "
                "AND expires_at > now() ORDER BY invited_at"
            ),
            reads=[Reads("orgs_invitation", ("email", "accepted_at", "ended_at", "expires_at", "invited_at"))],
        ),
        Lookup(
            "organizations_with_overdue",
            arguments="before timestamptz, most integer",
            returns="SETOF uuid",
            query=(
                "SELECT org_id FROM public.orgs_invitation WHERE accepted_at IS NULL AND ended_at IS NULL AND expires_at <= before "
                "UNION SELECT org_id FROM public.orgs_token WHERE ended_at IS NULL AND expires_at <= before LIMIT most"
            ),
            reads=[Reads("orgs_token", ("ended_at", "expires_at"))],
        ),
    ]
