"""What pieces share with an index of other pieces: against brute force, and on hand-made music."""

from __future__ import annotations

import dataclasses
import itertools
import json
import zipfile

import numpy as np
import pytest

from singcli.errors import InputError
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars
from singcli.novelty.building import excerpts_of, index_of_scores
from singcli.novelty.checking import index_path
from singcli.novelty.hashing import GRAM_NOTES, PARTS, PASSAGE_NOTES, TRIVIAL_BAR, Line
from singcli.novelty.index import FIGURES, Corpus, NoveltyIndex
from singcli.novelty.index_file import SUFFIX, read_index, write_index
from singcli.novelty.matching import longest_match, single_windows, windows_of_length
from singcli.novelty.report import measure_novelty
from singcli.novelty.yardstick import Reference, yardstick_of

SCALE = np.array([0, 2, 4, 5, 7, 9, 11])


def piece(seed: int, n_bars: int = 8, *, variety: int = 7) -> Score:
    """A tune of up to eight notes a bar over two accompaniment notes, drawn at random."""
    rng = np.random.default_rng(seed)
    onsets = [16 * bar + 2 * place for bar in range(n_bars) for place in range(8)]
    tune = [
        (step, LEAD, 72 + SCALE[rng.integers(variety)]) for step in onsets if rng.random() < 0.7
    ]
    chords = [
        (step, ACCOMPANIMENT, 48 + SCALE[rng.integers(variety)] + shift)
        for step in range(0, 16 * n_bars, 8)
        for shift in (0, 7)
    ]
    return score_of([*tune, *chords], n_bars)


def score_of(notes: list[tuple[int, int, int]], n_bars: int) -> Score:
    step, voice, pitch = np.array(notes).T
    ones = np.ones(len(notes), int)
    return Score.from_notes(
        step, voice, pitch, ones, ones * 80, bar_beats=regular_bars(n_bars, 4), tempo_bpm=100
    )


def tune_of(pitches: list[int], *, length: int = 4) -> Score:
    """One note after the other, in the lead."""
    notes = [(length * place, LEAD, pitch) for place, pitch in enumerate(pitches)]
    return score_of(notes, -(-len(pitches) * length // 16))


def index_of(*scores: Score) -> NoveltyIndex:
    names = [f"mine/{number}" for number in range(len(scores))]
    return index_of_scores(names, [Corpus("mine", len(scores), 0, 0)], scores)


def moves(score: Score, part: str) -> list[tuple[int, int]]:
    """Interval and distance from each note to the next, written down without `hashing`."""
    if part == "lead":
        highest: dict[int, int] = {}
        for step, voice, pitch in zip(score.step, score.voice, score.pitch, strict=True):
            if voice == LEAD:
                highest[int(step)] = max(int(pitch), highest.get(int(step), 0))
        notes = sorted(highest.items())
    else:
        notes = sorted({(int(s), int(p)) for s, p in zip(score.step, score.pitch, strict=True)})
    return [(t - s, q - p) for (s, p), (t, q) in itertools.pairwise(notes)]


def longest_common_run(ours: list, theirs: list) -> int:
    """The longest common substring, by dynamic programming over all pairs of places."""
    best, above = 0, [0] * (len(theirs) + 1)
    for mine in ours:
        row = [0] * (len(theirs) + 1)
        for place, other in enumerate(theirs):
            if mine == other:
                row[place + 1] = above[place] + 1
                best = max(best, row[place + 1])
        above = row
    return best


class TestLine:
    def test_the_lead_is_the_highest_lead_note_of_a_step(self):
        notes = [(0, LEAD, 72), (0, LEAD, 76), (0, ACCOMPANIMENT, 79), (4, LEAD, 74)]
        line = Line.from_score(score_of(notes, 1), "lead")
        assert line.pitch.tolist() == [76, 74]
        assert line.step.tolist() == [0, 4]

    def test_all_notes_are_in_order_and_a_unison_is_one_note(self):
        notes = [(4, LEAD, 72), (0, LEAD, 72), (0, ACCOMPANIMENT, 72), (0, ACCOMPANIMENT, 48)]
        line = Line.from_score(score_of(notes, 1), "all")
        assert list(zip(line.step, line.pitch, strict=True)) == [(0, 48), (0, 72), (4, 72)]

    def test_hashes_know_moves_and_not_keys(self):
        score = piece(1)
        for part in PARTS:
            line, higher = (Line.from_score(s, part) for s in (score, score.transposed(5)))
            np.testing.assert_array_equal(line.gram_hashes(), higher.gram_hashes())
            np.testing.assert_array_equal(line.bar_hashes(), higher.bar_hashes())

    def test_any_change_of_pitch_or_onset_changes_the_grams_around_it(self):
        pitches = [60, 62, 64, 65, 67, 69, 71, 72, 74, 76, 77, 79]
        grams = Line.from_score(tune_of(pitches), "lead").gram_hashes()
        other = Line.from_score(tune_of([*pitches[:5], 68, *pitches[6:]]), "lead").gram_hashes()
        same = grams == other
        assert same.tolist() == [True] * 2 + [False] * 4 + [True] * 3
        slower = Line.from_score(tune_of(pitches, length=2), "lead").gram_hashes()
        assert not (grams == slower).any()

    def test_hashes_spread_over_their_range(self):
        grams = np.concatenate(
            [Line.from_score(piece(seed, 32), "all").gram_hashes() for seed in range(20)]
        )
        texts = set()
        for seed in range(20):
            codes = moves(piece(seed, 32), "all")
            texts |= {tuple(codes[i : i + GRAM_NOTES - 1]) for i in range(len(codes) - 2)}
        expected = 65536 * (1 - np.exp(-len(texts) / 65536))
        assert len(np.unique(grams)) == pytest.approx(expected, rel=0.03)

    def test_bars_are_compared_within_and_trivial_ones_are_not(self):
        bar = [(0, LEAD, 72), (4, LEAD, 74), (8, LEAD, 76), (12, LEAD, 77)]
        later = [(step + 32, voice, pitch - 7) for step, voice, pitch in bar]
        other = [(step + 48, voice, pitch + (step == 8)) for step, voice, pitch in bar]
        short = [(16, LEAD, 72), (20, LEAD, 74)]
        score = score_of([*bar, *short, *later, *other], 4)
        hashes = Line.from_score(score, "lead").bar_hashes()
        assert hashes[0] == hashes[2] != hashes[3]
        assert hashes[1] == TRIVIAL_BAR
        assert TRIVIAL_BAR not in hashes[[0, 2, 3]]
        assert (Line.from_score(score, "all").bar_hashes() == TRIVIAL_BAR).all()  # under six notes

    def test_too_short_for_a_gram(self):
        for n_notes in range(1, GRAM_NOTES + 1):
            line = Line.from_score(tune_of([60] * n_notes), "lead")
            assert len(line.gram_hashes()) == (n_notes == GRAM_NOTES)


class TestMatching:
    @pytest.mark.parametrize("seed", range(40))
    def test_longest_run_is_that_of_brute_force(self, seed):
        rng = np.random.default_rng(seed)
        alphabet = [2, 3, 8][seed % 3]
        query = rng.integers(0, alphabet, 60).astype(np.uint16)
        songs = [rng.integers(0, alphabet, n).astype(np.uint16) for n in (0, 1, 40, 90)]
        if seed % 4 == 0:
            songs[2][5:35] = query[20:50]
        gap = np.zeros(1, np.uint16)
        stored = np.concatenate([part for song in songs for part in (song, gap)])
        gaps = np.cumsum([len(song) + 1 for song in songs]) - 1
        best = max(longest_common_run(query.tolist(), song.tolist()) for song in songs)
        single = single_windows(query, stored, gaps)
        match = longest_match(single, 1)
        assert match.length == best
        run = query[match.query_place : match.query_place + best]
        starts = [
            p
            for p in range(len(stored) - best + 1)
            if (stored[p : p + best] == run).all() and not ((gaps >= p) & (gaps < p + best)).any()
        ]
        assert match.places.tolist() == starts
        for least in (2, 3, best):
            found = longest_match(windows_of_length(single, least), least)
            assert (found.length, found.query_place) == (best, match.query_place)
        assert longest_match(windows_of_length(single, best + 1), best + 1) is None

    @pytest.mark.parametrize("length", range(1, 20))
    def test_windows_of_any_length(self, length):
        rng = np.random.default_rng(length)
        query, stored = (rng.integers(0, 2, n).astype(np.uint16) for n in (30, 50))
        stored[10:30] = query[5:25]
        windows = windows_of_length(single_windows(query, stored, np.array([49])), length)
        ours = [tuple(query[i : i + length]) for i in range(len(query) - length + 1)]
        expected = [p for p in range(50 - length) if tuple(stored[p : p + length]) in ours]
        assert windows.places.tolist() == expected
        assert len(windows.query_names) == len(ours)
        assert len(set(windows.query_names.tolist())) == len(set(ours))
        for place, name in zip(windows.places, windows.names, strict=True):
            assert ours[windows.query_names.tolist().index(name)] == tuple(
                stored[place : place + length]
            )

    def test_what_occurs_everywhere_is_one_long_run(self):
        query, stored = np.zeros(3000, np.uint16), np.zeros(50_000, np.uint16)
        gaps = np.array([999, 49_999])
        match = longest_match(single_windows(query, stored, gaps), 1)
        assert match.length == 3000
        assert match.query_place == 0
        assert len(match.places) == 49_999 - 1000 - 3000 + 1

    def test_nothing_in_nothing(self):
        empty = np.zeros(0, np.uint16)
        assert longest_match(single_windows(empty, empty, empty.astype(int)), 1) is None


class TestReport:
    @pytest.mark.parametrize("seed", range(12))
    def test_longest_runs_are_those_of_brute_force(self, seed):
        variety = 2 + seed % 4  # few pitches, so that much is shared
        songs = [piece(100 * seed + k, variety=variety) for k in range(4)]
        query = piece(100 * seed + 50, variety=variety)
        report = measure_novelty(query, index_of(*songs))
        for part, found in (("lead", report.lead), ("all", report.all)):
            ours = moves(query, part)
            notes = [1 + longest_common_run(ours, moves(song, part)) for song in songs]
            best = max(notes) if max(notes) >= PASSAGE_NOTES else None
            assert (found.run and found.run.notes) == best
            if found.run:
                holders = [f"mine/{k}" for k, n in enumerate(notes) if n == best]
                assert found.run.song in holders
                assert 1 <= found.run.songs <= len(holders)
            texts = {
                tuple(m[i : i + PASSAGE_NOTES - 1])
                for m in (moves(song, part) for song in songs)
                for i in range(len(m) - PASSAGE_NOTES + 2)
            }
            passages = [
                tuple(ours[i : i + PASSAGE_NOTES - 1]) for i in range(len(ours) - PASSAGE_NOTES + 2)
            ]
            assert found.passages.counted == len(passages)
            assert found.passages.shared == sum(passage in texts for passage in passages)

    @pytest.mark.parametrize("semitones", [0, 3, -5])
    def test_a_training_song_is_found_as_a_whole_in_any_key(self, semitones):
        songs = [piece(seed) for seed in range(6)]
        report = measure_novelty(songs[4].transposed(semitones), index_of(*songs))
        for part, found in (("lead", report.lead), ("all", report.all)):
            assert found.run.notes == len(moves(songs[4], part)) + 1
            assert (found.run.song, found.run.songs) == ("mine/4", 1)
            assert (found.run.start_bar, found.run.song_start_bar) == (0, 0)
            assert found.run.end_bar == found.run.song_end_bar == songs[4].n_bars
            assert found.passages.share == found.bars.share == 1
        assert report.nearest.song == "mine/4"
        assert report.nearest.share == report.nearest.lead == report.nearest.all == 1

    def test_says_where_a_borrowed_phrase_is(self):
        source, new = piece(1, 12), piece(2, 12)
        borrowed = source.transposed(2).bars(6, 9)
        columns = {
            name: np.concatenate([getattr(new.bars(0, 2), name), getattr(borrowed, name)])
            for name in ("voice", "pitch", "duration", "velocity")
        }
        step = np.concatenate([new.bars(0, 2).step, borrowed.step + 32])
        query = Score.from_notes(step, **columns, bar_beats=regular_bars(5, 4), tempo_bpm=90)
        report = measure_novelty(query, index_of(piece(7), source, piece(8)))
        run = report.all.run
        assert (run.song, run.song_start_bar, run.song_end_bar) == ("mine/1", 6, 9)
        assert (run.start_bar, run.end_bar) == (2, 5)
        assert run.notes == borrowed.n_notes
        assert report.all.bars.shared == sum(
            count >= 6 for count in Line.from_score(borrowed, "all").notes_of_bar
        )
        assert report.nearest.song == "mine/1"

    def test_runs_do_not_go_on_into_the_next_song(self):
        tune = [60, 62, 64, 67, 65, 64, 62, 69, 60, 71, 62, 60, 64, 65, 61, 70]
        report = measure_novelty(tune_of(tune), index_of(tune_of(tune[:8]), tune_of(tune[8:])))
        assert report.lead.run.notes == 8

    def test_songs_with_the_same_run_are_counted(self):
        tune = [60, 62, 64, 67, 65, 64, 62, 69]
        twice = tune_of([*tune, 50, *tune])
        report = measure_novelty(tune_of(tune), index_of(twice, piece(3), tune_of(tune)))
        assert report.lead.run.songs == 2
        assert report.lead.run.song == "mine/0"

    def test_a_piece_without_a_lead_or_without_notes(self):
        index = index_of(piece(1), piece(2))
        score = piece(1)
        alone = dataclasses.replace(score, voice=np.full_like(score.voice, ACCOMPANIMENT))
        report = measure_novelty(alone, index)
        assert report.lead.run is None
        assert report.lead.passages.counted == report.lead.bars.counted == 0
        assert (report.nearest.song, report.nearest.share) == ("mine/0", 1)
        silent = Score.from_notes(*[[]] * 5, bar_beats=regular_bars(4, 4), tempo_bpm=90)
        report = measure_novelty(silent, index)
        assert report.nearest is None
        assert set(report.figures().values()) == {0}
        assert tuple(report.figures()) == FIGURES


class TestYardstick:
    def test_median_and_percentile(self):
        figures = np.arange(21)[:, None] * np.ones(len(FIGURES))
        reference = Reference.from_figures(figures)
        assert set(reference.median.values()) == {10}
        assert set(reference.high.values()) == {19}
        values = dict.fromkeys(FIGURES, 19.0)
        assert reference.beyond(values) == ()
        assert reference.beyond(values | {"lead_run": 20.0}) == ("lead_run",)

    def test_of_nothing_is_beyond_nothing(self):
        reference = Reference.from_figures(np.zeros((0, len(FIGURES))))
        assert reference.pieces == 0
        assert reference.beyond(dict.fromkeys(FIGURES, 99.0)) == ()

    def test_of_one_corpus(self):
        rows = np.arange(5)[:, None] * np.ones(len(FIGURES), np.float32)
        index = dataclasses.replace(
            index_of(piece(1), piece(2)),
            corpora=(Corpus("a", 1, 2, 1), Corpus("b", 1, 3, 4)),
            yardstick=rows.astype(np.float32),
            excerpts=rows.astype(np.float32),
        )
        found = yardstick_of(index, "b")
        assert (found.songs.pieces, found.songs.median["lead_run"]) == (3, 3)
        assert found.excerpts.pieces == 4
        assert yardstick_of(index).songs.pieces == 5
        with pytest.raises(InputError, match="corpus 'c' is not in the index, allowed: a, b"):
            yardstick_of(index, "c")

    def test_excerpts_are_cut_one_after_the_other(self):
        assert [part.n_bars for part in excerpts_of(piece(1, 70))] == [32, 32]
        assert excerpts_of(piece(1, 31)) == []


def rewritten(path, **changes):
    """Change arrays, and keys of `meta`, of an index file."""
    with np.load(path) as stored:
        arrays = dict(stored)
    meta = json.loads(str(arrays["meta"]))
    for name, value in changes.items():
        if name in arrays:
            arrays[name] = value
        else:
            meta[name] = value
    np.savez_compressed(path, **arrays | {"meta": np.array(json.dumps(meta))})


class TestIndexFile:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / f"x{SUFFIX}"
        write_index(index_of(piece(1), piece(2, 40)), path)
        return path

    def test_is_read_as_it_was_written(self, path):
        index, read = index_of(piece(1), piece(2, 40)), read_index(path)
        assert read.songs == ("mine/0", "mine/1")
        assert read.corpora == index.corpora
        for part in PARTS:
            for name in ("grams", "notes_of_bar", "bar_hashes", "song_bars"):
                stored = getattr(read.lines[part], name)
                np.testing.assert_array_equal(stored, getattr(index.lines[part], name))
        assert measure_novelty(piece(2, 40), read) == measure_novelty(piece(2, 40), index)

    def test_holds_no_pitches_and_the_same_bytes_again(self, path):
        content = path.read_bytes()
        write_index(index_of(piece(1).transposed(-4), piece(2, 40).transposed(6)), path)
        assert path.read_bytes() == content

    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match=r"no\.novelty\.npz: cannot be read") as caught:
            read_index(tmp_path / "no.novelty.npz")
        assert "singcli novelty index" in caught.value.remedy

    @pytest.mark.parametrize("content", [b"", b"MThd", b"PK\x05\x06" + bytes(18)])
    def test_foreign(self, path, content):
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged, or not a novelty index"):
            read_index(path)

    def test_damaged(self, path):
        content = path.read_bytes()
        for place in range(40, len(content), len(content) // 60):
            path.write_bytes(content[:place])
            with pytest.raises(InputError, match="not a novelty index"):
                read_index(path)
            flipped = bytearray(content)
            flipped[place] ^= 0xFF
            path.write_bytes(flipped)
            try:
                read_index(path)
            except InputError as error:
                assert str(path) in str(error)  # noqa: PT017 - what is flipped may not matter

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"version": 9}, "version 9, this singcli reads 1"),
            ({"format": "singcli-ssm"}, "not a novelty index"),
            ({"gram_notes": 5}, f"gram_notes = 5, this singcli counts with {GRAM_NOTES}"),
            ({"figures": ["x"]}, r"damaged novelty index \(figures are"),
            ({"songs": ["one"]}, "damaged novelty index"),
            ({"corpora": [{"name": "x"}]}, "damaged novelty index"),
            ({"corpora": 3}, "damaged novelty index"),
            ({"song_bars": np.array([8, 39], np.int32)}, "songs have 47 bars, lead_notes 48"),
            ({"song_bars": np.array([8.0, 40.0])}, "song_bars has the type float64"),
            ({"lead": np.zeros(7, np.uint16)}, "lead has 7 hashes, its notes"),
            ({"all_bars": np.zeros(7, np.uint32)}, "songs have 48 bars, all_bars 7"),
            ({"yardstick": np.zeros((1, 7), np.float32)}, "yardstick is not 0 rows of 7 figures"),
        ],
    )
    def test_inconsistent(self, path, changes, message):
        rewritten(path, **changes)
        with pytest.raises(InputError, match=message):
            read_index(path)

    def test_an_array_is_missing(self, path):
        with zipfile.ZipFile(path) as archive:
            members = {n: archive.read(n) for n in archive.namelist() if n != "all.npy"}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        with pytest.raises(InputError, match=r"damaged novelty index \('all'\)"):
            read_index(path)


class TestIndexOfAModel:
    def test_the_bundled_one(self):
        index = read_index(index_path("pop"))
        assert len(index.songs) == 2900
        assert yardstick_of(index).songs.pieces == 289
        assert not any(name.endswith("3") for name in index.songs)  # held out
        assert index_path("pop").stat().st_size < 12_000_000

    def test_beside_a_model_of_ones_own(self, tmp_path):
        with pytest.raises(InputError, match=r"no novelty index beside it \(mine\.novelty\.npz\)"):
            index_path(str(tmp_path / "mine.onnx"))
        (tmp_path / "mine.novelty.npz").touch()
        assert index_path(str(tmp_path / "mine.onnx")) == tmp_path / "mine.novelty.npz"

    def test_of_no_model(self):
        with pytest.raises(InputError, match="no model called 'popp'") as caught:
            index_path("popp")
        assert "did you mean pop?" in caught.value.remedy
