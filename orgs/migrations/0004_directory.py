"""Members are listed in order and found by words, each by an index that begins with the organization."""

import django.db.models.deletion
from django.db import migrations, models

import envforge.ids
import envforge.tenancy
from envforge.tenancy.migrations import Wall


class Migration(migrations.Migration):

    dependencies = [
        ('orgs', '0003_newest_members'),
    ]

    operations = [
        migrations.CreateModel(
            name='MemberWord',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('word', models.TextField(db_collation='C')),
                ('listed_as', models.TextField(db_collation='C')),
            ],
        ),
        migrations.AddField(
            model_name='membership',
            name='listed_as',
            field=models.TextField(db_collation='C', default=''),
        ),
        migrations.AddIndex(
            model_name='membership',
            index=models.Index(fields=['org_id', 'listed_as', 'id'], name='orgs_membership_listed'),
        ),
        migrations.AddIndex(
            model_name='rolegrant',
            index=models.Index(condition=models.Q(('role', 'owner')), fields=['org_id', 'membership'], name='orgs_role_grant_owners'),
        ),
        migrations.AddIndex(
            model_name='token',
            index=models.Index(condition=models.Q(('ended_at', None)), fields=['org_id', 'issued_by'], name='orgs_token_of_issuer'),
        ),
        migrations.AddField(
            model_name='memberword',
            name='membership',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='words', to='orgs.membership'),
        ),
        migrations.AddIndex(
            model_name='memberword',
            index=models.Index(fields=['org_id', 'word', 'listed_as', 'membership'], name='orgs_member_word_found'),
        ),
        migrations.AddConstraint(
            model_name='memberword',
            constraint=models.UniqueConstraint(fields=('org_id', 'membership', 'word'), name='orgs_member_word_once'),
        ),
        Wall("MemberWord", grants=["SELECT", "INSERT", "DELETE"]),
    ]
