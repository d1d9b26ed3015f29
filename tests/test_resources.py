from __future__ import annotations

from pathlib import Path

import pytest

from singcli.errors import SingError
from singcli.resources import bundled_dir, checkpoints_dir, presets_dir


def test_presets_and_checkpoints_are_found() -> None:
    assert (presets_dir() / "aaba.toml").is_file()
    assert checkpoints_dir().is_dir()


def test_the_package_comes_before_the_checkout(tmp_path: Path) -> None:
    package = tmp_path / "singcli"
    (package / "presets").mkdir(parents=True)
    (tmp_path / "presets").mkdir()
    (tmp_path / "pyproject.toml").touch()
    assert bundled_dir("presets", package=package) == package / "presets"
    (package / "presets").rmdir()
    assert bundled_dir("presets", package=package) == tmp_path / "presets"


def test_a_strangers_folder_beside_the_package_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "presets").mkdir()
    with pytest.raises(SingError, match="installation is incomplete"):
        bundled_dir("presets", package=tmp_path / "singcli")
