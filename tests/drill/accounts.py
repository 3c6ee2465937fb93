"""Holding what the writers were told against what the database has and what a verifier says."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg

from local_cloud.cloud import DATABASE, Cloud
from local_cloud.home import REPOSITORY


@dataclass(frozen=True)
class Journals:
    """The lines of several writers' journals."""

    lines: list[dict[str, Any]]

    @classmethod
    def read(cls, paths: Iterable[Path]) -> "Journals":
        return cls([json.loads(line) for path in paths for line in path.read_text().splitlines()])

    def names(self, what: str) -> set[str]:
        """The names of the renames that were attempted, done or failed."""
        return {line["name"] for line in self.lines if line["what"] == what and line["kind"] == "rename"}

    @cached_property
    def ended(self) -> list[dict[str, Any]]:
        """Every attempt that came back, in the order of its end."""
        back = [line for line in self.lines if line["what"] in {"done", "failed"}]
        return sorted(back, key=lambda line: float(line["ended"]))


@dataclass(frozen=True)
class Ledger:
    """One organization as it stands in the database, and the verifier's report on its export."""

    name: str
    events: list[dict[str, Any]]
    report: dict[str, Any]

    @property
    def renames(self) -> list[tuple[str, str]]:
        """Each rename's previous and new name, in the order of their events."""
        told = (event for event in self.events if event["kind"] == "organization.renamed")
        return [(event["facts"]["previous"], event["target_label"]) for event in told]


def read_ledger(cloud: Cloud, slug: str, papers: Path) -> Ledger:
    """Export an organization and verify it, by the programs and the door that a customer has."""
    run(cloud, "tests.drill.ledger", slug, str(papers))
    kept = json.loads((papers / f"{slug}.ledger.json").read_text())
    keys = papers / "keys.json"
    address = f"{cloud.console_url}/.well-known/envforge-audit-keys.json"
    with urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310 - our own
        keys.write_bytes(answer.read())
    verifier = [
        sys.executable,
        "-m",
        "envforge_cli",
        "audit",
        "verify",
        str(papers / f"{slug}.jsonl"),
        "--keys",
        str(keys),
        "--json",
    ]
    said = subprocess.run(verifier, cwd=REPOSITORY, check=False, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    return Ledger(kept["name"], kept["events"], json.loads(said.stdout))


def run(cloud: Cloud, module: str, *arguments: str) -> None:
    """Run one of the drill's programs to its end as a web process would run."""
    command = [sys.executable, "-m", module, *arguments]
    subprocess.run(command, cwd=REPOSITORY, env=cloud.environment("web"), check=True)


def count(cloud: Cloud, query: str) -> int:
    """A number from the database, as its superuser, whom no wall stops."""
    with psycopg.connect(cloud.postgres.admin_dsn, dbname=DATABASE) as admin:
        row = admin.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0


def balance(ledger: Ledger, journals: Journals, first_name: str) -> None:
    """No acknowledged write is lost, none is there twice, and each is there wholly (row and event) or not at all.

    A rename's event names the name before it. Were a row written without its event, or an event without its row, the
    events would not lead from the first name over every acknowledged one to the name in the row.
    """
    told = [name for _, name in ledger.renames]
    assert len(set(told)) == len(told), "an event is there twice"
    assert journals.names("done") <= set(told), "an acknowledged write is lost"
    assert set(told) <= journals.names("attempt"), "an event nobody caused"
    names = [first_name, *told]
    assert [previous for previous, _ in ledger.renames] == names[:-1]
    assert ledger.name == names[-1]


def chain_is_whole(ledger: Ledger) -> None:
    """Every event has one place in the chain, which verifies and is signed through its end."""
    assert sorted(event["seq"] for event in ledger.events) == list(range(1, len(ledger.events) + 1))
    report = ledger.report
    assert report["ok"], report
    assert report["events"] == report["signed_through"] == len(ledger.events), report
