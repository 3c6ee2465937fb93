"""The walls around workspaces, and what sweeps look up before the organization is known."""

from django.db import migrations

from envforge.tenancy.migrations import Lookup, Reads, SupportReads, Wall

KEPT = ("SELECT", "INSERT", "UPDATE")


def due(table: str, column: str) -> str:
    """A query for organization and id of what is due, the longest due first."""
    return (
        f"SELECT unnest(ARRAY[org_id, id]) FROM (SELECT org_id, id FROM public.{table} "  # noqa: S608 - names of ours
        f"WHERE {column} <= moment ORDER BY {column} LIMIT most) due"
    )


def due_lookup(name: str, table: str, column: str) -> Lookup:
    return Lookup(
        name,
        arguments="moment timestamptz, most integer",
        returns="SETOF uuid",
        query=due(table, column),
        reads=[Reads(table, ("org_id", "id", column))],
    )


class Migration(migrations.Migration):

    dependencies = [
        ('workspaces', '0002_rules'),
    ]

    operations = [
        Wall("Workspace", grants=KEPT),
        Wall("Checkout"),
        Wall("Account"),
        Wall("Shell"),
        Wall("Runtime"),
        # Receipts and windows are history; they are closed, never deleted.
        Wall("Wake", grants=KEPT),
        Wall("MeterWindow", grants=KEPT),
        Wall("CommandRun", grants=KEPT),
        Wall("RunningService"),
        Wall("JobLease"),
        Wall("Cap"),
        Wall("CommandOutput"),
        Wall("CertificateAuthority"),
        Wall("Certificate", grants=KEPT),
        Wall("ShellSession", grants=KEPT),
        due_lookup("workspaces_due", "workspaces_workspace", "due_at"),
        due_lookup("shells_due", "workspaces_shell", "due_at"),
        due_lookup("runtimes_due", "workspaces_runtime", "due_at"),
        due_lookup("runtimes_idle", "workspaces_runtime", "sleep_at"),
        Lookup(
            "organizations_with_old_output",
            arguments="finished_before timestamptz, most integer",
            returns="SETOF uuid",
            query=(
                "SELECT DISTINCT org_id FROM (SELECT org_id FROM public.workspaces_commandrun "
                "WHERE output_gone_at IS NULL AND finished_at < finished_before ORDER BY finished_at LIMIT most) old"
            ),
            reads=[Reads("workspaces_commandrun", ("org_id", "output_gone_at", "finished_at"))],
        ),
        SupportReads(
            "workspaces_workspace",
            ("id", "org_id", "project_id", "wanted", "wanted_at", "opened_at", "removed_at", "due_at", "attempts"),
        ),
        SupportReads(
            "workspaces_runtime",
            (
                *("id", "org_id", "workspace_id", "wanted", "wanted_at", "wanted_cause", "observed", "observed_at", "epoch"),
                *("size", "active_at", "sleep_at", "trouble_word", "due_at", "attempts", "host_id"),
            ),
        ),
        SupportReads(
            "workspaces_shell",
            ("id", "org_id", "workspace_id", "wanted", "observed", "observed_at", "due_at", "attempts", "host_id"),
        ),
    ]
