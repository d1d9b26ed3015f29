"""What travels in the wheel, and what an installation asks for."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import singcli
from singcli.model.kernel import LIBRARY

ROOT = Path(__file__).resolve().parents[1]
KERNEL = "singcli/model/kernel"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (path,) = folder.iterdir()
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def travelling(folder: str, *suffixes: str) -> set[str]:
    return {path.name for path in (ROOT / folder).iterdir() if path.suffix in suffixes}


def inside(wheel: zipfile.ZipFile, folder: str) -> set[str]:
    prefix = f"singcli/{folder}/"
    return {name.removeprefix(prefix) for name in wheel.namelist() if name.startswith(prefix)}


def test_presets_travel_in_the_wheel(wheel):
    assert "aaba.toml" in inside(wheel, "presets")
    assert inside(wheel, "presets") == travelling("presets", ".toml")


def test_models_travel_in_the_wheel_without_what_only_training_reads(wheel):
    expected = travelling("checkpoints", ".onnx", ".npz", ".toml", ".md", ".txt")
    assert inside(wheel, "checkpoints") == expected
    models = {name for name in expected if name.endswith(".onnx")}
    for model in models - {"sing.onnx"}:  # its pieces are among those of pop
        assert model.replace(".onnx", ".novelty.npz").replace("-float32", "") in expected
    assert {"pop.onnx", "sing.onnx"} <= models


def test_every_file_of_the_package_travels_and_nothing_from_outside(wheel):
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "singcli").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    bundled = {name for name in shipped if name.split("/")[1] in ("presets", "checkpoints")}
    assert shipped - bundled == package


def test_the_wheel_carries_the_compiled_kernel_with_its_sources_and_fits_one_platform(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/WHEEL"))
    facts = Parser().parsestr(wheel.read(name).decode())
    assert facts["Root-Is-Purelib"] == "false"
    assert facts["Tag"].startswith("py3-none-")
    assert not facts["Tag"].endswith("-any")
    kernel = inside(wheel, "model/kernel")
    assert kernel == {"__init__.py", LIBRARY.name, *travelling(KERNEL, ".c", ".h")}
    assert wheel.read(f"{KERNEL}/{LIBRARY.name}") == LIBRARY.read_bytes()


def test_the_archive_of_sources_has_all_that_the_kernel_is_made_of(tmp_path):
    built = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(built, cwd=ROOT, capture_output=True, check=True)
    (path,) = tmp_path.iterdir()
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    sources = {f"{KERNEL}/{name}" for name in travelling(KERNEL, ".c", ".h")}
    assert {"hatch_build.py", *sources} <= names
    assert f"{KERNEL}/{LIBRARY.name}" not in names


def test_the_wheel_carries_version_licence_and_command(wheel, metadata):
    assert metadata["Version"] == singcli.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "singcli = singcli.cli:main" in wheel.read(entry_points).decode()
    assert any(name.endswith("/LICENSE") for name in wheel.namelist())


def test_torch_comes_with_the_extra_train_only(metadata):
    requirements = metadata.get_all("Requires-Dist")
    base = [line for line in requirements if "extra ==" not in line]
    assert not [line for line in base if line.startswith(("torch", "onnx>", "onnxscript"))]
    (torch,) = (line for line in requirements if line.startswith("torch"))
    assert "extra == 'train'" in torch


def test_no_requirement_has_an_upper_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *extras["train"], *extras["dev"]]:
        assert not set("<=~!") & set(requirement.replace(">=", "")), requirement
