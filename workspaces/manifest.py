"""What a wake runs: the services by their approved contracts, with references in place of secrets (DESIGN 7.3, W1-W3).

Nothing is minted or resolved here; credentials are put in when the command is leased (`workspaces.credentials`, THREATS K2).
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from envforge_protocol.contract import Contract
from envforge_protocol.contract.model import Health, Smoke
from envforge_protocol.contract.types import argv
from envforge_protocol.host.base import LABEL
from envforge_protocol.host.runtimes import Check, Manifest, Reference, Service, ServicePort, Step
from hosts.ec2 import INGRESS_PORTS
from hosts.models import Size
from projects.models import Binding, ResourceMode
from projects.needs import missing
from secrets_ref.grants import SecretsNotReady, resolve_grants
from workspaces.contracts import Chosen, Contracts
from workspaces.managed import Managed, resources_of
from workspaces.models import RunningService, Runtime
from workspaces.values import Environment, environment, values_of
from workspaces.wire import LIMITS, account_of

_LABEL = re.compile(LABEL)


@dataclass(slots=True)
class Built:
    """A manifest, or the blockers that keep it from being one (`workspaces.models.Wake.blockers`)."""

    manifest: Manifest | None = None
    blockers: list[dict[str, Any]] = field(default_factory=list)
    chosen: list[Chosen] = field(default_factory=list)
    accounts: dict[str, int] = field(default_factory=dict)
    ingress: dict[str, int] = field(default_factory=dict)

    def block(self, service: str, at: str, reason: str) -> None:
        self.blockers.append({"service": service, "at": at, "reason": reason, "exit_status": None})


def build(runtime: Runtime, contracts: Contracts, host_id: UUID) -> Built:
    """The manifest of a locked runtime's present wake on a VM, or every reason why there is none.

    Accounts and ingress ports are given here; the caller stores the ports with the services.
    """
    built = Built(chosen=contracts.contracts)
    if not contracts.contracts:
        waits = f" Review the contract of {contracts.without[0].name}." if contracts.without else ""
        built.block("", "contract", f"No contract of this project is approved yet.{waits}")
        return built
    _require_trees(built, contracts)
    environments = _environments(built, runtime)
    managed = resources_of(
        runtime.workspace,
        built.chosen,
        {repository_id: made.resources for repository_id, made in environments.items() if made.resources},
        built.block,
    )
    _require_ports_apart(built)
    references = _references(built, runtime, environments)
    services = [
        _service(built, runtime, one, environments[one.repository.id], references, managed, host_id)
        for one in built.chosen
    ]
    if not built.blockers:
        built.manifest = Manifest(
            epoch=runtime.epoch,
            services=tuple(one for one in services if one),
            resources=tuple(managed.resources),
        )
    return built


def _require_trees(built: Built, contracts: Contracts) -> None:
    """Each service's working tree lies in the workspace's files."""
    for one in built.chosen:
        tree = contracts.trees.get(one.repository.id)
        if tree is None or not tree.commit:
            why = tree.problem if tree else "It was not checked out yet. Wake the runtime again in a minute."
            built.block(one.contract.service.name, "repository", why)


def _environments(built: Built, runtime: Runtime) -> dict[UUID, Environment]:
    ids = [one.repository.id for one in built.chosen]
    bindings = list(Binding.objects.filter(repository_id__in=ids).select_related("secret"))
    modes = list(ResourceMode.objects.filter(repository_id__in=ids).prefetch_related("values__secret"))
    leads = {one.repository.id: one for one in built.chosen}
    proposals = {one.repository.id: one.proposal for one in built.chosen}
    found: dict[UUID, Environment] = {}
    for one in built.chosen:
        own = [binding for binding in bindings if binding.repository_id == one.repository.id]
        provided = [mode for mode in modes if mode.repository_id == one.repository.id]
        for lacking in missing(one.contract, own, provided, proposals):
            built.block(
                one.contract.service.name,
                "inputs",
                f"It lacks {lacking}. Bind it in the project, then wake again.",
            )
        found[one.repository.id] = environment(one.contract, values_of(one.contract, own, provided, leads))
    return found


def _require_ports_apart(built: Built) -> None:
    """Services of one workspace share its network: no two of them can listen on one port."""
    users = Counter(port.number for one in built.chosen for port in one.contract.ports.values())
    for number, times in users.items():
        if times > 1:
            names = [
                one.contract.service.name
                for one in built.chosen
                if number in {port.number for port in one.contract.ports.values()}
            ]
            for name in names:
                others = " and ".join(other for other in names if other != name)
                built.block(name, "port", f"Port {number} is also {others}'s. Give one of them another port.")


def _references(
    built: Built, runtime: Runtime, environments: dict[UUID, Environment]
) -> dict[UUID, tuple[Reference, ...]]:
    """Of each repository's service, where its secrets lie now, and in which version."""
    workspace = runtime.workspace
    found: dict[UUID, tuple[Reference, ...]] = {}
    for one in built.chosen:
        secrets = environments[one.repository.id].secrets
        try:
            [grant] = resolve_grants(
                org_id=runtime.org_id,
                wanted=[(one.contract.service.name, sorted(set(secrets.values())))],
                project_id=workspace.project_id,
                workspace_id=workspace.id,
            )
        except SecretsNotReady as lacking:
            built.block(one.contract.service.name, "secrets", lacking.detail)
            continue
        found[one.repository.id] = tuple(
            Reference(input=name, arn=grant.references[secret].arn, version=grant.references[secret].version)
            for name, secret in sorted(secrets.items())
        )
    return found


def _service(
    built: Built,
    runtime: Runtime,
    one: Chosen,
    values: Environment,
    references: dict[UUID, tuple[Reference, ...]],
    managed: Managed,
    host_id: UUID,
) -> Service | None:
    contract, name = one.contract, one.contract.service.name
    account = account_of(runtime.workspace, one.repository.name)
    if account is None:
        built.block(
            name, "host", "A workspace has room for 15 services and resources, and has as many already."
        )
        return None
    built.accounts[name] = account
    if contract.is_linkable:
        built.ingress[name] = _free_ingress(host_id, runtime, built.ingress.values())
    # What leads in comes first: without a health check, a VM asks the first port.
    ports = sorted(contract.ports.items(), key=lambda port: port[0] != contract.ingress)
    return Service(
        name=name,
        contract_digest=one.proposal.digest,
        account=account,
        command=argv(contract.command),
        directory=one.repository.name,
        ports=tuple(
            ServicePort(
                name=label(port_name, port.number),
                port=port.number,
                protocol=port.protocol,
                ingress=built.ingress.get(name) if port_name == contract.ingress else None,
            )
            for port_name, port in ports
        ),
        environment=values.texts,
        references=references.get(one.repository.id, ()),
        resources=managed.names.get(one.repository.id, {}),
        setup=tuple(
            Step(
                name=step.name,
                command=argv(step.command),
                cache_files=step.cache_key,
                timeout_s=step.timeout_s,
            )
            for step in contract.setup
        ),
        health=_health(contract, contract.health) if contract.health else None,
        smoke=_smoke(contract, contract.smoke) if contract.smoke else None,
        once=contract.service.kind == "job",
        limits=LIMITS[Size(runtime.size)],
    )


def label(name: str, number: int) -> str:
    """A port's name for a VM, which knows fewer names than contracts do."""
    return name if _LABEL.fullmatch(name) else f"port-{number}"


def _free_ingress(host_id: UUID, runtime: Runtime, besides: Iterable[int]) -> int:
    """A port of the VM that leads to nobody else; the caller's transaction holds off other runtimes' wakes there."""
    taken = set(
        RunningService.objects.filter(host_id=host_id, ingress__isnull=False)
        .exclude(runtime=runtime)
        .values_list("ingress", flat=True)
    ) | set(besides)
    first, last = INGRESS_PORTS
    return next(port for port in range(first, last + 1) if port not in taken)


def _health(contract: Contract, health: Health) -> Check:
    common: dict[str, Any] = {
        "every_s": float(health.interval_s),
        "timeout_s": float(health.timeout_s),
        "start_period_s": float(health.start_period_s),
    }
    if health.command is not None:
        return Check(kind="command", command=argv(health.command), **common)
    if health.tcp is not None:
        return Check(kind="tcp", port=contract.ports[health.tcp].number, **common)
    return Check(kind="http", port=_port(contract, health.port), path=health.http or "/", **common)


def _smoke(contract: Contract, smoke: Smoke) -> Check:
    if smoke.command is not None:
        return Check(kind="command", command=argv(smoke.command), timeout_s=float(smoke.timeout_s))
    return Check(
        kind="http",
        port=_port(contract, smoke.port),
        path=smoke.http or "/",
        expect_status=(smoke.status, smoke.status),
        timeout_s=float(smoke.timeout_s),
    )


def _port(contract: Contract, named: str | None) -> int | None:
    name = named or contract.ingress
    return contract.ports[name].number if name else None


def patience_s(manifest: Manifest) -> float:
    """How long bringing all of it up may take, so that whoever waits longer may give up."""
    longest = max(
        (
            sum(step.timeout_s for step in service.setup)
            + (service.health.start_period_s if service.health else 60.0)
            + (service.smoke.timeout_s if service.smoke else 0.0)
            for service in manifest.services
        ),
        default=0.0,
    )
    resources = max((resource.ready_within_s for resource in manifest.resources), default=0.0)
    return longest + resources + 300.0
