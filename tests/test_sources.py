from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from singcli.errors import InputError
from singcli.preparation.sources import SourceReader, find_sources


def put(path: Path, content: bytes = b"MThd") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def archive(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def names(*inputs: Path) -> list[tuple[str, str]]:
    return [(source.id, source.name) for source in find_sources(inputs)[0]]


def test_folders_are_searched_to_any_depth(tmp_path: Path) -> None:
    put(tmp_path / "corpus/b.mid")
    put(tmp_path / "corpus/deep/er/a.MIDI")
    put(tmp_path / "corpus/notes.txt")
    put(tmp_path / "corpus/._b.mid")
    assert names(tmp_path / "corpus") == [("b", "corpus/b.mid"), ("a", "corpus/deep/er/a.MIDI")]


def test_a_file_that_is_named_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    assert names(put(tmp_path / "song.bin")) == [("song", "song.bin")]


def test_equal_names_get_their_folders_in_front(tmp_path: Path) -> None:
    for name in ("x/one.mid", "y/one.mid", "y/two.mid"):
        put(tmp_path / "c" / name)
    assert [song_id for song_id, _ in names(tmp_path / "c")] == [
        "c__x__one",
        "c__y__one",
        "two",
    ]


def test_ids_are_unique_whatever_happens(tmp_path: Path) -> None:
    for folder in ("p/c", "q/c"):
        for name in ("One.mid", "one.mid", "one.midi", "o ne?.mid", "\u00fc" * 80 + ".mid"):
            put(tmp_path / folder / name)
    ids = [song_id for song_id, _ in names(tmp_path / "p/c", tmp_path / "q/c")]
    assert len({song_id.casefold() for song_id in ids}) == len(ids) == 10
    assert all(len(song_id.encode()) < 250 and "/" not in song_id for song_id in ids)


def test_the_same_file_is_taken_once(tmp_path: Path) -> None:
    song = put(tmp_path / "c/a.mid")
    (tmp_path / "c/link.mid").symlink_to(song)
    assert len(names(tmp_path / "c", song, tmp_path / "c")) == 1


def test_circles_of_links_come_to_an_end(tmp_path: Path) -> None:
    put(tmp_path / "c/deep/a.mid")
    (tmp_path / "c/deep/up").symlink_to(tmp_path / "c", target_is_directory=True)
    assert len(names(tmp_path / "c")) == 1


def test_links_to_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere/a.mid")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert names(tmp_path / "c") == [("a", "c/more/a.mid")]


def test_members_of_archives_are_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "c/all.zip", {"x/a.mid": b"A", "x/readme": b"", "b.midi": b"B"})
    sources, skipped = find_sources([path])
    assert [(s.id, s.name) for s in sources] == [("b", "all.zip/b.midi"), ("a", "all.zip/x/a.mid")]
    assert skipped == []
    with SourceReader(100) as reader:
        assert [reader.read(source) for source in sources] == [b"B", b"A"]
    assert names(tmp_path / "c")[0][1] == "c/all.zip/b.midi"


def test_an_archive_is_recognised_without_its_suffix(tmp_path: Path) -> None:
    archive(tmp_path / "backup", {"a.mid": b"A"})
    assert names(tmp_path / "backup") == [("a", "backup/a.mid")]


def test_members_that_lead_out_of_the_archive_are_skipped(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "x.zip", {"/etc/a.mid": b"", "../b.mid": b"", "c\\d.mid": b"", "ok.mid": b""}
    )
    sources, skipped = find_sources([path])
    assert [source.id for source in sources] == ["ok"]
    assert {skip.reason for skip in skipped} <= {"its path leads out of the archive"}
    assert len(skipped) >= 2


def test_encrypted_members_are_skipped(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", {"a.mid": b"secret"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the directory
    path.write_bytes(content)
    sources, skipped = find_sources([path])
    assert sources == []
    assert [(skip.source, skip.reason) for skip in skipped] == [("x.zip/a.mid", "encrypted")]


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", {"bomb.mid": b"\0" * 50_000_000, "big.mid": b"\0" * 5000})
    sources, skipped = find_sources([path])
    assert [(skip.source, skip.failed) for skip in skipped] == [("x.zip/bomb.mid", True)]
    assert "times its size" in skipped[0].reason
    with SourceReader(1000) as reader, pytest.raises(InputError, match="larger than the allowed"):
        reader.read(sources[0])


def test_members_that_share_their_bytes_are_a_bomb(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", {f"{i}.mid": os.urandom(1000) for i in range(3)})
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    for start in [i for i in range(directory, len(content)) if content[i : i + 4] == b"PK\x01\x02"]:
        content[start + 42 : start + 46] = bytes(4)  # where the member begins
        content[start + 20 : start + 24] = (2000).to_bytes(4, "little")
    path.write_bytes(content)
    sources, skipped = find_sources([path])
    assert sources == []
    assert "overlap" in skipped[0].reason


def test_of_members_of_one_name_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.mid", b"first")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.mid", b"last")
    sources, skipped = find_sources([path])
    assert [(skip.source, skip.failed) for skip in skipped] == [("x.zip/a.mid", True)]
    assert "a later file of the same name" in skipped[0].reason
    with SourceReader(100) as reader:
        assert [reader.read(source) for source in sources] == [b"last"]


@pytest.mark.parametrize("name", ["pipe", "pipe.zip", "pipe.mid"])
def test_a_pipe_or_a_device_is_never_opened(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="a device or a pipe"):
        find_sources([tmp_path / name])
    with pytest.raises(InputError, match="a device or a pipe"):
        find_sources([Path(os.devnull)])


def test_a_pipe_among_the_files_is_skipped(tmp_path: Path) -> None:
    put(tmp_path / "c/a.mid")
    os.mkfifo(tmp_path / "c/beat_midi.txt")
    os.mkfifo(tmp_path / "c/b.zip")
    sources, skipped = find_sources([tmp_path / "c"])
    assert [(skip.source, "not a file" in skip.reason) for skip in skipped] == [("c/b.zip", True)]
    with SourceReader(100) as reader:
        assert reader.side_files(sources[0]) == {}


def test_hidden_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("a.mid", ".a.mid", ".singcli-x1.mid"):
        put(tmp_path / "c" / name)
    assert names(tmp_path / "c") == [("a", "c/a.mid")]


def test_a_damaged_archive_is_skipped(tmp_path: Path) -> None:
    put(tmp_path / "c/x.zip", b"PK but no")
    put(tmp_path / "c/a.mid")
    sources, skipped = find_sources([tmp_path / "c"])
    assert len(sources) == 1
    assert skipped[0].source == "c/x.zip"
    assert skipped[0].reason.startswith("not a readable zip archive")


def test_damage_inside_an_archive_is_an_input_error(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", {"a.mid": os.urandom(1000)})
    content = bytearray(path.read_bytes())
    content[100:140] = b"\xff" * 40
    path.write_bytes(content)
    sources, _ = find_sources([path])
    with SourceReader(10_000) as reader, pytest.raises(InputError, match="cannot be read"):
        reader.read(sources[0])


@pytest.mark.parametrize("make", ["link", "pipe"])
def test_what_is_no_file_is_an_input_error(tmp_path: Path, make: str) -> None:
    path = tmp_path / "c/a.mid"
    path.parent.mkdir()
    if make == "link":
        path.symlink_to(tmp_path / "nowhere")
    else:
        os.mkfifo(path)
    sources, _ = find_sources([tmp_path / "c"])
    with SourceReader(100) as reader, pytest.raises(InputError, match="not a file"):
        reader.read(sources[0])


def test_annotations_are_read_beside_the_file(tmp_path: Path) -> None:
    put(tmp_path / "c/a.mid")
    put(tmp_path / "c/analyzed_key.txt", b"C:maj")
    zipped = archive(tmp_path / "x.zip", {"d/a.mid": b"", "d/analyzed_key.txt": b"D:min"})
    with SourceReader(100) as reader:
        texts = [reader.side_files(s) for s in find_sources([tmp_path / "c", zipped])[0]]
    assert texts == [{"analyzed_key.txt": "C:maj"}, {"analyzed_key.txt": "D:min"}]


def test_the_nearest_licence_holds(tmp_path: Path) -> None:
    put(tmp_path / "LICENSE", b"of all")
    put(tmp_path / "c/a.mid")
    put(tmp_path / "c/x/b.mid")
    put(tmp_path / "c/x/licence.txt", b"one\n")
    put(tmp_path / "c/x/LICENSE.labels", b"two\n")
    with SourceReader(100) as reader:
        licences = {s.id: reader.licence(s) for s in find_sources([tmp_path / "c"])[0]}
    assert licences == {"a": "of all", "b": "two\n\none"}


def test_no_licence_is_looked_for_far_above_the_input(tmp_path: Path) -> None:
    put(tmp_path / "LICENSE", b"of something else")
    put(tmp_path / "far/c/a.mid")
    with SourceReader(100) as reader:
        assert reader.licence(find_sources([tmp_path / "far/c"])[0][0]) is None


def test_a_licence_in_an_archive_holds_for_its_folder(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "x.zip", {"m/LICENSE": b"inner", "m/deep/a.mid": b"", "other/b.mid": b""}
    )
    put(tmp_path / "LICENSE", b"outer")
    with SourceReader(100) as reader:
        licences = {s.id: reader.licence(s) for s in find_sources([path])[0]}
    assert licences == {"a": "inner", "b": "outer"}


def test_no_midi_at_all_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no MIDI files"):
        find_sources([tmp_path])
    with pytest.raises(InputError, match="no such file"):
        find_sources([tmp_path / "missing"])


def test_an_archive_in_an_archive_is_left_alone(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr("a.mid", b"")
    path = archive(tmp_path / "x.zip", {"inner.zip": inner.getvalue(), "b.mid": b""})
    sources, skipped = find_sources([path])
    assert [source.id for source in sources] == ["b"]
    assert [(skip.source, skip.reason[:30]) for skip in skipped] == [
        ("x.zip/inner.zip", "an archive inside an archive, ")
    ]
