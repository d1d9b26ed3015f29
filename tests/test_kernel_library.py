"""How the compiled part of the sampler is built, and what is checked before it is called."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from build_hook import ROOT, build_hook

from singcli.errors import SingError
from singcli.model import kernel
from singcli.model.kernel import Batch

HEADER = ROOT / "singcli" / "model" / "kernel" / "kernel.h"
C_TYPES = {
    "float": np.float32,
    "double": np.float64,
    "uint8_t": np.bool_,
    **{f"int{bits}_t": getattr(np, f"int{bits}") for bits in (8, 16, 32, 64)},
    "uint64_t": np.uint64,
}
SANITIZED = (  # tests that call everything that is compiled
    *("test_kernel.py", "test_kernel_beats.py", "test_kernel_steps.py"),
    "test_rules.py::test_given_notes_are_above_the_rules",
)
RUN_WITH_LIBRARY = """
import sys, pathlib, pytest
from singcli.model import kernel
kernel.LIBRARY = pathlib.Path(sys.argv[1])
sys.exit(pytest.main(["-q", "-n0", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


@pytest.fixture
def uncached(monkeypatch):
    """The library is looked for anew."""
    monkeypatch.setattr(kernel, "_library", kernel._library.__wrapped__)


def batch() -> Batch:
    return Batch(1, 1, 4, chosen_width=1, features_width=1)


def test_both_sides_know_the_same_arrays_in_the_same_order():
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    (members,) = re.findall(r"typedef struct \{(.*?)\} Batch;", text, re.S)
    declared = []
    for line in members.split(";")[:-1]:
        kind, names = re.match(r"\s*(?:const )?(\w+) (.*)", line, re.S).groups()
        declared += [(name.strip(), kind) for name in names.split(",")]
    numbers = [(name, "int64_t") for name in kernel._NUMBERS]
    assert declared[: len(numbers)] == numbers
    arrays = [(name.removeprefix("*"), C_TYPES[kind]) for name, kind in declared[len(numbers) :]]
    assert arrays == [(name, dtype) for name, dtype, _ in kernel._LAYOUT]


def test_a_library_that_is_missing_is_named_with_the_remedy(uncached, monkeypatch, tmp_path):
    monkeypatch.setattr(kernel, "LIBRARY", tmp_path / "_kernel.so")
    with pytest.raises(SingError, match=r"_kernel\.so is missing") as caught:
        batch()
    assert "install singcli again" in caught.value.remedy


def test_a_library_of_another_machine_is_named_with_the_remedy(uncached, monkeypatch, tmp_path):
    library = tmp_path / "_kernel.so"
    library.write_bytes(b"\x7fELF of something else")
    monkeypatch.setattr(kernel, "LIBRARY", library)
    with pytest.raises(SingError, match="is not for this machine") as caught:
        batch()
    assert "install singcli again" in caught.value.remedy


@pytest.mark.parametrize("fact", ["LEAD_AGE_STEPS", "N_DURATIONS", "SILENT"])
def test_a_library_of_another_version_is_named_with_the_remedy(uncached, monkeypatch, fact):
    monkeypatch.setattr(kernel, fact, getattr(kernel, fact) + 1)
    with pytest.raises(SingError, match="is of another version") as caught:
        batch()
    assert "install singcli again" in caught.value.remedy


def test_more_facts_than_were_asked_for_are_not_written():
    library, facts = kernel._library(), (ctypes.c_int64 * 3)(-7, -7, -7)
    assert library.kernel_facts(facts, 2) > 3
    assert facts[:] == [ctypes.sizeof(kernel._Structure), kernel.STEPS_PER_BEAT, -7]


def test_a_batch_has_no_other_arrays_than_those():
    assert batch().logits.shape == (1, kernel.N_TOKENS)
    with pytest.raises(AttributeError, match=r"logit$"):
        batch().logit  # noqa: B018


class TestBuilding:
    @pytest.fixture
    def module(self):
        return build_hook()

    @pytest.fixture
    def compilations(self, module, monkeypatch):
        """Stands in for the compiler; the roots it was called for."""
        roots = []

        def compiled(root: Path) -> None:
            roots.append(root)
            (root / module.LIBRARY).touch()

        monkeypatch.setattr(module, "compile_kernel", compiled)
        return roots

    @pytest.fixture
    def root(self, module, tmp_path):
        sources = ROOT / module.KERNEL
        shutil.copytree(sources, tmp_path / module.KERNEL, ignore=lambda *_: ["_kernel.so"])
        return tmp_path

    def hook(self, module, root, target="wheel"):
        return module.KernelHook(str(root), {}, None, None, "", target)

    def initialized(self, module, root, target="wheel"):
        data = {"artifacts": []}
        self.hook(module, root, target).initialize("standard", data)
        return data

    def test_without_a_compiler_zig_is_asked_for(self, module, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CC", raising=False)
        assert self.hook(module, ROOT).dependencies() == ["ziglang>=0.13"]
        monkeypatch.setenv("CC", "no-such-compiler -m64")
        assert self.hook(module, ROOT).dependencies() == ["ziglang>=0.13"]

    def test_the_machines_own_compiler_is_taken(self, module, monkeypatch, tmp_path):
        for name in ("cc", "own"):
            (tmp_path / name).touch(mode=0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        for variable, words in (("own -m64", ["own", "-m64"]), ("", ["cc"])):
            monkeypatch.setenv("CC", variable)
            assert self.hook(module, ROOT).dependencies() == []
            assert module._own_compiler() == words

    def test_the_kernel_is_compiled_where_its_sources_are_newer(self, module, compilations, root):
        self.initialized(module, root)
        self.initialized(module, root)
        assert compilations == [root]
        header, library = root / module.KERNEL / "kernel.h", root / module.LIBRARY
        later = library.stat().st_mtime_ns + 10**9
        os.utime(header, ns=(later, later))
        self.initialized(module, root)
        assert compilations == [root, root]

    def test_the_wheel_is_for_this_platform_and_has_the_kernel(self, module, compilations, root):
        data = self.initialized(module, root)
        assert compilations == [root]
        assert data["artifacts"] == [module.LIBRARY.as_posix()]
        assert not data["pure_python"]
        assert re.fullmatch(r"py3-none-[a-z0-9_]+", data["tag"])

    def test_an_archive_of_sources_is_made_without_a_compiler(self, module, compilations, root):
        assert self.initialized(module, root, "sdist") == {"artifacts": []}
        assert compilations == []


def runtime_of(compiler: str, name: str) -> str | None:
    """The file that a compiler's sanitizer has to be loaded from, before anything else."""
    if shutil.which(compiler) is None or sys.platform != "linux":
        return None
    asked = [compiler, f"-print-file-name={name}"]
    found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    return found if Path(found).is_absolute() else None


@pytest.mark.slow
def test_nothing_is_read_or_written_out_of_bounds(tmp_path):
    preloaded = runtime_of("gcc", "libasan.so")
    if preloaded is None:
        pytest.skip("needs gcc on Linux, with its sanitizers")
    library = tmp_path / "_kernel.so"
    sources = sorted(str(path) for path in HEADER.parent.glob("*.c"))
    flags = ("-O1", "-g", "-std=c11", "-shared", "-fPIC", "-ffp-contract=off")
    sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    subprocess.run(["gcc", *flags, *sanitizers, "-o", str(library), *sources], check=True)
    tests = [str(ROOT / "tests" / name) for name in SANITIZED]
    ran = subprocess.run(
        [sys.executable, "-c", RUN_WITH_LIBRARY, str(library), *tests],
        cwd=ROOT,
        env=os.environ | {"LD_PRELOAD": preloaded, "ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
