"""What a model file of SING holds: the names of its tensors, and its card.

One step of n songs: `row` the row before, `weighted` the earlier rows by the weights of attention
(not in a file without attention), `hidden` and `cell` the state, all float32 (n, 128); out come the
`logits` of the 128 pitches and the next state.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from singcli.errors import InputError
from singcli.model.sing.sampling import INITIAL_STATES, RowSampling
from singcli.structure.row_ssm import N_ROW_PITCHES
from singcli.structure.texture import Texture

ARCHITECTURE = "sing"
SING_CONTRACT_VERSION = 1
MAX_SEED_ROWS = 1000

INPUTS = ("row", "weighted", "hidden", "cell")
INPUTS_WITHOUT_ATTENTION = ("row", "hidden", "cell")
OUTPUTS = ("logits", "next_hidden", "next_cell")


@dataclass(frozen=True, slots=True)
class SingCard:
    """What a model file of SING says of itself, beside its graph.

    Parameters
    ----------
    name : str
    attention : bool
        Whether it is the network of the paper, or its ablation.
    seed_rows : int >= 0
        Rows that a piece was given at its beginning, in training.
    sampling : RowSampling
        How rows are drawn.
    textures : tuple of Texture
        One: of the matrices of the training data, a row for a beat; laid under every form.
    licence : str
        Of the weights, with the notices of the data.
    training : dict
        Data, figures and the configuration in full; for people, not for the runtime.
    """

    name: str
    attention: bool
    seed_rows: int
    sampling: RowSampling
    textures: tuple[Texture, ...]
    licence: str
    training: dict[str, Any]
    architecture: str = ARCHITECTURE
    version: int = SING_CONTRACT_VERSION

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the graph's inputs."""
        return INPUTS if self.attention else INPUTS_WITHOUT_ATTENTION

    @property
    def styles(self) -> tuple[str, ...]:
        """Kinds of music that the model tells apart: none."""
        return ()

    def style_index(self, style: str | None) -> int | None:
        """Return None, for a style that is not named.

        Raises
        ------
        InputError
            If one is named.
        """
        if style is not None:
            raise InputError(f"style = {style!r}, allowed by the model {self.name}: leave it out")
        return None

    def texture(self, _style: int | None) -> Texture:
        """Return the texture of all music."""
        return self.textures[0]

    def to_json(self) -> str:
        """Return the card as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, *, source: str) -> SingCard:
        """Read a card.

        Raises
        ------
        InputError
            If the text is not a card of this version; names `source`.
        """
        try:
            fields = json.loads(text)
            version = fields["version"]
            if version != SING_CONTRACT_VERSION:
                raise InputError(
                    f"{source}: contract version {version} of sing, this singcli reads "
                    f"{SING_CONTRACT_VERSION}",
                    "export the model again with this version of singcli",
                )
            parts = {
                "sampling": RowSampling(**fields["sampling"]),
                "textures": tuple(Texture(**texture) for texture in fields["textures"]),
            }
            card = cls(**fields | parts)
            _validate_card(card)
            return card
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InputError(
                f"{source}: its model card cannot be read ({error})",
                "use a file written by singcli export-onnx",
            ) from error


def _validate_card(card: SingCard) -> None:
    """Check what the card of a foreign file may have wrong.

    Raises
    ------
    ValueError
        Says what is wrong.
    """
    for name in ("name", "licence"):
        if not isinstance(getattr(card, name), str):
            raise ValueError(f"{name} is not a text")
    if not isinstance(card.attention, bool):
        raise ValueError(f"attention = {card.attention!r}, allowed: true and false")
    sampling = card.sampling
    for key, value, least, most in (
        ("seed_rows", card.seed_rows, 0, MAX_SEED_ROWS),
        ("sampling.top_k", sampling.top_k, 1, N_ROW_PITCHES),
        ("sampling.lowest", sampling.lowest, 0, sampling.highest),
        ("sampling.highest", sampling.highest, 0, N_ROW_PITCHES - 1),
        ("sampling.draws", sampling.draws, 1, N_ROW_PITCHES),
    ):
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{key} = {value!r}, allowed: {least} to {most}")
    if sampling.initial_state not in INITIAL_STATES:
        raise ValueError(f"sampling.initial_state = {sampling.initial_state!r}")
    if len(card.textures) != 1:
        raise ValueError(f"{len(card.textures)} textures, allowed: 1")
    for name, number in asdict(card.textures[0]).items():
        if not isinstance(number, int | float) or not math.isfinite(number):
            raise ValueError(f"textures.{name} = {number!r}, allowed: a number")
    if card.textures[0].near_beats <= 0:
        raise ValueError("near_beats must be above 0")


def architecture_of_card(text: str) -> str:
    """Return the architecture that a model card names: "pointer" where it names none."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return "pointer"
    return str(fields.get("architecture", "pointer")) if isinstance(fields, dict) else "pointer"
