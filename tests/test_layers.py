"""Which part of singcli may import what, and what an import really loads.

The direction of imports between the parts is import-linter's contract in pyproject.toml.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "singcli").rglob("*.py"))

# Where a library may be imported at all.
HOMES = {
    "torch": "singcli/training/",
    "safetensors": "singcli/training/",
    "onnx": "singcli/training/",
    "onnxscript": "singcli/training/",
    "typer": "singcli/cli/",
    "rich": "singcli/cli/",
    "librosa": "singcli/audio.py",
    "soundfile": "singcli/audio.py",
}
# Slow to import: inside functions only, so that what does not need them does not pay.
LAZY = {"librosa", "matplotlib", "onnxruntime", "pretty_midi", "rich", "soundfile", "symusic"}

PARTS = {"pydantic_core": "pydantic"}  # come with the library that they belong to


def imports(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Names of imported libraries, and whether the import is inside a function."""

    def visit(node: ast.AST, in_function: bool) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], in_function
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0], in_function
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return  # never executed
        nested = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, in_function or nested)

    yield from visit(tree, False)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_libraries_are_imported_where_they_belong(path):
    place = path.relative_to(ROOT).as_posix()
    for library, in_function in imports(ast.parse(path.read_text(encoding="utf-8"))):
        assert place.startswith(HOMES.get(library, "")), f"{library} outside {HOMES[library]}"
        assert in_function or library not in LAZY, f"{library} at module level"


def test_every_library_is_a_declared_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    base, train, audio = (
        {requirement.partition(">=")[0].replace("-", "_") for requirement in requirements}
        for requirements in (project["dependencies"], extras["train"], extras["audio"])
    )
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        used = {PARTS.get(library, library) for library, _ in imports(tree)}
        undeclared = used - set(sys.stdlib_module_names) - {"singcli"} - base
        if "training" in path.parts:
            undeclared -= train
        if path.name == "audio.py":
            undeclared -= audio
        assert not undeclared, path


def loaded_after(script: str, *arguments: str, cwd: Path = ROOT) -> set[str]:
    """Top-level modules that a fresh interpreter holds after `script`."""
    ending = "\nimport sys; print('loaded', *{n.partition('.')[0] for n in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", script + ending, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1].split()
    assert last[0] == "loaded"
    return set(last[1:])


def test_everything_but_training_and_the_command_line_imports_without_heavy_libraries():
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in SOURCES
        if not {"training", "cli", "__main__.py"} & set(path.parts)
    ]
    loaded = loaded_after("import " + ", ".join(name.removesuffix(".__init__") for name in names))
    assert "numpy" in loaded
    assert not loaded & ({"torch", "typer", "rich"} | LAZY)


def test_the_package_itself_imports_nothing():
    assert not loaded_after("import singcli") & {"numpy", "typer", "pydantic"}


def test_generating_a_song_needs_no_torch_and_no_libraries_of_other_commands(tmp_path):
    script = "import sys; from singcli.cli import main; assert main(sys.argv[1:]) == 0"
    loaded = loaded_after(script, "generate", "--preset", "aaba", "--seed", "1", cwd=tmp_path)
    assert (tmp_path / "aaba-1.mid").is_file()
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "onnx", "matplotlib", "pretty_midi", "scipy"}
