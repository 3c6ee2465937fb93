"""The e-mail outbox, with its walls and what finds the organizations in which something is due."""

import django.db.models.deletion
import envforge.ids
import envforge.tenancy
from django.conf import settings
from django.db import migrations, models

from envforge.tenancy.migrations import Lookup, Reads, Wall


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('orgs', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Email',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('kind', models.TextField()),
                ('to_address', models.EmailField(blank=True, default='', max_length=254)),
                ('parameters', models.JSONField(default=dict)),
                ('link_source', models.TextField(blank=True, default='')),
                ('link_id', models.UUIDField(null=True)),
                ('created_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('sent_at', models.DateTimeField(null=True)),
                ('given_up_at', models.DateTimeField(null=True)),
                ('to_person', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['due_at', 'org_id'], name='notices_email_due'), models.Index(fields=['org_id', 'due_at'], name='notices_email_org_due')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('to_address', ''), ('to_person__isnull', False)), models.Q(('to_person__isnull', True), models.Q(('to_address', ''), _negated=True)), _connector='OR'), name='notices_email_one_recipient'), models.CheckConstraint(condition=models.Q(('sent_at__isnull', True), ('given_up_at__isnull', True), _connector='OR'), name='notices_email_one_end'), models.CheckConstraint(condition=models.Q(models.Q(('link_id__isnull', True), ('link_source', '')), models.Q(('link_id__isnull', False), models.Q(('link_source', ''), _negated=True)), _connector='OR'), name='notices_email_whole_link')],
            },
        ),
        Wall("Email"),
        Lookup(
            "organizations_with_due_email",
            arguments="wanted integer",
            returns="SETOF uuid",
            query=(
                "SELECT org_id FROM public.notices_email WHERE due_at <= now() "
                "GROUP BY org_id ORDER BY min(due_at), org_id LIMIT wanted"
            ),
            reads=[Reads("notices_email", ("org_id", "due_at"))],
        ),
    ]
