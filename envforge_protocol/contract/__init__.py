"""`envforge.yml` version 1: schema, parser, digest, difference, environment. `docs/contract.md` is the reference.

contract = parse(Path("envforge.yml").read_bytes())
"""

from envforge_protocol.contract.model import Contract
from envforge_protocol.contract.parser import parse
from envforge_protocol.contract.problems import BadContract, Problem

__all__ = ["BadContract", "Contract", "Problem", "parse"]
