"""A tree lists what was changed in it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.package.tree import Tree, changes, overlay, prepared


def replace_folder(tree: Tree) -> None:
    shutil.rmtree(tree / "etc/apt")
    (tree / "etc/apt").mkdir()


def put_back(tree: Tree) -> None:
    path = tree / "etc/hostname"
    text = path.read_text()
    path.write_text("other\n")
    path.write_text(text)


def replace_link(tree: Tree) -> None:
    (tree / "etc/mtab").unlink(missing_ok=True)
    (tree / "etc/mtab").symlink_to("elsewhere")


CASES: dict[str, tuple[Callable[[Tree], object], set[str]]] = {
    "new": (lambda tree: (tree / "etc/new").touch(), {"etc/new"}),
    "content": (lambda tree: (tree / "etc/hostname").write_text("x"), {"etc/hostname"}),
    "mode": (lambda tree: (tree / "etc/fstab").chmod(0o600), {"etc/fstab"}),
    "owner": (lambda tree: os.chown(tree / "etc/apt", 1, 1), {"etc/apt"}),
    "gone": (lambda tree: (tree / "etc/fstab").unlink(), {"etc/fstab"}),
    "link": (replace_link, {"etc/mtab"}),
    "put back": (put_back, set()),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_change_is_listed(kind: str, debian: Callable[[str], Path]) -> None:
    change, expected = CASES[kind]
    with overlay(debian("trixie")) as tree:
        change(tree)
        assert set(tree.listing()) == expected


@pytest.mark.parametrize("change", [lambda tree: shutil.rmtree(tree / "etc/apt"), replace_folder])
def test_a_folder_that_went_is_listed_with_all_that_was_in_it(
    change: Callable[[Tree], object], debian: Callable[[str], Path]
) -> None:
    below = {f"etc/apt/{path}" for path in ("apt.conf.d", "sources.list", "trusted.gpg.d")}
    with overlay(debian("trixie")) as tree:
        change(tree)
        assert set(tree.listing()) >= below


def test_a_tree_over_changes_of_others_lists_both(debian: Callable[[str], Path]) -> None:
    layers = prepared("both", lambda tree: (tree / "etc/first").touch(), debian("trixie"))
    with overlay(*layers) as tree:
        before = tree.listing()
        (tree / "etc/second").touch()
        assert set(tree.listing()) == {"etc/first", "etc/second"}
        (tree / "etc/first").unlink()
        assert changes(before, tree.listing()) == {"etc/first", "etc/second"}
        assert "etc/first" not in tree.listing()
