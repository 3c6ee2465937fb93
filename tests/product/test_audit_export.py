"""Exports: verifiable with no server, whole or filtered, one organization's alone (DESIGN 5, A3)."""

import json
import subprocess
import sys
import tracemalloc
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from audit import export, selectors
from audit.append import append
from audit.filters import Filter
from audit.kinds import EventKind
from audit.models import Event
from envforge import tenancy
from envforge.actor import SYSTEM
from orgs import operations
from tests.product.chains import check, export_lines, seal, sign
from tests.product.world import World


def rename(world: World, *names: str) -> None:
    for name in names:
        operations.rename_organization(actor=world.alice.as_actor(), org_id=world.acme.id, name=name)


def kinds(lines: list[bytes]) -> list[str]:
    return [json.loads(line)["type"] for line in lines]


def test_a_whole_export_verifies(world: World) -> None:
    rename(world, "One", "Two")
    seal()
    sign()
    rename(world, "Three")
    seal()
    assert kinds(export_lines(world.acme.id)) == [
        "header",
        "event",
        "event",
        "event",
        "event",
        "checkpoint",
        "event",
        "end",
    ]
    report = check(world.acme.id)
    assert report.ok
    assert (report.events, report.last_seq, report.signed_through) == (5, 5, 4)


def test_it_holds_this_organization_and_no_other(world: World) -> None:
    assert world.mallet
    rename(world, "One")
    seal()
    sign()
    text = b"".join(export_lines(world.acme.id)).decode()
    assert str(world.mallet.id) not in text
    assert "Mallory" not in text


def test_what_is_not_sealed_yet_is_not_in_it(world: World) -> None:
    rename(world, "One")
    seal()
    sign()
    rename(world, "Two")
    assert check(world.acme.id).last_seq == 3


def test_a_filtered_export_carries_the_digests_of_what_it_omits(world: World) -> None:
    rename(world, "One", "Two")
    seal()
    sign()
    wanted = Filter(kind="organization.renamed")
    lines = export_lines(world.acme.id, wanted)
    assert kinds(lines) == ["header", "omitted", "omitted", "event", "event", "checkpoint", "end"]
    assert b"member.joined" not in b"".join(lines)
    report = check(world.acme.id, wanted)
    assert report.ok
    assert (report.events, report.omitted) == (2, 2)


def test_a_period_begins_and_ends_at_checkpoints(world: World) -> None:
    rename(world, "One")
    seal()
    sign()
    begin = timezone.now()
    rename(world, "Two")
    end = timezone.now()
    rename(world, "Three")
    seal()
    sign()
    rename(world, "Four")
    seal()
    sign()
    wanted = Filter(since=begin, until=end)
    lines = export_lines(world.acme.id, wanted)
    assert kinds(lines) == ["header", "checkpoint", "event", "omitted", "checkpoint", "end"]
    report = check(world.acme.id, wanted)
    assert report.ok, report.problems
    assert (report.first_seq, report.last_seq, report.signed_through) == (4, 5, 5)


@pytest.mark.parametrize(
    "wanted", [Filter(), Filter(since=timezone.now() + timedelta(days=9)), Filter(kind="shell.connected")]
)
def test_a_chain_without_what_is_wanted_still_makes_a_readable_file(world: World, wanted: Filter) -> None:
    rename(world, "One")
    seal()
    sign()
    lines = export_lines(world.acme.id, wanted)
    assert kinds(lines)[0] == "header"
    assert kinds(lines)[-1] == "end"


def test_it_streams(world: World) -> None:
    """Twenty times the events take no more memory than a batch."""

    def peak(count: int) -> int:
        with tenancy.enter(world.acme.id):
            for _ in range(count):
                append(EventKind.ORGANIZATION_RENAMED, actor=SYSTEM, target=world.acme, previous="Acme")
        seal()
        with tenancy.enter(world.acme.id):
            tracemalloc.start()
            told = sum(1 for _ in export.lines("acme"))
            _, highest = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert told > count
        return highest

    few, many = peak(3_000), peak(9_000)
    assert many < few * 1.3


def test_the_command_writes_a_file_that_the_cli_verifies(world: World, tmp_path: Path) -> None:
    rename(world, "One")
    seal()
    sign()
    file, keys = tmp_path / "acme.jsonl", tmp_path / "keys.json"
    call_command("export_audit", world.acme.slug, "--output", str(file))
    keys.write_text(json.dumps({"keys": selectors.signing_keys()}))
    command = [sys.executable, "-m", "envforge_cli", "audit", "verify", str(file), "--keys", str(keys)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert exported_events(world.acme.id) == 1
    file.write_text(file.read_text().replace("Acme", "Acne", 1))
    tampered = subprocess.run(command, capture_output=True, text=True, check=False)
    assert tampered.returncode == 1
    assert "event 1" in tampered.stdout + tampered.stderr


def exported_events(org_id: UUID) -> int:
    with tenancy.enter(org_id):
        return Event.objects.filter(kind="audit.exported").count()


def test_the_command_says_what_is_wrong(world: World, tmp_path: Path) -> None:
    assert world.acme
    with pytest.raises(CommandError, match="no organization no-such-one"):
        call_command("export_audit", "no-such-one", "--output", str(tmp_path / "x"))
    existing = tmp_path / "already"
    existing.write_text("precious")
    with pytest.raises(CommandError, match="exists already"):
        call_command("export_audit", world.acme.slug, "--output", str(existing))
    assert existing.read_text() == "precious"


def test_pages_go_back_in_time_without_gap_or_repeat(world: World) -> None:
    rename(world, *(f"Name {number}" for number in range(23)))
    with tenancy.enter(world.acme.id):
        everything = [event.id for event in Event.objects.order_by("-at", "-id")]
        seen, before = [], None
        while True:
            page = selectors.page(Filter(), before=before, size=7)
            seen += [event.id for event in page.events]
            if page.older is None:
                break
            before = page.older
    assert seen == everything
