"""The examples of docs/gateway-protocol.md are messages of the protocol, and every message an address takes or answers has one."""

import re
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from envforge_protocol.gateway import (
    activity,
    decisions,
    events,
    identity,
    link_tokens,
    opening,
    shells,
    waking,
)

DOCUMENT = Path("docs/gateway-protocol.md").read_text()
MESSAGES = {
    kind.__name__: TypeAdapter(kind)
    for kind in (
        *(identity.RegisterRequest, identity.Registered, identity.Renewed, link_tokens.Claims),
        *(opening.OpenRequest, opening.Opened, opening.RedeemRequest, opening.Redeemed, opening.EndRequest),
        *(decisions.ResolveRequest, decisions.Resolved, waking.WakeRequest, waking.WakeAnswer),
        *(activity.ActivityBatch, shells.ShellRequest, shells.ShellOpened, events.Acknowledgement),
    )
} | {"Event": events.EVENT}
EXAMPLES = re.findall(r"```json (\w+)\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.mark.parametrize(("name", "text"), EXAMPLES)
def test_an_example_is_what_it_says(name: str, text: str) -> None:
    assert MESSAGES[name].validate_json(text)


def test_every_message_has_an_example() -> None:
    assert {name for name, _ in EXAMPLES} == MESSAGES.keys()


def test_every_kind_of_event_has_an_example() -> None:
    kinds = {re.search(r'"kind": "(\w+)"', text)[1] for name, text in EXAMPLES if name == "Event"}  # type: ignore[index]
    assert kinds == {"hello", "purge", "heartbeat", "keys", "drain"}


def test_the_words_and_limits_are_those_of_the_code() -> None:
    assert all(f"`{word}`" in DOCUMENT for word in decisions.REFUSALS)
    assert f"{link_tokens.LONGEST:,} characters" in DOCUMENT
    assert f"for {opening.CODE_FOR_S} s, at one host" in DOCUMENT
