"""The `vms` fixture: VMs beside the endpoint the product uses, for whom a test names."""

import os
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
import boto3
from django.conf import settings

from envforge_protocol.host.commands import Payload, PrepareShell, ShellPrepared
from envforge_protocol.host.runtimes import Limits
from envforge_protocol.host.workspaces import Repository, RepositoryCredential
from hosts import hooks
from hosts.hooks import CommandRef, Finished
from hosts.models import HostRole
from local_cloud.git.adding import Source, add
from local_cloud.git.names import RepositoryName
from local_cloud.git.store import Store
from tests.git_host.conftest import commit, git
from tests.product.host_api.conftest import address, filled, heard
from tests.product.real_vms import Chain, chain, finished
from tests.vms import Vms, eventually

__all__ = ["address", "chain", "filled", "heard"]  # fixtures

LAUNCH = {"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1}


def test_only_who_is_named_gets_a_vm(vms: Vms) -> None:
    key = vms.client.root_key
    ec2 = boto3.client(
        "ec2",
        endpoint_url=settings.AWS_ENDPOINT_URL,
        region_name=settings.AWS_REGION,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
    )

    def launch(org: str) -> str:
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "envforge:org", "Value": org}]}]
        made = ec2.run_instances(**LAUNCH, TagSpecifications=tags)  # type: ignore[arg-type]
        return str(made["Instances"][0]["InstanceId"])

    vms.include("a-fixture-organization")
    named, other = launch("a-fixture-organization"), launch("another-organization")
    vms.wait_on(named)
    # It has no user data, and says so.
    eventually(lambda: "no user data" in vms.console(named), vms.console(named))
    assert not (vms.state / other).exists()
    ec2.terminate_instances(InstanceIds=[named, other])
    vms.wait_off(named)


def test_h2_a_shell_vm_checks_out_from_the_local_git_host(
    chain: Chain, heard: list[Finished], filled: None, tmp_path: Path
) -> None:
    """H2: from a claim to files in a working tree; the local Git host is spoken to over http since host.json names it."""
    source = tmp_path / "source"
    source.mkdir()
    git("init", "-q", "-b", "main", at=source)
    commit(source, "a.txt", "from the git host\n")
    name = RepositoryName("acme", f"web-{chain.org_id.hex[:8]}")
    store = Store(Path(os.environ["ENVFORGE_TEST_GIT_STATE"]))
    add(store, name, Source.of(source))
    slot = chain.awake(HostRole.SHELL)
    host = chain.ready(slot)
    workspace = chain.workspace(slot)
    credential = RepositoryCredential.model_validate(
        {"username": "x", "password": store.deploy_token(name), "expires_at": datetime.now(UTC)}
    )
    repository = Repository(
        directory="web",
        url=f"{os.environ['ENVFORGE_TEST_GIT_URL']}/{name}.git",
        branch="main",
        fallback_branch="main",
    )

    def fill(_command: CommandRef, payload: Payload) -> Payload:
        return payload.model_copy(
            update={"repositories": (repository.model_copy(update={"credential": credential}),)}
        )

    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    hooks.on_lease("prepare_shell", fill)
    wanted = chain.want(
        host,
        PrepareShell(
            workspace=workspace,
            repositories=(repository,),
            certificate_authority=key,
            shell_limits=Limits(memory_mib=512, cpu_millis=1000),
        ),
        "checkout",
    )
    chain.done(wanted)
    [ended] = finished(heard, wanted)
    assert isinstance(ended.outcome, ShellPrepared), ended.failure
    [checkout] = ended.outcome.checkouts
    assert (checkout.problem, checkout.branch, checkout.dirty) == ("", "main", False)
    assert checkout.commit == git("rev-parse", "HEAD", at=source).strip()
    [file] = Path(workspace.storage.directory).rglob("a.txt")
    assert file.read_text() == "from the git host\n"
