"""The whole product on one machine, started in the order of its needs."""

from local_cloud.cloud import Cloud
from local_cloud.console import Console
from local_cloud.git.publishing import publish_examples
from local_cloud.git.store import Store
from local_cloud.parts import backing_parts, gateway_parts, product_parts, vm_parts
from local_cloud.steps import collect_static, migrate, prepare_stores, seed
from local_cloud.supervisor import Supervisor


def start_services(cloud: Cloud, supervisor: Supervisor, console: Console) -> Cloud:
    """Start what lies below the product and prepare it, without tables; returns the cloud with what was issued.

    Raises:
        LocalCloudError: a part does not become ready, or a step fails.
    """
    supervisor.start(backing_parts(cloud))
    prepared = prepare_stores(cloud, console)
    with console.step("Example repositories"):
        publish_examples(Store(cloud.home.directory("git")))
    return prepared


def start_whole(cloud: Cloud, supervisor: Supervisor, console: Console) -> Cloud:
    """Start the services, bring the database up to date, and start the product; otherwise as `start_services`."""
    cloud = start_services(cloud, supervisor, console)
    collect_static(cloud, console)
    migrate(cloud, console)
    seed(cloud, console)
    # VMs after the control plane, which they talk to as soon as they run.
    supervisor.start(product_parts(cloud))
    supervisor.start(gateway_parts(cloud))
    supervisor.start(vm_parts(cloud))
    return cloud
