"""Importing by path: the organization's own prefix, exactly (K1); and what cannot be stored, whoever tries."""

from uuid import uuid4

import psycopg
import pytest
from django.db import IntegrityError

from audit.models import Event
from envforge import tenancy
from envforge.errors import Conflict, Invalid, NotAllowed, NotVisible, Unavailable
from envforge.secret_value import SecretValue
from secrets_ref import keys, operations, paths, platform_secrets, ssm
from secrets_ref.models import Consumption, Secret, SecretVersion
from tests.product.secret_places import maintainer, some_places
from tests.product.store import again, crooked_aws, put_outside, root, set_secret, versions
from tests.product.world import World


def import_(world: World, path: str, **more: object) -> Secret:
    by = more.get("by", world.alice)
    return operations.import_secret(actor=by.as_actor(), org_id=world.acme.id, path=path)  # type: ignore[attr-defined]


def test_import_takes_up_what_is_there_and_reads_no_value(world: World) -> None:
    keys.ensure_key(world.acme.id)
    path = f"{paths.own_prefix(world.acme.id)}org/OLD_KEY"
    for value in ("one", "two"):
        put_outside(path, value, world.acme.id)
    with crooked_aws() as crooked:
        secret = import_(world, path)
    assert not {one for one in crooked.seen if one.startswith("GetParameter")}
    assert (secret.name, secret.version, secret.changed_by) == ("OLD_KEY", 2, "Alice")
    assert versions(world) == [(2, "imported", "written")]
    assert import_(world, path).id == secret.id
    with tenancy.enter(world.acme.id):
        assert [one.facts for one in Event.objects.filter(kind="secret.imported")] == [{"version": 2}]


HOSTILE = [
    "/envforge/{mallet}/org/STRIPE_KEY",
    "/envforge/{acme}/../{mallet}/org/STRIPE_KEY",
    "/envforge/{acme}/org/../../{mallet}/org/STRIPE_KEY",
    "/envforge/{acme}//org/STRIPE_KEY",
    "//envforge/{acme}/org/STRIPE_KEY",
    "/envforge/{acme}/org/STRIPE_KEY/",
    "/envforge/{acme}/org/STRIPE_KEY:1",
    "/envforge/{acme}/org/STRIPE_KEY\n",
    " /envforge/{acme}/org/STRIPE_KEY",
    "/envforge/{acme}/org/*",
    "/envforge/{acme}/org/a/b",
    "/envforge/{acme}/org",
    "/envforge/{ACME}/org/STRIPE_KEY",
    "/envforge/{dashed}/org/STRIPE_KEY",
    "/envforge-platform/{acme}/TAILNET",
    "/envforge-platform/{acme}/org/TAILNET",
    "/envforge/{acme}/../../envforge-platform/{acme}/TAILNET",
    "/aws/reference/secretsmanager/x",
    "arn:aws:ssm:eu-central-1:123456789012:parameter/envforge/{acme}/org/STRIPE_KEY",
    "STRIPE_KEY",
    "",
    "/envforge/{acme}/org/STRIPE_KEY\x00",
    "/envforge/{acme}/org/\N{FULLWIDTH LATIN CAPITAL LETTER S}TRIPE",
]


@pytest.mark.parametrize("form", HOSTILE)
def test_k1_any_other_path_is_refused_without_a_look(form: str, world: World) -> None:
    set_secret(world)
    operations.set_secret(
        actor=world.mallory.as_actor(), org_id=world.mallet.id, name="STRIPE_KEY", value=SecretValue("x")
    )
    platform_secrets.keep_platform_secret(org_id=world.acme.id, name="TAILNET", value=SecretValue("x"))
    ids = {"acme": world.acme.id.hex, "mallet": world.mallet.id.hex, "dashed": str(world.acme.id)}
    path = form.format(**ids, ACME=world.acme.id.hex.upper())
    with crooked_aws() as crooked:
        with pytest.raises(Invalid) as refused:
            import_(world, path)
        assert crooked.seen == []
    assert set(refused.value.fields) == {"path"}
    with pytest.raises(NotAllowed):
        import_(world, path, by=world.bob)
    with pytest.raises(NotVisible):
        import_(world, path, by=world.mallory)


def test_k1_what_the_readers_could_not_read_is_not_imported(world: World) -> None:
    keys.ensure_key(world.acme.id)
    own = paths.own_prefix(world.acme.id)
    root("ssm").put_parameter(Name=f"{own}org/PLAIN", Value="x", Type="String")
    root("ssm").put_parameter(Name=f"{own}org/ELSEWHERE", Value="x", Type="SecureString")
    for name, words in (("PLAIN", "not encrypted"), ("ELSEWHERE", "another key"), ("NONE", "nothing")):
        with pytest.raises(Invalid) as refused:
            import_(world, f"{own}org/{name}")
        assert words in refused.value.fields["path"]


def test_what_was_set_here_is_not_imported_and_trouble_is_said(world: World) -> None:
    secret = set_secret(world)
    with pytest.raises(Conflict, match="here already"):
        import_(world, secret.path)
    with crooked_aws() as crooked:
        crooked.refuse("DescribeParameters", "AccessDeniedException")
        with pytest.raises(Unavailable):
            import_(world, f"{paths.own_prefix(world.acme.id)}org/NEW")


def test_places_decide_who_may_and_another_organizations_are_none(world: World) -> None:
    with some_places() as made:
        shop = made.project(world.acme.id, "Shop")
        branch = made.workspace(world.acme.id, shop, "feature")
        foreign = made.project(world.mallet.id, "Theirs")
        mia = maintainer(world, shop)
        actor, org_id = mia.as_actor(), world.acme.id

        def set_in(project_id: object = None, workspace_id: object = None) -> Secret:
            return operations.set_secret(
                actor=actor,
                org_id=org_id,
                name="DB",
                value=SecretValue("x"),
                project_id=project_id,  # type: ignore[arg-type]
                workspace_id=workspace_id,  # type: ignore[arg-type]
            )

        secret = set_in(shop)
        assert secret.path == f"/envforge/{org_id.hex}/{shop.hex}/DB"
        assert set_in(shop, branch).path == f"/envforge/{org_id.hex}/{branch.hex}/DB"
        with pytest.raises(NotAllowed):
            set_in()
        for project_id, workspace_id in ((foreign, None), (uuid4(), None), (None, branch), (foreign, branch)):
            with pytest.raises(NotVisible):
                set_in(project_id, workspace_id)
        # Under a project's id the import finds the project, and asks about it.
        put_outside(f"/envforge/{org_id.hex}/{shop.hex}/TAKEN", "x", org_id)
        assert (
            operations.import_secret(
                actor=actor, org_id=org_id, path=f"/envforge/{org_id.hex}/{shop.hex}/TAKEN"
            ).project_id
            == shop
        )
        with pytest.raises(NotVisible):
            operations.import_secret(
                actor=actor, org_id=org_id, path=f"/envforge/{org_id.hex}/{foreign.hex}/TAKEN"
            )


def test_k1_a_path_of_another_organization_cannot_be_stored(world: World, admin: psycopg.Connection) -> None:
    secret = set_secret(world)
    theirs = f"/envforge/{world.mallet.id.hex}/org/STRIPE_KEY"
    for path in (
        theirs,
        f"/envforge-platform/{world.acme.id.hex}/STRIPE_KEY",
        f"{secret.path}X",
        f"/envforge/{world.acme.id.hex}/../STRIPE_KEY",
    ):
        with pytest.raises(IntegrityError), tenancy.enter(world.acme.id):
            Secret.objects.filter(id=secret.id).update(path=path)
        # Not even by the superuser.
        with pytest.raises(psycopg.errors.CheckViolation), admin.transaction():
            admin.execute("UPDATE secrets_ref_secret SET path = %s WHERE id = %s", [path, secret.id])
    assert again(world, secret).path == secret.path


def test_v1_versions_and_consumption_stay_inside_their_organization(
    world: World, admin: psycopg.Connection
) -> None:
    secret = set_secret(world)
    for table in (SecretVersion._meta.db_table, Consumption._meta.db_table):
        with tenancy.enter(world.acme.id):
            if table == Consumption._meta.db_table:
                _consume(secret)
        with pytest.raises(psycopg.errors.ForeignKeyViolation), admin.transaction():
            admin.execute("SET CONSTRAINTS ALL IMMEDIATE")
            admin.execute(
                f"UPDATE {table} SET org_id = %s WHERE secret_id = %s", [world.mallet.id, secret.id]
            )


def _consume(secret: Secret) -> None:
    Consumption.objects.create(
        secret=secret,
        generation=1,
        version=1,
        workspace_id=uuid4(),
        service="web",
        host_id=uuid4(),
        run_id=uuid4(),
        consumed_at=secret.changed_at,
    )


def test_s5_platform_secrets_come_and_go(world: World) -> None:
    org_id = world.acme.id
    assert platform_secrets.read_platform_secret(org_id=org_id, name="TAILNET") is None
    for value in ("first", "second"):
        platform_secrets.keep_platform_secret(org_id=org_id, name="TAILNET", value=SecretValue(value))
        read = platform_secrets.read_platform_secret(org_id=org_id, name="TAILNET")
        assert read is not None
        assert read.reveal_text() == value
    for _ in range(2):
        platform_secrets.drop_platform_secret(org_id=org_id, name="TAILNET")
    assert platform_secrets.read_platform_secret(org_id=org_id, name="TAILNET") is None
    with pytest.raises(ValueError, match="name"):
        platform_secrets.read_platform_secret(org_id=org_id, name="../x")
    assert ssm.describe(paths.platform_path(org_id, "TAILNET")) is None
