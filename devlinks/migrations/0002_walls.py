"""The walls around dev links, how purges get their numbers, and what is looked up before the organization is known."""

from django.db import migrations

from envforge.tenancy.migrations import Lookup, PlatformTable, Reads, SupportReads, Wall

KEPT = ("SELECT", "INSERT", "UPDATE")

# A purge is numbered while its transaction commits, and the number's row stays locked until it has: so that numbers grow in the order
# of commits, and whoever reads a number sees every purge up to it (THREATS G1). In two steps: what a deferred trigger queues runs after
# everything that was deferred before, such as checks of foreign keys, which may have to wait for somebody who waits for the number.
NUMBERING = """
INSERT INTO devlinks_revision (id, value) VALUES (1, 0);

CREATE FUNCTION devlinks_purge_last() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE public.devlinks_purge SET numbering = true WHERE id = NEW.id;
    RETURN NULL;
END $$;

CREATE FUNCTION devlinks_purge_number() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE given bigint;
BEGIN
    UPDATE public.devlinks_revision SET value = value + 1 WHERE id = 1 RETURNING value INTO STRICT given;
    UPDATE public.devlinks_purge SET revision = given WHERE id = NEW.id;
    PERFORM pg_notify('envforge_purges', given::text);
    RETURN NULL;
END $$;

REVOKE ALL ON FUNCTION devlinks_purge_last() FROM PUBLIC;
REVOKE ALL ON FUNCTION devlinks_purge_number() FROM PUBLIC;

CREATE CONSTRAINT TRIGGER devlinks_purge_last AFTER INSERT ON devlinks_purge
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION devlinks_purge_last();
CREATE CONSTRAINT TRIGGER devlinks_purge_number AFTER UPDATE OF numbering ON devlinks_purge
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.numbering AND NEW.revision IS NULL)
    EXECUTE FUNCTION devlinks_purge_number();
"""
FORGET = """
DROP TRIGGER devlinks_purge_number ON devlinks_purge;
DROP TRIGGER devlinks_purge_last ON devlinks_purge;
DROP FUNCTION devlinks_purge_number();
DROP FUNCTION devlinks_purge_last();
DELETE FROM devlinks_revision;
"""


def by_digest(name: str, table: str) -> Lookup:
    """Organization and id of what has this digest."""
    return Lookup(
        name,
        arguments="wanted text",
        returns="SETOF uuid",
        query=f"SELECT unnest(ARRAY[org_id, id]) FROM public.{table} WHERE digest = wanted",
        reads=[Reads(table, ("org_id", "id", "digest"))],
    )


class Migration(migrations.Migration):

    dependencies = [
        ('devlinks', '0001_links'),
    ]

    operations = [
        # Given to one service for good.
        Wall("HostLabel", grants=("SELECT", "INSERT")),
        Wall("DevLink", grants=KEPT),
        Wall("LinkWake", grants=("SELECT", "INSERT")),
        Wall("LinkPolicy", grants=KEPT),
        Wall("DevCode"),
        Wall("DevSession"),
        Wall("ShellTicket"),
        PlatformTable("devlinks_gateway", grants=("SELECT", "INSERT", "UPDATE", "DELETE")),
        PlatformTable("devlinks_gatewaytoken", grants=("SELECT", "INSERT", "UPDATE", "DELETE")),
        PlatformTable("devlinks_linkkey", grants=("SELECT", "INSERT", "UPDATE (retired_at, good_until)")),
        PlatformTable("devlinks_revision", grants=("SELECT",)),
        PlatformTable("devlinks_purge", grants=("SELECT", "INSERT", "UPDATE (settled_at)", "DELETE")),
        PlatformTable("devlinks_purgereceipt", grants=("SELECT", "INSERT", "DELETE")),
        migrations.RunSQL(NUMBERING, FORGET),
        by_digest("dev_session_by_digest", "devlinks_devsession"),
        by_digest("dev_code_by_digest", "devlinks_devcode"),
        by_digest("shell_ticket_by_digest", "devlinks_shellticket"),
        Lookup(
            "organization_of_dev_link",
            arguments="wanted uuid",
            returns="uuid",
            query="SELECT org_id FROM public.devlinks_devlink WHERE id = wanted",
            reads=[Reads("devlinks_devlink", ("org_id", "id", "expires_at", "revoked_at", "expired_at"))],
        ),
        Lookup(
            "dev_links_expiring",
            arguments="moment timestamptz, most integer",
            returns="SETOF uuid",
            query=(
                "SELECT unnest(ARRAY[org_id, id]) FROM (SELECT org_id, id FROM public.devlinks_devlink "
                "WHERE expires_at <= moment AND revoked_at IS NULL AND expired_at IS NULL ORDER BY expires_at LIMIT most) due"
            ),
            reads=[Reads("devlinks_devlink", ("org_id", "id", "expires_at", "revoked_at", "expired_at"))],
        ),
        Lookup(
            "dev_host",
            arguments="wanted text",
            returns="SETOF uuid",
            query="SELECT unnest(ARRAY[org_id, id]) FROM public.devlinks_hostlabel WHERE label = wanted",
            reads=[Reads("devlinks_hostlabel", ("org_id", "id", "label"))],
        ),
        Lookup(
            "dev_sessions_of_sign_in",
            arguments="wanted uuid",
            returns="SETOF uuid",
            query=(
                "SELECT unnest(ARRAY[org_id, id]) FROM public.devlinks_devsession "
                "WHERE console_session_id = wanted AND ended_at IS NULL"
            ),
            reads=[Reads("devlinks_devsession", ("org_id", "id", "digest", "console_session_id", "ended_at"))],
        ),
        Lookup(
            "organizations_with_spent_codes",
            arguments="moment timestamptz, most integer",
            returns="SETOF uuid",
            query=(
                "SELECT DISTINCT org_id FROM (SELECT org_id FROM (SELECT org_id, expires_at FROM public.devlinks_devcode "
                "UNION ALL SELECT org_id, expires_at FROM public.devlinks_shellticket) both_kinds WHERE expires_at < moment LIMIT most) old"
            ),
            reads=[
                Reads("devlinks_devcode", ("org_id", "id", "digest", "expires_at")),
                Reads("devlinks_shellticket", ("org_id", "id", "digest", "expires_at")),
            ],
        ),
        SupportReads(
            "devlinks_devlink",
            ("id", "org_id", "workspace_id", "issued_at", "expires_at", "expired_at", "revoked_at", "first_used_at", "last_used_at", "wakes_spent"),
        ),
        SupportReads(
            "devlinks_gateway",
            ("id", "version", "registered_at", "heard_at", "leased_until", "acknowledged", "left_at"),
            walled=False,
        ),
    ]
