"""The contract between training, the model file and the sampler: vocabulary, sizes, names.

Conventions
-----------
- A *token* is one decision inside a step: tokens 0 to 87 are the lead's pitches from high to low,
  88 to 175 the accompaniment's from low to high, `STOP` ends the step. Inside a step tokens rise.
- Rolls that the network sees have their 176 columns in token order.
- A duration is one of the `DURATIONS` (in steps), a velocity one of the `VELOCITIES`; `NO_DURATION`
  and `NO_VELOCITY` stand for "there is none".
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.music.key import Mode
from singcli.music.score import LEAD, MIN_PITCH, N_PITCHES, N_VOICES, STEPS_PER_BEAT
from singcli.structure.texture import Texture

CONTRACT_VERSION = 3
CARD_KEY = "singcli"  # of the card in the file's metadata
PART_INPUT = "note_part"  # bool, shape=(): which part of the graph runs

N_NOTE_TOKENS = N_VOICES * N_PITCHES
STOP = N_NOTE_TOKENS
N_TOKENS = N_NOTE_TOKENS + 1
START = N_TOKENS  # "no token yet" in place of the last token
MAX_NOTES_PER_STEP = 12

DURATIONS = np.array([*range(1, 17), 18, 20, 24, 28, 32, 40, 48, 64], np.int32)
N_DURATIONS = len(DURATIONS)
NO_DURATION = N_DURATIONS

VELOCITIES = np.array([46, 57, 72, 76, 83, 90, 104, 116], np.uint8)  # least error, docs/data.md
N_VELOCITIES = len(VELOCITIES)
NO_VELOCITY = N_VELOCITIES

NO_LEAD = N_PITCHES  # "no lead note yet" in place of the last lead pitch
NO_BASS = N_PITCHES  # the same of the last bass pitch
REACH = 24  # semitones on either side of the last lead or bass note with a logit of their own
LEAD_AGE_STEPS = 64
BARS_AGO = (1, 2, 4)  # how far back the network sees what was played at the same place of a bar
N_ARTICULATION = 5  # columns of `features.articulation`

Material = Literal["songs", "rows"]
MATERIALS: tuple[Material, ...] = ("songs", "rows")
SsmKind = Literal["music", "form", "none"]
SSM_KINDS: tuple[SsmKind, ...] = ("music", "form", "none")
MODES: tuple[Mode, ...] = ("major", "minor")
MAX_BEATS_PER_BAR = 8
MAX_WIDTH = 8192  # of a layer
MAX_STYLES = 8  # kinds of music that a model can tell apart, named in its card
BARS_PER_PHRASE = 4
SECTION_BARS = 8  # bars since a section's start and before its end, the last class "or more"
ENDING_BARS = 4
PLACE_SIZES = (
    STEPS_PER_BEAT,  # step in the beat
    MAX_BEATS_PER_BAR,  # beat in the bar
    MAX_BEATS_PER_BAR,  # beats in this bar
    BARS_PER_PHRASE,  # bar in the four-bar phrase
    len(SSM_KINDS),
    len(MODES),
    2,  # without and with a tune; like the two below, nothing where sections are not known
    SECTION_BARS,  # bars since the start of the section
    SECTION_BARS,  # bars before its last one
    2,  # whether the beat is divided by two or, as in 6/8, the half bar by three
    MAX_STYLES,  # nothing where the style is left open
    ENDING_BARS,  # bars before the song's last one, the last class "or more"
)
N_PLACE = sum(PLACE_SIZES)
N_CONTEXT = 2 * N_NOTE_TOKENS
# Draft onset and sounding, carried over, onset and sounding in the context, onsets of `BARS_AGO`.
N_TOKEN_HINTS = 5 + len(BARS_AGO)

# token -> (voice, pitch) and back
TOKEN_VOICE = np.repeat(np.arange(N_VOICES), N_PITCHES).astype(np.uint8)
TOKEN_PITCH = np.concatenate(
    [np.arange(N_PITCHES)[::-1], np.arange(N_PITCHES)]
) + MIN_PITCH  # fmt: skip


def tokens_from_notes(voice: npt.ArrayLike, pitch: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the token of each (voice, MIDI pitch)."""
    key = np.asarray(pitch, np.int64) - MIN_PITCH
    token: npt.NDArray[np.int64] = np.where(
        np.asarray(voice) == LEAD, N_PITCHES - 1 - key, N_PITCHES + key
    )
    return token


def duration_classes(duration: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the nearest duration class of each duration in steps (the shorter of two)."""
    steps = np.asarray(duration, np.int64)
    nearest: npt.NDArray[np.int64] = np.abs(DURATIONS - steps[..., None]).argmin(axis=-1)
    return nearest


def velocity_classes(velocity: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the nearest velocity class of each MIDI velocity (the softer of two)."""
    loudness = np.asarray(velocity, np.int64)
    distance = np.abs(VELOCITIES.astype(np.int64) - loudness[..., None])
    nearest: npt.NDArray[np.int64] = distance.argmin(axis=-1)
    return nearest


@dataclass(frozen=True, slots=True)
class NetworkSizes:
    """Widths of the pointer network's layers."""

    lstm: int = 384
    roll: int = 128
    draft: int = 128
    bar: int = 96
    context: int = 64
    hidden: int = 320
    duration: int = 128
    velocity: int = 64

    @property
    def features(self) -> int:
        """Width of what the step part hands to the note part."""
        return self.hidden + self.duration + self.velocity


def step_inputs(n: int, sizes: NetworkSizes) -> dict[str, npt.NDArray[Any]]:
    """Return the blank inputs of the step part, (n, ...), in order.

    `previous` onsets of the step before; `carried` notes held over into this step; `draft` and
    `next_draft` onsets, then sounding notes, of the source of this step and of the next one;
    `bars_ago` onsets 1, 2 and 4 bars before this step, then before the next one; `context` onsets,
    then sounding notes, of all earlier beats, weighted by the SSM; `place` one-hots of
    `PLACE_SIZES`; `grade` similarity to the source, and 1 where the draft has an onset; `loudness`
    as `features.last_loudness`; `articulation` as `features.articulation`; `lead` and `lead_age` as
    `features.last_lead`, `bass` as `features.last_bass`; `hidden`, `cell` the state.
    """
    floats = {
        "previous": N_NOTE_TOKENS,
        "carried": N_NOTE_TOKENS,
        "draft": 2 * N_NOTE_TOKENS,
        "next_draft": 2 * N_NOTE_TOKENS,
        "bars_ago": 2 * len(BARS_AGO) * N_NOTE_TOKENS,
        "context": N_CONTEXT,
        "place": N_PLACE,
        "grade": 2,
        "loudness": N_VOICES,
        "articulation": N_ARTICULATION,
    }
    inputs: dict[str, npt.NDArray[Any]] = {
        k: np.zeros((n, w), np.float32) for k, w in floats.items()
    }
    inputs["lead"] = np.full(n, NO_LEAD, np.int64)
    inputs["lead_age"] = np.zeros((n, 1), np.float32)
    inputs["bass"] = np.full(n, NO_BASS, np.int64)
    inputs["hidden"] = np.zeros((n, sizes.lstm), np.float32)
    inputs["cell"] = np.zeros((n, sizes.lstm), np.float32)
    return inputs


STEP_OUTPUTS = ("step_features", "step_token_bias", "next_hidden", "next_cell")


def note_inputs(n: int, sizes: NetworkSizes) -> dict[str, npt.NDArray[Any]]:
    """Return the blank inputs of the note part, (n, ...), in order.

    `features`, `token_bias` from the step part; `chosen` the sum over the step's notes but the
    last, from `next_chosen` (zeros at first); `last_token` (`START` at first); `draft_onsets` in
    token order; `last_lead`, `last_bass` pitches before this step. For the duration and the
    velocity of the last token: `draft_duration`, `draft_velocity` their classes in the draft;
    `chord_duration` that of the note before it in this step; `voice_velocity` that of the latest
    note of its voice.
    """
    return {
        "features": np.zeros((n, sizes.features), np.float32),
        "token_bias": np.zeros((n, N_NOTE_TOKENS), np.float32),
        "chosen": np.zeros((n, sizes.hidden), np.float32),
        "last_token": np.full(n, START, np.int64),
        "draft_onsets": np.zeros((n, N_NOTE_TOKENS), np.float32),
        "last_lead": np.full(n, NO_LEAD, np.int64),
        "last_bass": np.full(n, NO_BASS, np.int64),
        "draft_duration": np.full(n, NO_DURATION, np.int64),
        "chord_duration": np.full(n, NO_DURATION, np.int64),
        "draft_velocity": np.full(n, NO_VELOCITY, np.int64),
        "voice_velocity": np.full(n, NO_VELOCITY, np.int64),
    }


NOTE_OUTPUTS = ("logits", "gate", "next_chosen", "duration_logits", "velocity_logits")


class StyledCard(Protocol):
    """What a plan is made from: the part that the cards of all architectures have."""

    @property
    def name(self) -> str:
        """Of the model."""

    @property
    def styles(self) -> tuple[str, ...]:
        """Kinds of music that the model tells apart, the usual one first."""

    def style_index(self, style: str | None) -> int | None:
        """Return the place of a style among the model's, the first unless one is named."""

    def texture(self, style: int | None) -> Texture:
        """Return the texture of a style."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model file says of itself, beside its graph.

    Parameters
    ----------
    name : str
    sizes : NetworkSizes
    styles : tuple of str
        Kinds of music that the model tells apart, the usual one first; () if it knows but one.
    material : {"songs", "rows"}
        What a step is: a quarter of a beat of a song, or a row of `row_features`.
    textures : tuple of Texture
        Of the music of each style, or of all music without styles; laid under every form.
    context_temperature : float > 0
        Of the soft attention, as in training.
    continuation_bonus : float >= 0
        Of the repeat map, as in training.
    licence : str
        Of the weights, with the notices of the data.
    training : dict
        Data, figures and the configuration in full; for people, not for the runtime.
    """

    name: str
    sizes: NetworkSizes
    styles: tuple[str, ...]
    textures: tuple[Texture, ...]
    context_temperature: float
    continuation_bonus: float
    licence: str
    training: dict[str, Any]
    material: Material = "songs"
    version: int = CONTRACT_VERSION

    def style_index(self, style: str | None) -> int | None:
        """Return the place of a style among the model's, the first unless one is named.

        Raises
        ------
        InputError
            If the model does not know the style.
        """
        if style is None:
            return 0 if self.styles else None
        if style not in self.styles:
            known = ", ".join(self.styles) or "none, leave it out"
            raise InputError(f"style = {style!r}, allowed by the model {self.name}: {known}")
        return self.styles.index(style)

    def texture(self, style: int | None) -> Texture:
        """Return the texture of a style."""
        return self.textures[style or 0]

    def to_json(self) -> str:
        """Return the card as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, *, source: str) -> ModelCard:
        """Read a card.

        Raises
        ------
        InputError
            If the text is not a card of this version; names `source`.
        """
        try:
            fields = json.loads(text)
            version = fields["version"]
            if version != CONTRACT_VERSION:
                raise InputError(
                    f"{source}: model contract version {version}, this singcli reads "
                    f"{CONTRACT_VERSION}",
                    "export the model again with this version of singcli",
                )
            card = cls(
                **fields
                | {
                    "sizes": NetworkSizes(**fields["sizes"]),
                    "styles": tuple(fields["styles"]),
                    "textures": tuple(Texture(**texture) for texture in fields["textures"]),
                }
            )
            _validate_card(card)
            return card
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InputError(
                f"{source}: its model card cannot be read ({error})",
                "use a file written by singcli export-onnx",
            ) from error


def _validate_card(card: ModelCard) -> None:
    """Check what the card of a foreign file may have wrong.

    Raises
    ------
    ValueError
        Says what is wrong.
    """
    for name, size in asdict(card.sizes).items():
        if type(size) is not int or not 1 <= size <= MAX_WIDTH:
            raise ValueError(f"sizes.{name} = {size!r}, allowed: 1 to {MAX_WIDTH}")
    if card.material not in MATERIALS:
        raise ValueError(f"material = {card.material!r}, allowed: {', '.join(MATERIALS)}")
    for name in ("name", "licence"):
        if not isinstance(getattr(card, name), str):
            raise ValueError(f"{name} is not a text")
    if len(card.styles) > MAX_STYLES or not all(isinstance(s, str) for s in card.styles):
        raise ValueError(f"styles are not up to {MAX_STYLES} names")
    if len(card.textures) != max(1, len(card.styles)):
        raise ValueError(f"{len(card.textures)} textures for {len(card.styles)} styles")
    numbers = {
        "context_temperature": card.context_temperature,
        "continuation_bonus": card.continuation_bonus,
        **{f"textures.{k}": v for texture in card.textures for k, v in asdict(texture).items()},
    }
    for name, value in numbers.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name} = {value!r}, allowed: a number")
    if card.context_temperature <= 0 or any(t.near_beats <= 0 for t in card.textures):
        raise ValueError("context_temperature and near_beats must be above 0")
