"""Whether an installation works: the worker behind `doctor`.

Everything that may be broken is imported by the check that looks at it, so that the other checks
still answer.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Literal

from singcli import __version__
from singcli.errors import SingError
from singcli.resources import (
    PRESETS_VARIABLE,
    bundled_model_names,
    checkpoints_dir,
    preset_files,
    presets_dir,
    user_presets_dir,
)

PACKAGES = {  # what an installation needs: names in the index, and as they are imported
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "pretty_midi": "pretty_midi",
    "pydantic": "pydantic",
    "rich": "rich",
    "symusic": "symusic",
    "tomli-w": "tomli_w",
    "typer": "typer",
}
IMPORTED = ("numpy", "onnxruntime", "symusic")  # compiled, or needed by every song
EXTRAS = {
    "audio": ("librosa", "soundfile"),
    "train": ("onnx", "onnxscript", "safetensors", "torch"),
}
PROVIDER = "CPUExecutionProvider"  # the one that Runtime asks for
TEST_FORM, TEST_SEED = "A4 B4 A4", 1

Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, and what was found.

    Parameters
    ----------
    name : str
    status : {"ok", "warning", "failed"}
    detail : str
        One line.
    remedy : str, optional
    values : mapping of str to plain JSON values
        The same for a program.
    """

    name: str
    status: Status
    detail: str
    remedy: str | None = None
    values: dict[str, Any] = field(default_factory=dict)


def examine(model: str) -> Iterator[Check]:
    """Yield one check after the other, each as soon as it is done.

    Parameters
    ----------
    model : str
        Name of a bundled model or path of one, for the self-test.
    """
    checks: dict[str, Callable[[], Check]] = {
        "singcli": _program,
        "packages": _packages,
        **{f"extra {name}": lambda name=name: _extra(name) for name in EXTRAS},  # type: ignore[misc]
        "execution providers": _providers,
        "models": _models,
        "presets": _presets,
        "your presets": _own_presets,
        "folders": _folders,
        "self-test": lambda: _self_test(model),
    }
    for name, check in checks.items():
        try:
            yield check()
        except SingError as error:
            yield Check(name, "failed", str(error), error.remedy)
        except Exception as error:  # noqa: BLE001 - whatever is broken is what is looked for
            detail = f"{type(error).__name__}: {' '.join(str(error).split())}"
            yield Check(
                name, "failed", detail, "install singcli again, in an environment of its own"
            )


def _program() -> Check:
    folder = Path(__file__).resolve().parent
    values = {
        "version": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "folder": str(folder),
        "interpreter": sys.executable,
    }
    detail = "{version} in {folder}; Python {python}, {system}, {cores} cores".format(**values)
    return Check("singcli", "ok", detail, values=values)


def _packages() -> Check:
    versions = {name: _version(name) for name in PACKAGES}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        remedy = f"pip install {' '.join(missing)}"
        return Check("packages", "failed", f"missing: {', '.join(missing)}", remedy, versions)
    for name in IMPORTED:
        import_module(PACKAGES[name])
    detail = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Check("packages", "ok", detail, values=versions)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _extra(name: str) -> Check:
    versions = {package: _version(package) for package in EXTRAS[name]}
    there = [f"{package} {version}" for package, version in versions.items() if version]
    missing = [package for package, version in versions.items() if version is None]
    if not missing:
        return Check(f"extra {name}", "ok", ", ".join(there), values=versions)
    remedy = f"pip install 'singcli[{name}]'"
    if not there:
        return Check(f"extra {name}", "ok", f"not installed ({remedy})", values=versions)
    detail = f"installed in part, missing: {', '.join(missing)}"
    return Check(f"extra {name}", "warning", detail, remedy, versions)


def _providers() -> Check:
    import onnxruntime

    from singcli.recipe import machine_class

    available = onnxruntime.get_available_providers()
    values = {"used": PROVIDER, "available": available, "machine": machine_class()}
    name = "execution providers"
    if PROVIDER not in available:
        detail = f"{PROVIDER} is missing, there are: {', '.join(available)}"
        return Check(name, "failed", detail, "pip install --force-reinstall onnxruntime", values)
    others = [provider for provider in available if provider != PROVIDER]
    detail = f"{PROVIDER} is used, on {values['machine']}; not used: {', '.join(others) or 'none'}"
    return Check(name, "ok", detail, values=values)


def _models() -> Check:
    from singcli.info.describing import describe

    hashes = {name: describe(name).facts["sha256"] for name in bundled_model_names()}
    values = {"folder": str(checkpoints_dir()), "models": hashes}
    if not hashes:
        detail = f"none in {checkpoints_dir()}"
        return Check("models", "failed", detail, "install singcli again", values)
    names = ", ".join(f"{name} ({sha256[:12]})" for name, sha256 in hashes.items())
    return Check("models", "ok", f"{names} in {checkpoints_dir()}", values=values)


def _presets() -> Check:
    from singcli.preset_library import PresetFile, check_preset

    folder = presets_dir()
    files = [PresetFile(name, path, "bundled") for name, path in sorted(preset_files(folder))]
    wrong = [file.name for file in files if check_preset(file).form is None]
    values = {"folder": str(folder), "presets": len(files), "invalid": wrong}
    if wrong or not files:
        detail = f"{', '.join(wrong) or 'all'} of {folder} cannot be used"
        return Check("presets", "failed", detail, "install singcli again", values)
    return Check("presets", "ok", f"{len(files)} in {folder}", values=values)


def _own_presets() -> Check:
    from singcli.preset_library import check_preset, find_presets

    folder = user_presets_dir()
    own = [preset for preset in find_presets() if preset.where == "yours"]
    wrong = [preset.name for preset in own if check_preset(preset).form is None]
    values = {"folder": str(folder), "exists": folder.is_dir(), "presets": len(own)}
    values |= {"invalid": wrong}
    name = "your presets"
    if wrong:
        detail = f"{len(wrong)} of {len(own)} cannot be used: {', '.join(wrong)}"
        return Check(name, "warning", detail, "singcli presets validate NAME says why", values)
    place = f"{folder} (${PRESETS_VARIABLE})" if os.environ.get(PRESETS_VARIABLE) else str(folder)
    return Check(name, "ok", f"{len(own) or 'none'} in {place}", values=values)


def _folders() -> Check:
    """Look whether files can be written where they are by default."""
    current = Path.cwd()
    values: dict[str, Any] = {"current": str(current), "temporary": tempfile.gettempdir()}
    for folder in (values["temporary"], values["current"]):
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            detail = f"{folder} cannot be written ({error.strerror})"
            remedy = "give generate an --out-dir"
            return Check("folders", "warning", detail, remedy, values)
    detail = f"{current} and {values['temporary']} can be written"
    return Check("folders", "ok", detail, values=values)


def _self_test(model: str) -> Check:
    """Make the same short song twice, read it back and measure it."""
    from singcli.attempts import Attempts, Order, Workshop
    from singcli.generate import model_path
    from singcli.model.opening import open_model
    from singcli.model.runtime import Runtime
    from singcli.recipe import UsedFile
    from singcli.structure.form_string import form_from_string
    from singcli.wish import Wish

    start = time.perf_counter()
    path = model_path(model)
    runtime = open_model(path)
    wish = Wish(form_from_string(TEST_FORM))
    plan = wish.plan(runtime.card)
    used = UsedFile(path.name, runtime.sha256)
    workshop = Workshop(runtime, used, wish.options(), Attempts())
    order = Order(wish, plan, TEST_SEED, Path("self-test.mid"))
    (first,) = workshop.best_attempts([order], lambda _share: None)
    middle = time.perf_counter()
    (second,) = workshop.best_attempts([order], lambda _share: None)
    end = time.perf_counter()
    report = first.report
    values = {
        "model": model,
        "bars": report.n_bars,
        "bars_wanted": report.n_bars_wanted,
        "notes": first.finished.n_notes,
        "structure": report.score,
        "same_label": report.same_label,
        "different_label": report.different_label,
        "deterministic": first.content == second.content,
        "seconds": end - start,
        "beats_per_second": plan.song_bar_beats[-1] / (end - middle),
    }
    return _judged(values, keeps_form=isinstance(runtime, Runtime))


def _judged(values: dict[str, Any], *, keeps_form: bool) -> Check:
    """Judge what the self-test has made; SING does not keep to a form in so short a song."""
    name = "self-test"
    if not values["deterministic"]:
        detail = "the same seed made two different songs"
        return Check(name, "failed", detail, "install numpy and onnxruntime again", values)
    if values["bars"] != values["bars_wanted"] or not values["notes"]:
        detail = f"{values['bars']} of {values['bars_wanted']} bars, {values['notes']} notes"
        return Check(name, "failed", detail, "is the model one of singcli?", values)
    alike, unlike = values["same_label"], values["different_label"]
    if keeps_form and (alike is None or unlike is None or alike <= unlike):
        detail = f"sections of one label share {alike} of their notes, others {unlike}"
        return Check(name, "failed", detail, "is the model trained?", values)
    detail = (
        f"{values['bars']} bars, {values['notes']} notes, twice the same, structure "
        f"{values['structure']:.2f}; {values['seconds']:.1f} s, "
        f"{values['beats_per_second']:,.0f} beats a second"
    )
    return Check(name, "ok", detail, values=values)
