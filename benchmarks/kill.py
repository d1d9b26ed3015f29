"""Kill prepare, train, generate and export-onnx at random moments, go on, and compare the end.

Each command is killed (SIGKILL) at --moments moments, drawn between its start and the time that it
takes undisturbed, and run again in the same folder after each; when it has come to its end the
files are compared with those of an undisturbed run, byte for byte. Of a checkpoint the tensors
count: its facts hold the time that training took.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from _machine import Row, machine_line, markdown_table, run, verdict, write_json
from _mutator import small_song

COMMANDS = ("prepare", "generate", "train", "export-onnx")
N_SONGS = 120
CONFIG = (
    "[network]\nlstm = 16\nroll = 8\ndraft = 8\nbar = 8\nhidden = 16\nduration = 8\ndropout = 0.1\n"
    "[run]\nepochs = {epochs}\nbatch_songs = 6\nchunk_steps = 32\n"
)
LOG_NAMES = {"log.jsonl"}  # when things happened
MAX_RUNS = 200  # of one command, until it has been killed often enough


@dataclass(frozen=True, slots=True)
class Subject:
    """A command that writes into `folder`; `again` gives the words with which it goes on."""

    name: str
    folder: str
    words: tuple[str, ...]
    again: Callable[[Path], tuple[str, ...]]


def subjects(work: Path, epochs: int) -> list[Subject]:
    """Return the commands, in an order in which each finds what it needs."""
    config = work / "tiny.toml"
    config.write_text(CONFIG.format(epochs=epochs))
    return [
        Subject("prepare", "data", ("prepare", "midi", "--out", "data", "-j", "2"), lambda _: ()),
        Subject(
            "generate",
            "songs",
            ("generate", "--preset", "aaba", "--seed", "1", "--count", "4", "--out-dir", "songs"),
            lambda _: ("--skip-existing",),
        ),
        Subject(
            "train",
            "run",
            ("train", "--data", "data", "--config", "tiny.toml", "--out", "run"),
            lambda out: ("--resume",) if (out / "log.jsonl").exists() else (),
        ),
        Subject(
            "export-onnx",
            "model",
            ("export-onnx", "run", "--out", "model/tiny.onnx"),
            lambda _: ("--overwrite",),
        ),
    ]


def start(words: Sequence[str], work: Path) -> subprocess.Popen[str]:
    """Start a command in the folder `work`."""
    return subprocess.Popen(
        [sys.executable, "-m", "singcli", *words, "--quiet"],
        cwd=work,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(words: Sequence[str], work: Path) -> float:
    """Run a command to its end; return the time it took."""
    begun = time.perf_counter()
    process = start(words, work)
    _, errors = process.communicate()
    if process.returncode != 0:
        sys.exit(f"{' '.join(words)}: exit code {process.returncode}\n{errors}")
    return time.perf_counter() - begun


def fingerprints(folder: Path) -> dict[str, str]:
    """Return a hash of every file below a folder, of checkpoints that of their tensors."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in LOG_NAMES:
            content = path.read_bytes()
            if path.suffix == ".safetensors":
                content = content[8 + int.from_bytes(content[:8], "little") :]
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
    return found


@dataclass(slots=True)
class Tally:
    """What became of one command."""

    kills: int = 0
    runs: int = 0
    ends: int = 0
    torn: int = 0
    left: int = 0
    different: int = 0


def disturb(subject: Subject, work: Path, moments: int, draw: random.Random) -> Tally:
    """Kill the command so many times, going on in the same folder, and compare its ends."""
    out = work / subject.folder
    seconds = finish(subject.words, work)
    wanted = fingerprints(out)
    undisturbed = out.rename(work / f"{subject.folder}.undisturbed")
    tally = Tally()
    while tally.kills < moments and tally.runs < MAX_RUNS:
        if subject.name == "export-onnx":
            out.mkdir(exist_ok=True)
        tally.runs += 1
        process = start((*subject.words, *(subject.again(out) if out.exists() else ())), work)
        try:
            process.wait(draw.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            tally.kills += 1
            process.communicate()
            tally.torn += _torn(subject, fingerprints(out), wanted)
            continue
        _, errors = process.communicate()
        if process.returncode != 0:
            sys.exit(f"{subject.name}: exit code {process.returncode}\n{errors}")
        _compare(tally, fingerprints(out), wanted)
        shutil.rmtree(out)
    if subject.name == "export-onnx":
        out.mkdir(exist_ok=True)
    finish((*subject.words, *(subject.again(out) if out.exists() else ())), work)
    _compare(tally, fingerprints(out), wanted)
    shutil.rmtree(out)
    undisturbed.rename(out)
    return tally


def _torn(subject: Subject, found: dict[str, str], wanted: dict[str, str]) -> int:
    """Count files that are neither missing nor what the undisturbed run wrote.

    Checkpoints of a run that goes on, and the report that `prepare` begins with, are others.
    """
    ours = {name: sha for name, sha in found.items() if not Path(name).name.startswith(".singcli-")}
    if subject.name == "train":
        return 0
    return sum(wanted.get(n) != sha for n, sha in ours.items() if not n.startswith("report."))


def _compare(tally: Tally, found: dict[str, str], wanted: dict[str, str]) -> None:
    tally.ends += 1
    own = {name for name in found if Path(name).name.startswith(".singcli-")}
    tally.left += len(own)
    names = (found.keys() - own) | wanted.keys()
    tally.different += sum(found.get(name) != wanted.get(name) for name in names)


def main() -> None:
    """Read the arguments, kill, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Example: python benchmarks/kill.py --moments 20"
    )
    parser.add_argument("--moments", type=int, default=20, help="for each command (20)")
    parser.add_argument("--only", choices=COMMANDS, nargs="*", default=COMMANDS)
    parser.add_argument("--songs", type=int, default=N_SONGS, help=f"to prepare ({N_SONGS})")
    parser.add_argument("--epochs", type=int, default=3, help="of training (3)")
    parser.add_argument("--seed", type=int, default=0, help="draws the moments (0)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    tallies = {}
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        (work / "midi").mkdir()
        (work / "model").mkdir()
        for i in range(arguments.songs):
            (work / "midi" / f"{i}.mid").write_bytes(small_song(i))
        for subject in subjects(work, arguments.epochs):
            if subject.name in arguments.only:
                tallies[subject.name] = disturb(subject, work, arguments.moments, draw)
            else:
                finish(subject.words, work)
    print(machine_line("numpy", "onnxruntime"))
    print(f"{arguments.songs} songs, {arguments.epochs} epochs, seed {arguments.seed}\n")
    rows: list[Row] = [
        [name, t.kills, t.ends, t.torn, t.different, t.left] for name, t in tallies.items()
    ]
    header = ["command", "kills", "ends", "torn files", "files that differ", "temporaries left"]
    print(markdown_table(header, rows))
    verdicts = [
        verdict(f"{name}: torn or different files", t.torn + t.different, 0)
        for name, t in tallies.items()
    ]
    print("", *verdicts, sep="\n")
    write_json(arguments.json, {"rows": rows, "verdicts": verdicts})
    sys.exit(any(line.startswith("MISSED") for line in verdicts))


if __name__ == "__main__":
    run(main)
