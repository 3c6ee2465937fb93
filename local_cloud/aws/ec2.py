"""EC2 as the layer completes it: what happens before and after moto's part of a request."""

import re
import time
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from local_cloud.aws import describing, instances, volumes, world
from local_cloud.aws.addresses import Addresses
from local_cloud.aws.describing import Console
from local_cloud.aws.transitions import Delays, Transitions, forget
from local_cloud.aws.wire import AwsAnswer
from local_cloud.aws.world import Call


class Ec2:
    """Client tokens, states on the way, addresses, status checks and consoles of the instances.

    `revision` grows with every change of an instance.
    """

    def __init__(self, delays: Delays) -> None:
        self.client_tokens = instances.ClientTokens()
        self.transitions = Transitions(delays)
        self.addresses = Addresses()
        self.impaired: set[str] = set()
        self.boots: dict[str, int] = {}
        self.consoles: dict[str, Console] = {}
        # Never the same again in another process, whose changes a caller has not seen.
        self.revision = time.time_ns()

    def saved(self) -> dict[str, Any]:
        """What must outlive the process beside moto's models."""
        return {
            "client_tokens": self.client_tokens.answers,
            "due": self.transitions.due,
            "terminated_at": self.transitions.terminated_at,
            "network": self.addresses.network,
            "addresses": self.addresses.by_instance,
            "impaired": self.impaired,
            "boots": self.boots,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up what `saved` gave."""
        self.client_tokens.answers = saved["client_tokens"]
        self.transitions.due = saved.get("due", {})
        self.transitions.terminated_at = saved.get("terminated_at", {})
        self.addresses.network = saved.get("network", 0)
        self.addresses.by_instance = saved.get("addresses", {})
        self.impaired = saved.get("impaired", set())
        self.boots = saved.get("boots", {})

    def open_network(self, state_directory: Path) -> bool:
        """Claim a network for the VMs; whether every instance has another address than before.

        Raises addresses.NoNetworkError.
        """
        moved = self.addresses.open(str(state_directory.resolve()))
        for _, instance in world.every_instance():
            self.addresses.give(instance)
        return moved

    def settle(self, now: datetime) -> bool:
        """Move on what is due; whether anything changed."""
        changed = self.transitions.settle(now)
        if changed:
            shown = {one.id for _, one in world.every_instance()}
            self.addresses.keep_only(shown)
            self.impaired &= shown
            self.boots = {one: count for one, count in self.boots.items() if one in shown}
            self.consoles = {one: console for one, console in self.consoles.items() if one in shown}
            self.revision += 1
        return changed

    def before(self, call: Call) -> "AwsAnswer | dict[str, str]":
        """An answer that needs no more of moto, else the states of the instances the call is about to change.

        Raises RefusedError.
        """
        earlier = self.client_tokens.earlier_answer(call)
        if earlier is not None:
            return earlier
        instances.require_small_user_data(call)
        volumes.require_attachable(call)
        if call.action in describing.ACTIONS:
            return describing.answer(call, self.impaired, self.consoles)
        return self.transitions.states_before(call)

    def after(
        self, call: Call, answer: AwsAnswer, states: dict[str, str], now: datetime, boot_s: float
    ) -> AwsAnswer:
        """Complete what moto did; the answer to give."""
        if answer.status != HTTPStatus.OK:
            return answer
        if call.action == "RunInstances":
            ids = {
                one.decode() for one in re.findall(rb"<instanceId>(i-[0-9a-f]+)</instanceId>", answer.body)
            }
            made = [one for one in world.instances(call.region) if one.id in ids]
            instances.carry_profile(call, [one.id for one in made])
            for instance in made:
                self.addresses.give(instance)
            self.transitions.begin(call.action, made, {}, now, boot_s)
            answer = describing.run_answer(call.region, made)
        elif states:
            for instance_id, state in states.items():
                if call.action == "RebootInstances" or (
                    call.action == "StartInstances" and state == "stopped"
                ):
                    self.boots[instance_id] = self.boots.get(instance_id, 0) + 1
            changed = [one for one in world.instances(call.region) if one.id in states]
            self.transitions.begin(call.action, changed, states, now, boot_s)
        self.revision += 1
        self.client_tokens.remember(call, answer, now)
        return answer

    def act(self, action: str, region: str, instance: Any, now: datetime) -> None:
        """Do to an instance what AWS does to one by itself: see `control.ACTS`."""
        model = world.backend("ec2", region)
        before = {instance.id: str(instance.state)}
        self.revision += 1
        match action:
            case "impair":
                self.impaired.add(instance.id)
            case "heal":
                self.impaired.discard(instance.id)
            case "stop":
                model.stop_instances([instance.id])
                self.transitions.begin("StopInstances", [instance], before, now, 0.0)
            case "reclaim" | "vanish":
                instance.disable_api_termination = False
                model.terminate_instances([instance.id])
                self.transitions.begin("TerminateInstances", [instance], before, now, 0.0)
                instance.state_reason.code = "Server.SpotInstanceTermination"
                instance.state_reason.message = (
                    "Server.SpotInstanceTermination: Instance terminated by the service"
                )
                if action == "vanish":
                    forget(instance.id)
