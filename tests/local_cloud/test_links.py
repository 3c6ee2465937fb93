"""Links in the documents: a dead one is found, a live one is left alone."""

from pathlib import Path

from local_cloud.links import dead_links


def found(root: Path, text: str) -> list[str]:
    (root / "README.md").write_text(text)
    return list(dead_links(root))


def test_a_dead_link_is_named_with_its_line(tmp_path: Path) -> None:
    assert found(tmp_path, "# Title\n\nSee [this](docs/gone.md).\n") == [
        "README.md:3: docs/gone.md does not exist"
    ]


def test_a_reference_style_link_counts(tmp_path: Path) -> None:
    assert found(tmp_path, "See [this].\n\n[this]: gone.md\n") == ["README.md:3: gone.md does not exist"]


def test_live_links_and_links_elsewhere_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "guide.md").write_text(
        "# A guide, to `things`\n\n[back](../README.md#first-steps)\n"
    )
    text = (
        "# First steps\n\n[a](docs/guide.md) [b](docs/guide.md#a-guide-to-things) [c](#first-steps)"
        " [d](https://example.com/gone.md) [e](mailto:a@example.com) ![f](docs)\n"
    )
    assert found(tmp_path, text) == []


def test_a_missing_heading_is_found(tmp_path: Path) -> None:
    assert found(tmp_path, "# Title\n\n[there](#nowhere)\n") == ["README.md:3: #nowhere has no such heading"]


def test_code_is_not_prose(tmp_path: Path) -> None:
    text = "# T\n\n```\n[a](gone.md)\n# not a heading\n```\n\n`[b](gone.md)` [c](#not-a-heading)\n"
    assert found(tmp_path, text) == ["README.md:8: #not-a-heading has no such heading"]


def test_a_repeated_heading_has_a_numbered_anchor(tmp_path: Path) -> None:
    assert found(tmp_path, "# Same\n\n# Same\n\n[second](#same-1) [third](#same-2)\n") == [
        "README.md:5: #same-2 has no such heading"
    ]
