"""Which songs `generate` is asked for and where they go: seeds, shares, names."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from singcli.attempts import Attempts
from singcli.cli.wishes import Asked
from singcli.errors import InputError
from singcli.manifest import manifest_path
from singcli.seeds import Shard, counted_seeds, seeds_from_text
from singcli.studio import Settings
from singcli.targets import Target, song_targets

if TYPE_CHECKING:
    from singcli.wish import Wish

STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True)
class Wanted:
    """Which songs are wanted, and where.

    Parameters
    ----------
    asked : Asked
    model : Path
    attempts : Attempts
    seed, seeds, count : optional
        As the options say.
    counted : bool
        Whether the user gave a count.
    shard : Shard, optional
    out, out_dir, filename : see `song_targets`
    pictures : bool
    sampler_options : sequence of str
        As typed; not every model heeds them.
    jobs : int, optional
    skip_existing, overwrite : bool

    Raises
    ------
    InputError
        If they do not go together.
    """

    asked: Asked
    model: Path
    attempts: Attempts
    seed: int | None
    seeds: str | None
    count: int
    counted: bool
    shard: Shard | None
    out: Path | None
    out_dir: Path
    filename: str
    pictures: bool
    sampler_options: Sequence[str]
    jobs: int | None
    skip_existing: bool
    overwrite: bool

    def __post_init__(self) -> None:
        """Check that they go together."""
        if self.seeds is not None and (self.seed is not None or self.counted):
            raise InputError("--seeds stands alone, found --seed or --count beside it")
        if self.skip_existing and self.overwrite:
            raise InputError("--skip-existing and --overwrite: only one of them")
        for name, given in (("--shard", self.shard), ("--skip-existing", self.skip_existing)):
            if self.is_drawn and given:
                raise InputError(
                    f"{name} needs --seed or --seeds: drawn seeds are others in every call"
                )
        if self.out == STANDARD_OUTPUT and self.pictures:
            raise InputError("--png needs a file, --out - is none")

    @property
    def is_drawn(self) -> bool:
        """Whether the seed of the first song is drawn."""
        return self.seeds is None and self.seed is None and self.asked.seed is None

    @functools.cached_property
    def seeds_of_songs(self) -> list[int]:
        """Seeds of the songs of each wish."""
        if self.seeds is not None:
            return seeds_from_text(self.seeds)
        return counted_seeds(self.asked.seed if self.seed is None else self.seed, self.count)

    @property
    def n_songs(self) -> int:
        """Number of songs, of all shards."""
        return len(self.seeds_of_songs) * len(self.asked.sources)

    @property
    def first_wish(self) -> Wish:
        """The wish of the first song."""
        return self.asked.sources[0].wish(self.seeds_of_songs[0])

    @functools.cached_property
    def targets(self) -> Sequence[Target]:
        """The songs of this shard."""
        out = Path("-.mid") if self.out == STANDARD_OUTPUT else self.out
        targets = song_targets(
            [source.name for source in self.asked.sources],
            self.seeds_of_songs,
            out=out,
            out_dir=self.out_dir,
            filename=self.filename,
            model=self.model.stem,
        )
        return targets if self.shard is None else self.shard.of_items(targets)

    @property
    def manifest(self) -> Path | None:
        """Where the manifest lies; a song alone has none."""
        if self.out is not None or self.n_songs == 1:
            return None
        return manifest_path(self.out_dir, self.shard)

    def settings(self) -> Settings:
        """Return what all songs share."""
        return Settings(
            self.model,
            self.asked.sources,
            self.attempts,
            self.pictures,
            tuple(self.sampler_options),
        )
