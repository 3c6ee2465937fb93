"""The examples of docs/host-protocol.md are messages of the protocol, and every message an address takes or answers has one."""

import re
from pathlib import Path

import pytest

from envforge_protocol.host import base, commands, joining, reports, resources

DOCUMENT = Path("docs/host-protocol.md").read_text()
MESSAGES = {
    kind.__name__: kind
    for kind in (
        *(base.Problem, joining.NonceRequest, joining.Nonce, joining.JoinRequest, joining.Joined),
        *(commands.Commands, commands.Progress, commands.Extended, commands.Result),
        resources.Resource,
        *(reports.OutputTaken, reports.Heartbeat, reports.HeartbeatAnswer, reports.Reports, reports.Taken),
    )
}
EXAMPLES = re.findall(r"```json (\w+)\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.mark.parametrize(("name", "text"), EXAMPLES)
def test_an_example_is_what_it_says(name: str, text: str) -> None:
    assert MESSAGES[name].model_validate_json(text)


def test_every_message_has_an_example() -> None:
    assert {name for name, _ in EXAMPLES} == MESSAGES.keys()


def test_the_limits_are_those_of_the_code() -> None:
    assert f"commands?wait_s={commands.MAX_WAIT_S}" in DOCUMENT
    assert f"every {commands.PROGRESS_EVERY_S} s" in DOCUMENT
    assert f"remembered for {reports.REPORTS_REMEMBERED_DAYS} days" in DOCUMENT
    assert f"{reports.OUTPUT_PART_BYTES // 1024} KiB" in DOCUMENT
