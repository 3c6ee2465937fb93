"""From the bytes of a file to a contract, or to everything that is wrong with it."""

from envforge_protocol.contract import refusals, rules, structure, tree
from envforge_protocol.contract.model import Contract
from envforge_protocol.contract.problems import BadContract, Problem

_SMALLEST = "`version: 1`, `service: {name: my-service}`, `command: ...` and `ports: {web: 3000}`"


def parse(data: bytes) -> Contract:
    """Read `envforge.yml`.

    Deterministic, touches nothing outside, and takes a bounded time on any bytes.

    Raises:
        BadContract: with every problem at once, each with its line, column and path. No other exception.
    """
    read = tree.read(data)
    if () not in read.broken and not isinstance(read.data, dict):
        read.problems.append(
            Problem(1, 1, "", "this is no mapping of keys", expected=f"at least {_SMALLEST}")
        )
    if not isinstance(read.data, dict) or () in read.broken:
        raise BadContract(read.problems)
    refusals.refuse(read)
    rules.check(read)
    contract = structure.complain(read)
    if contract is None or read.problems:
        raise BadContract(read.problems)
    return contract
