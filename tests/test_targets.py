"""Seeds, shares and file names of the songs of one call."""

from __future__ import annotations

from pathlib import Path

import pytest

from singcli.errors import InputError
from singcli.seeds import MAX_SEED, Shard, counted_seeds, seeds_from_text
from singcli.targets import Target, song_targets


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("7", [7]),
        ("1-4", [1, 2, 3, 4]),
        ("3-3", [3]),
        ("9, 1-2 ,5", [9, 1, 2, 5]),
        (f"{MAX_SEED}", [MAX_SEED]),
    ],
)
def test_seeds_are_read_in_their_order(text, seeds):
    assert seeds_from_text(text) == seeds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is neither a seed nor a range"),
        ("1,,2", "'' is neither"),
        ("1-2-3", "'1-2-3' is neither"),
        ("-1", "'-1' is neither"),
        ("a", "'a' is neither"),
        ("5-2", "5-2 runs backwards"),
        ("1-3,2", "2 comes twice"),
        ("0-100000", "more than 100000 seeds"),
        ("1-60000,70000-120000", "more than 100000 seeds"),
        (f"{MAX_SEED + 1}", "allowed: 0 to"),
        ("9" * 30, "is neither"),
    ],
)
def test_seeds_that_cannot_be_read_are_told(text, message):
    with pytest.raises(InputError, match=message):
        seeds_from_text(text)


def test_seeds_count_up_from_the_first_or_a_drawn_one():
    assert counted_seeds(7, 3) == [7, 8, 9]
    drawn = counted_seeds(None, 2)
    assert drawn[1] == drawn[0] + 1
    with pytest.raises(InputError, match="count = 0, allowed: 1 to 100000"):
        counted_seeds(1, 0)
    with pytest.raises(InputError, match="seed = "):
        counted_seeds(MAX_SEED, 2)


@pytest.mark.parametrize(("n", "of"), [(10, 3), (3, 5), (16, 16), (1, 1)])
def test_shards_share_everything_out_evenly(n, of):
    items = list(range(n))
    shares = [Shard(number, of).of_items(items) for number in range(1, of + 1)]
    assert sorted(item for share in shares for item in share) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["3", "0/4", "5/4", "1/0", "a/b", "-1/4", "1/2/3"])
def test_shards_that_do_not_exist_are_refused(text):
    with pytest.raises(InputError, match="--shard"):
        Shard.parse(text)


def names(filename: str, n: int = 2, **options: object) -> list[str]:
    targets = song_targets(
        ["a b/c"], range(7, 7 + n), out=None, out_dir=Path("x"), filename=filename, **options
    )
    assert [target.seed for target in targets] == list(range(7, 7 + n))
    assert all(target.path.parent == Path("x") for target in targets)
    return [target.path.name for target in targets]


def test_fields_are_filled_in():
    made = names("{index:2}-{preset}-{seed:04d}-{model}.mid", model="some/pop.onnx")
    assert made == [" 1-a_b_c-0007-pop.mid", " 2-a_b_c-0008-pop.mid"]
    assert names("{{{seed}}}.mid") == ["{7}.mid", "{8}.mid"]


def test_songs_of_several_forms_come_form_by_form():
    targets = song_targets(["a", "b"], [1, 5], out=None, out_dir=Path(), filename="{index}.mid")
    assert targets == [
        Target(0, 1, Path("1.mid")),
        Target(0, 5, Path("2.mid")),
        Target(1, 1, Path("3.mid")),
        Target(1, 5, Path("4.mid")),
    ]


@pytest.mark.parametrize(
    ("filename", "message"),
    [
        ("{sede}.mid", "unknown field 'sede'"),
        ("{}.mid", "unknown field ''"),
        ("{0}.mid", "unknown field '0'"),
        ("{seed.real}.mid", r"unknown field 'seed\.real'"),
        ("{preset[0]}.mid", "unknown field"),
        ("{preset!r}.mid", r"\{preset\} has an unknown format"),
        ("{preset:>20}.mid", r"\{preset\} has an unknown format"),
        ("{seed:999999999}.mid", r"\{seed\} has an unknown format"),
        ("{seed:x}.mid", r"\{seed\} has an unknown format"),
        ("{seed:{index}}.mid", r"\{seed\} has an unknown format"),
        ("{seed.mid", "cannot be read"),
        ("{seed}}.mid", "cannot be read"),
        ("../{seed}.mid", "must be a name without folders"),
        ("/tmp/{seed}.mid", "must be a name without folders"),
        ("..\\{seed}.mid", "must be a name without folders"),
        ("{seed}/", "must be a name without folders"),
        ("", "must be a name without folders"),
        ("{seed}\n.mid", "cannot be printed"),
        ("{seed}\0.mid", "cannot be printed"),
        ("x" * 300 + "{seed}.mid", "longer than 200 bytes"),
        ("é" * 110 + "{seed}.mid", "longer than 200 bytes"),
        ("{seed}.wav", r"must end in \.mid"),
        ("{preset}.mid", r"equal names \(a_b_c\.mid\)"),
        ("{index:d}{index:d}.txt", r"must end in \.mid"),
    ],
)
def test_patterns_are_checked_before_any_work(filename, message):
    with pytest.raises(InputError, match=message):
        names(filename)


def test_the_nearest_field_is_named():
    with pytest.raises(InputError) as caught:
        names("{sede}.mid")
    assert (caught.value.remedy or "").startswith("did you mean seed?")


def test_names_that_some_systems_hold_for_equal_are_equal():
    with pytest.raises(InputError, match="equal names"):
        song_targets(["Aaba", "aaba"], [1], out=None, out_dir=Path(), filename="{preset}.mid")


def test_one_file_is_for_one_song():
    (target,) = song_targets(["x"], [3], out=Path("y.midi"), out_dir=Path("z"))
    assert target == Target(0, 3, Path("y.midi"))
    with pytest.raises(InputError, match="2 are asked for"):
        song_targets(["x", "y"], [3], out=Path("y.mid"), out_dir=Path())
