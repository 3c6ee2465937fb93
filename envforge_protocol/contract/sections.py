"""Looks at plain data that may have any shape, and shows of each section what has the right one.

So that rules about several fields speak up although something elsewhere is wrong.
"""

from typing import Any

from envforge_protocol.contract.tree import Tree


def mapping(tree: Tree, *path: str) -> dict[str, Any]:
    """The mapping at a path; empty if there is none."""
    found = tree.data
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def texts(tree: Tree, *path: str) -> dict[int, str]:
    """The texts of a list, by their index."""
    found = mapping(tree, *path[:-1]).get(path[-1])
    return (
        {index: one for index, one in enumerate(found) if isinstance(one, str)}
        if isinstance(found, list)
        else {}
    )


def ports(tree: Tree) -> dict[str, dict[str, Any]]:
    return _lengthened(tree, "ports", "number")


def inputs(tree: Tree) -> dict[str, dict[str, Any]]:
    return _lengthened(tree, "inputs", "kind")


def resources(tree: Tree) -> dict[str, dict[str, Any]]:
    return _lengthened(tree, "resources", "type")


def _lengthened(tree: Tree, section: str, short_form: str) -> dict[str, dict[str, Any]]:
    # Made once: rules ask in loops, and a file may have thousands of entries.
    if section not in tree.sections:
        tree.sections[section] = {
            name: given if isinstance(given, dict) else {short_form: given}
            for name, given in mapping(tree, section).items()
        }
    return tree.sections[section]
