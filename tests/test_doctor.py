"""`singcli doctor`: what it looks at, and what it says when something is broken."""

from __future__ import annotations

import json
import re
import tempfile
import tomllib
from pathlib import Path

import pytest

from singcli import doctor, preset_library, resources
from singcli.cli import main
from singcli.doctor import EXTRAS, PACKAGES, examine
from singcli.model.runtime import Runtime

ROOT = Path(__file__).resolve().parents[1]
TINY = str(Path(__file__).parent / "data" / "tiny.onnx")
NAMES = [
    "singcli",
    "packages",
    "extra audio",
    "extra train",
    "execution providers",
    "models",
    "presets",
    "your presets",
    "folders",
    "self-test",
]


def checked(model: str = TINY) -> dict[str, doctor.Check]:
    return {check.name: check for check in examine(model)}


@pytest.fixture
def quick(monkeypatch):
    """Without the song, for tests of the other checks."""
    monkeypatch.setattr(
        doctor, "_self_test", lambda _model: doctor.Check("self-test", "ok", "left out")
    )


def test_all_is_well_here(capsys):
    assert main(["doctor", "--model", TINY]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert [line[8:28].strip() for line in lines] == NAMES
    assert {line.split()[0] for line in lines} == {"ok"}
    assert re.search(r"12 bars, \d+ notes, twice the same, structure 0\.\d+; \d", lines[-1])


def test_the_same_for_a_program(capsys):
    assert main(["doctor", "--model", TINY, "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["ok"] is True
    assert [check["name"] for check in found["checks"]] == NAMES
    song = found["checks"][-1]["values"]
    assert (song["bars"], song["deterministic"]) == (12, True)
    assert song["same_label"] > song["different_label"]
    assert song["beats_per_second"] > 0


def test_the_packages_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.match(r"[\w-]+", text)[0] for text in requirements}

    assert set(PACKAGES) == names(project["dependencies"])
    for extra, packages in EXTRAS.items():
        assert set(packages) == names(project["optional-dependencies"][extra])


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, quick, capsys):
    monkeypatch.setattr(doctor, "PACKAGES", PACKAGES | {"no-such-package": "nothing"})
    assert main(["doctor"]) == 1
    out, err = capsys.readouterr()
    assert (
        "failed  packages            missing: no-such-package; pip install no-such-package" in out
    )
    assert err == "error: 1 of 10 checks failed: packages\n"


def test_a_package_that_cannot_be_imported_fails_and_the_rest_goes_on(monkeypatch, quick):
    def import_module(name):
        raise ImportError("libstdc++.so.6:\n cannot open shared object file")

    monkeypatch.setattr(doctor, "import_module", import_module)
    found = checked()
    assert list(found) == NAMES
    assert (found["packages"].status, found["packages"].detail) == (
        "failed",
        "ImportError: libstdc++.so.6: cannot open shared object file",
    )
    assert found["packages"].remedy.startswith("install singcli again")


def test_an_extra_may_be_missing_but_not_in_part(monkeypatch, quick):
    monkeypatch.setattr(
        doctor, "EXTRAS", {"one": ("no-such-package",), "two": ("numpy", "no-such-package")}
    )
    found = checked()
    assert (found["extra one"].status, found["extra one"].detail) == (
        "ok",
        "not installed (pip install 'singcli[one]')",
    )
    assert (found["extra two"].status, found["extra two"].detail) == (
        "warning",
        "installed in part, missing: no-such-package",
    )


def test_a_runtime_without_the_provider_fails(monkeypatch, quick):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["TPU"])
    found = checked()["execution providers"]
    assert (found.status, "there are: TPU" in found.detail) == ("failed", True)


def test_presets_of_the_user_are_counted_and_read(tmp_path, monkeypatch, quick, capsys):
    monkeypatch.setenv("SINGCLI_PRESETS", str(tmp_path))
    (tmp_path / "good.toml").write_text('[[sections]]\nlabel = "A"\nbars = 8\n')
    assert checked()["your presets"].detail == f"1 in {tmp_path} ($SINGCLI_PRESETS)"
    (tmp_path / "bad.toml").write_text("bars = ")
    assert main(["doctor"]) == 0  # a warning is no failure
    assert "warning your presets        1 of 2 cannot be used: bad; " in capsys.readouterr().out


def test_an_installation_without_its_files_fails(tmp_path, monkeypatch, quick):
    for module in (doctor, preset_library):
        monkeypatch.setattr(module, "presets_dir", lambda: tmp_path)
    monkeypatch.setattr(doctor, "bundled_model_names", list)
    found = checked()
    assert {found[name].status for name in ("presets", "models")} == {"failed"}
    monkeypatch.setattr(doctor, "presets_dir", lambda: resources.bundled_dir("none"))
    assert "the installation is incomplete" in checked()["presets"].detail


def test_a_folder_that_cannot_be_written_is_a_warning(monkeypatch, quick):
    def temporary_file(dir):  # noqa: A002 - as in tempfile
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", temporary_file)
    found = checked()["folders"]
    assert found.status == "warning"
    assert found.detail.endswith("cannot be written (Permission denied)")


def test_a_model_that_cannot_be_used_fails_the_self_test(tmp_path, capsys):
    (tmp_path / "x.onnx").write_bytes(b"\x08nothing")
    assert main(["doctor", "--model", str(tmp_path / "x.onnx")]) == 1
    out, err = capsys.readouterr()
    assert "failed  self-test" in out
    assert "damaged or not an ONNX file; use a file written by singcli export-onnx" in out
    assert err == "error: 1 of 10 checks failed: self-test\n"
    assert "no model is called 'nope'" in checked("nope")["self-test"].detail


def test_a_model_that_does_not_repeat_itself_fails_the_self_test(monkeypatch):
    bound_step, noise = Runtime.bound_step, iter(range(10**9))

    def noisy_step(self, inputs, outputs):
        true_step = bound_step(self, inputs, outputs)

        def run():
            true_step()
            outputs["step_token_bias"] += next(noise) % 7

        return run

    monkeypatch.setattr(Runtime, "bound_step", noisy_step)
    found = checked()["self-test"]
    assert (found.status, found.detail) == (
        "failed",
        "the same seed made two different songs",
    )


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({}, "12 bars, 90 notes, twice the same, structure 0.80; 0.5 s, 1,200 beats a second"),
        ({"bars": 11}, "11 of 12 bars, 90 notes"),
        ({"notes": 0}, "12 of 12 bars, 0 notes"),
        ({"same_label": 0.1}, "sections of one label share 0.1 of their notes, others 0.2"),
        ({"same_label": None}, "sections of one label share None of their notes, others 0.2"),
    ],
)
def test_how_the_self_test_judges(change, detail):
    values = {
        "bars": 12,
        "bars_wanted": 12,
        "notes": 90,
        "structure": 0.8,
        "same_label": 0.9,
        "different_label": 0.2,
        "deterministic": True,
        "seconds": 0.5,
        "beats_per_second": 1200.0,
    }
    check = doctor._judged(values | change, keeps_form=True)
    assert (check.status, check.detail) == ("failed" if change else "ok", detail)


def test_the_network_of_the_paper_is_tested_as_well(capsys):
    assert main(["doctor", "--model", "sing"]) == 0
    assert "self-test" in capsys.readouterr().out
