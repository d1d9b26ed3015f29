"""Random forms of all kinds, to generate songs whose sections are known.

They are drawn from textbook plans and phrase structures, not from the bundled presets.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from singcli.errors import SingError
from singcli.files import write_text

MOST_BARS = 120
INTRO, OUTRO = "I", "O"
PLANS = [
    "AABA", "AABB", "ABAB", "ABAC", "ABACA", "ABACABA", "AABAABA", "IABABO", "IABABCBO",
    "IABABBO", "AAAA", "AAA", "ABCABC", "ABC", "ABA", "AABBA", "AABBCC", "ABCBA", "ABCD",
    "IABCABCO", "AABBACCDD", "IAABAABAO", "AB", "ABABCAB", "AAB", "AABCB", "IABACAO", "IAAAO",
    "ABBA", "ABCDE", "AABBAB", "IABCABCDBCO", "ABCDABE", "AABABA", "AAAAA", "ABABAB",
]  # fmt: skip
MAIN_LENGTHS = [8] * 10 + [16] * 5 + [12] * 3 + [6, 10, 24, 20, 4]
OTHER_LENGTHS = [4, 8, 8, 8, 12, 16, 6, 10, 5, 7, 9]
FRAME_LENGTHS = [2, 4, 4, 4, 8]
PHRASES = {
    4: ["", "", "", "a2 a2"],
    6: ["", "a2 a2 b2"],
    8: ["", "", "a4 a4", "a4 b4", "a2 a2 b2 c2", "a2 b2 a2 c2", "a4 a4"],
    9: ["", "a4 b5"],
    10: ["", "a4 a6"],
    12: ["", "a4 a4 b4", "a4 a4 b4", "a4 b4 c4", "a6 a6"],
    16: ["", "a4 b4 a4 c4", "a8 a8", "a4 a4 b4 c4", "a8 b8", "a4 a4 b4 a4", "a4 b4 a4 b4"],
    20: ["", "a8 b8 c4"],
    24: ["", "a8 b8 a8", "a8 a8 b8"],
}
PHRASE_VARIATIONS = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35]
VARIATIONS = [0, 0.05, 0.1, 0.1, 0.15, 0.2, 0.2, 0.25, 0.3]
STRICTNESS = [0.45, 0.5, 0.5, 0.6, 0.7, 0.8]


def make_songs(folder: Path, n_forms: int) -> None:
    """Generate two songs in each of the first `n_forms` forms, in every other form at defaults.

    Raises
    ------
    SingError
        If a song cannot be generated.
    """
    for seed in range(n_forms):
        preset = folder / f"practice-{seed}.toml"
        text, n_bars, strictness = practice_form(seed)
        if n_bars > MOST_BARS or preset.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "singcli", "generate", "--preset", str(preset), "--quiet"]
        command += ["--seed", str(2 * seed), "--count", "2", "--out-dir", str(folder)]
        command += ["--strictness", str(strictness)] if seed % 2 else []
        write_text(preset, text)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SingError(f"{preset}: {done.stderr.strip()}")


def practice_form(seed: int) -> tuple[str, int, float]:
    """Return a preset's text, its number of bars, and a strictness."""
    rng = random.Random(seed)
    plan = rng.choice(PLANS)
    main = rng.choice(MAIN_LENGTHS)
    if len(plan) > 7 and main > 12:
        main = 8
    lengths = {
        label: main if rng.random() < 0.7 else rng.choice(OTHER_LENGTHS)
        for label in sorted(set(plan) - {INTRO, OUTRO})
    }
    inner = {k: _phrases(n, rng) if rng.random() < 0.6 else "" for k, n in lengths.items()}
    frame = {label: rng.choice(FRAME_LENGTHS) for label in (INTRO, OUTRO)}
    text = (
        f"tempo = {rng.choice([72, 84, 96, 108, 126])}\n"
        f'meter = "{rng.choice(["4/4"] * 6 + ["3/4"] * 2 + ["6/8", "2/4"])}"\n'
        f'key = "{rng.choice("CDFGA")} {rng.choice(["major", "minor"])}"\n'
    )
    for index, label in enumerate(plan):
        again = label in plan[:index]
        text += f'\n[[sections]]\nlabel = "{label}"\nbars = {(lengths | frame)[label]}\n'
        if again:
            text += f"variation = {rng.choice(VARIATIONS)}\n"
        if label in frame and rng.random() < 0.6:
            text += "tune = false\n"
        if not again:
            text += inner.get(label, "")
    n_bars = sum((lengths | frame)[label] for label in plan)
    return text, n_bars, rng.choice(STRICTNESS)


def _phrases(n_bars: int, rng: random.Random) -> str:
    """Return the line of a preset that divides a section into phrases, or nothing."""
    rows, seen = [], set[str]()
    for word in rng.choice(PHRASES.get(n_bars, [""])).split():
        label, bars = word[0], word[1:]
        again = f", variation = {rng.choice(PHRASE_VARIATIONS)}" if label in seen else ""
        rows.append(f'{{ label = "{label}", bars = {bars}{again} }}')
        seen.add(label)
    return f"phrases = [{', '.join(rows)}]\n" if rows else ""
