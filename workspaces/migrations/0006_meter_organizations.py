"""Which organizations have a meter at all: for the recomputation from the audit."""

from django.db import migrations

from envforge.tenancy.migrations import Lookup, Reads


class Migration(migrations.Migration):

    dependencies = [
        ('workspaces', '0005_host_news'),
    ]

    operations = [
        Lookup(
            "organizations_with_meter",
            arguments="",
            returns="SETOF uuid",
            # As an index-only walk from one organization to the next, however many windows there are.
            query=(
                "WITH RECURSIVE one AS ((SELECT org_id FROM public.workspaces_meterwindow ORDER BY org_id LIMIT 1) "
                "UNION ALL SELECT (SELECT org_id FROM public.workspaces_meterwindow WHERE org_id > one.org_id ORDER BY org_id LIMIT 1) "
                "FROM one WHERE one.org_id IS NOT NULL) SELECT org_id FROM one WHERE org_id IS NOT NULL"
            ),
            reads=[Reads("workspaces_meterwindow", ("org_id",))],
        ),
    ]
