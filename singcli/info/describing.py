"""What a file is: told by its first bytes, not by its name.

Only that part of a file is read that says what it is: no graph of a model, no matrix of an SSM
file. Nor is more imported: a model's licence does not need numpy.
"""

from __future__ import annotations

from pathlib import Path

from singcli.errors import InputError, hint_from_names, nearest_names
from singcli.info.models import model_info
from singcli.info.report import Info
from singcli.model.model_file import model_metadata
from singcli.resources import MODEL_SUFFIX, bundled_model_names, checkpoints_dir


def describe(name_or_path: str) -> Info:
    """Say what a file is, or a bundled model by its name.

    Raises
    ------
    InputError
        If there is no such file, or it is nothing that singcli knows.
    """
    path = _file(name_or_path)
    try:
        with path.open("rb") as file:
            start = file.read(64)
        if start.startswith(b"MThd"):
            from singcli.info.songs import midi_info

            return midi_info(path)
        if start.startswith(b"PK"):
            from singcli.info.data import archive_info

            return archive_info(path)
        if start.lstrip()[:1] in (b"{", b"["):
            from singcli.info.data import json_info

            return json_info(path)
        metadata = model_metadata(path) if start[:1] in (b"\x08", b"\x0a") else None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if metadata is not None:
        return model_info(path, metadata)
    raise InputError(f"{path}: nothing that singcli knows", _other_remedy(path, start))


def _file(name_or_path: str) -> Path:
    names = bundled_model_names()
    path = Path(name_or_path)
    if name_or_path in names and not path.is_file():
        return checkpoints_dir() / f"{name_or_path}{MODEL_SUFFIX}"
    if path.is_dir():
        index = path / "index.json"
        if index.is_file():
            return index
        raise InputError(f"{path}: is a folder, and no dataset", "give one of the files in it")
    if not path.exists():
        near = hint_from_names(nearest_names(name_or_path, names), f"models: {', '.join(names)}")
        raise InputError(f"{path}: no such file, and no bundled model of this name", near)
    if not path.is_file():
        raise InputError(f"{path}: is not a file")
    return path


def _other_remedy(path: Path, start: bytes) -> str:
    if path.suffix == ".toml":
        return f"if it is a preset: singcli presets show {path}"
    if path.suffix == ".safetensors":
        return f"if it is a checkpoint: singcli export-onnx {path} --out model.onnx"
    if start[:4] in (b"RIFF", b"fLaC", b"OggS") or start[:3] == b"ID3":
        return f"a recording can be a template: singcli ssm {path}"
    return "it knows models (.onnx), MIDI files, SSM files and indexes (.npz), recipes (.json)"
