"""What the user asks of `generate`: a form or a template, and how to play it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError, SingError
from singcli.model.contract import StyledCard
from singcli.model.decisions import PerDecision
from singcli.model.features import SectionPlace
from singcli.model.limits import Limits, PitchRange, Polyphony
from singcli.model.plan import DEFAULT_STEERING, Plan, SamplingOptions, ScaleLock
from singcli.music.key import Key
from singcli.music.meter import is_compound, meters_of_bars
from singcli.music.score import regular_bars
from singcli.recipe import Recipe, UsedTemplate
from singcli.structure.form import MAX_TEMPO_BPM, MIN_TEMPO_BPM, Form, repeats_of_form
from singcli.structure.known_repeats import known_repeats
from singcli.structure.preset import form_from_values
from singcli.structure.section import Span
from singcli.structure.ssm import Matrix, ssm_from_repeats
from singcli.structure.ssm_file import SUFFIX as SSM_SUFFIX
from singcli.structure.ssm_file import Structure, read_ssm
from singcli.structure.texture import Texture

NOTE_TEMPERATURE = 0.97  # at 1 too many notes leave the key (docs/results.md)
COUNT_TEMPERATURE = 1.1  # below it the music is thinner than real music (docs/quality.md)
DEFAULT_TEMPERATURE = PerDecision(
    lead=NOTE_TEMPERATURE,
    accompaniment=NOTE_TEMPERATURE,
    count=COUNT_TEMPERATURE,
    duration=NOTE_TEMPERATURE,
    velocity=NOTE_TEMPERATURE,
)
FORM_STRICTNESS, TEMPLATE_STRICTNESS = 0.85, 0.5
FORM_CANDIDATES, TEMPLATE_CANDIDATES = 1, 3  # what pays for either (docs/results.md)
DEFAULT_SCALE_LOCK: ScaleLock = "soft"
FORM_ENDING, TEMPLATE_ENDING = True, False  # a matrix does not say whether its music ends
LEAD_IN_BARS = 4  # songs of the training data have an intro of about this length


@dataclass(frozen=True, slots=True)
class Template:
    """The structure of existing music to be followed, and the files it came from."""

    structure: Structure
    files: tuple[UsedTemplate, ...]

    @property
    def name(self) -> str:
        """Names of the files without suffixes."""
        return _joined_name(self.files)


def template_from_file(path: Path) -> Template:
    """Read a template: an SSM file (`.npz`), a recording or a MIDI file, told by the suffix.

    Raises
    ------
    InputError
        If the file cannot be read or has no structure to follow.
    SingError
        If it is a recording and the extra `audio` is not installed.
    """
    from singcli.analysis import structure_from_midi  # a form does without its 25 ms
    from singcli.audio import AUDIO_SUFFIXES, structure_from_audio

    suffix = path.suffix.lower()
    if suffix == SSM_SUFFIX:
        structure = read_ssm(path)
    elif suffix in AUDIO_SUFFIXES:
        structure = structure_from_audio(path)
    else:
        structure = structure_from_midi(path)
    return Template(structure, (UsedTemplate.from_path(path),))


def template_from_files(parts: Sequence[tuple[Path, float]]) -> Template:
    """Read templates with their weights; several are blended.

    Raises
    ------
    InputError
        As `template_from_file`, and if the weights cannot be used.
    """
    read = [(template_from_file(path), weight) for path, weight in parts]
    if len(read) == 1:
        return read[0][0]
    from singcli.structure.blend import blend_structures

    files = tuple(
        dataclasses.replace(template.files[0], weight=weight) for template, weight in read
    )
    weighted = [(template.structure, weight) for template, weight in read]
    return Template(blend_structures(weighted, name=_joined_name(files)), files)


def _joined_name(files: Sequence[UsedTemplate]) -> str:
    return "-".join(Path(file.name).stem for file in files)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks for.

    Parameters
    ----------
    source : Form or Template
    tempo_bpm : float, optional
        In place of the source's.
    key : Key, optional
        In place of the source's.
    temperature, top_p : float or PerDecision
        See `SamplingOptions`.
    steering : float
        See `SamplingOptions`.
    strictness : float, optional
        See `SamplingOptions`; by default `FORM_STRICTNESS` or `TEMPLATE_STRICTNESS`.
    candidates : int, optional
        See `SamplingOptions`; by default `FORM_CANDIDATES` or `TEMPLATE_CANDIDATES`.
    style : str, optional
        One of the model's kinds of music; by default its usual one.
    scale_lock : {"off", "soft", "hard"}
        See `SamplingOptions`.
    ending : bool, optional
        See `Plan`; by default `FORM_ENDING` or `TEMPLATE_ENDING`.
    lead_range, accompaniment_range : PitchRange, optional
        Of the finished song; by default those of the training music (`Limits`).
    max_polyphony : Polyphony

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    source: Form | Template
    tempo_bpm: float | None = None
    key: Key | None = None
    temperature: float | PerDecision = DEFAULT_TEMPERATURE
    top_p: float | PerDecision = 1.0
    strictness: float | None = None
    candidates: int | None = None
    steering: float = DEFAULT_STEERING
    style: str | None = None
    scale_lock: ScaleLock = DEFAULT_SCALE_LOCK
    ending: bool | None = None
    lead_range: PitchRange | None = None
    accompaniment_range: PitchRange | None = None
    max_polyphony: Polyphony = Polyphony()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        """Check the ranges."""
        self.options()
        self.limits  # noqa: B018 - raises where the song leaves no pitch in a range
        tempo = self.tempo_bpm
        if tempo is not None and not MIN_TEMPO_BPM <= tempo <= MAX_TEMPO_BPM:
            raise InputError(
                f"tempo = {tempo:g}, allowed: {MIN_TEMPO_BPM:g} to {MAX_TEMPO_BPM:g} beats a minute"
            )

    @property
    def name(self) -> str:
        """What the song is called after: preset, form or template."""
        return self.source.name

    @property
    def song_key(self) -> Key:
        """The key of the song."""
        return self.key or self._form_or_structure.key or Key(0, "major")

    @property
    def song_tempo_bpm(self) -> float:
        """Quarter notes a minute."""
        tempo = self._form_or_structure.tempo_bpm
        return self.tempo_bpm or min(max(tempo, MIN_TEMPO_BPM), MAX_TEMPO_BPM)

    @property
    def bar_meters(self) -> list[str]:
        """Meter of every bar."""
        if isinstance(self.source, Form):
            return self.source.bar_meters
        return meters_of_bars(self.source.structure.bar_beats, self.source.structure.meter)

    @property
    def tempo_changes(self) -> list[tuple[int, float]]:
        """Bar and quarter notes a minute wherever the tempo changes, from bar 0 on.

        A tempo in place of the source's changes those of its sections in proportion.
        """
        if not isinstance(self.source, Form):
            return [(0, self.song_tempo_bpm)]
        factor = self.song_tempo_bpm / self.source.tempo_bpm
        return [
            (bar, min(max(tempo * factor, MIN_TEMPO_BPM), MAX_TEMPO_BPM))
            for bar, tempo in self.source.tempo_changes
        ]

    @property
    def bar_transpositions(self) -> npt.NDArray[np.int64]:
        """Semitones by which every bar is moved once it is sampled, shape=(n_bars,)."""
        if isinstance(self.source, Form):
            return self.source.bar_transpositions
        return np.zeros(self.source.structure.n_bars, np.int64)

    @property
    def sections(self) -> Sequence[Span]:
        """Label, first bar and length of every section."""
        if isinstance(self.source, Form):
            return self.source.section_bars
        return self.source.structure.sections

    @property
    def _form_or_structure(self) -> Form | Structure:
        return self.source if isinstance(self.source, Form) else self.source.structure

    @property
    def _default_dials(self) -> tuple[float, int]:
        if isinstance(self.source, Form):
            return FORM_STRICTNESS, FORM_CANDIDATES
        return TEMPLATE_STRICTNESS, TEMPLATE_CANDIDATES

    def options(self) -> SamplingOptions:
        """Return the sampling options in full."""
        strictness, candidates = self._default_dials
        return SamplingOptions(
            temperature=self.temperature,
            top_p=self.top_p,
            strictness=strictness if self.strictness is None else self.strictness,
            candidates=candidates if self.candidates is None else self.candidates,
            steering=self.steering,
            scale_lock=self.scale_lock,
        )

    @property
    def limits(self) -> Limits:
        """What the voices can play, in the reference key, wherever sections are transposed to."""
        moved = self.bar_transpositions - self.song_key.shift_to_reference
        shifts = int(moved.min(initial=0)), int(moved.max(initial=0))
        ranges = {
            name: pitches.narrowed(*shifts)
            for name, pitches in (
                ("lead", self.lead_range),
                ("accompaniment", self.accompaniment_range),
            )
            if pitches is not None
        }
        return Limits(**ranges, polyphony=self.max_polyphony)

    @property
    def has_ending(self) -> bool:
        """Whether the song is to end with a final chord."""
        if self.ending is not None:
            return self.ending
        return FORM_ENDING if isinstance(self.source, Form) else TEMPLATE_ENDING

    def recorded_options(self, card: StyledCard) -> dict[str, Any]:
        """Return all options as plain JSON values, for a recipe."""
        style = card.style_index(self.style)
        return dataclasses.asdict(self.options()) | {
            "style": None if style is None else card.styles[style],
            "tempo": self.song_tempo_bpm,
            "key": str(self.song_key),
            "name": self.name,
            "ending": self.has_ending,
            "lead_range": None if self.lead_range is None else str(self.lead_range),
            "accompaniment_range": (
                None if self.accompaniment_range is None else str(self.accompaniment_range)
            ),
            "max_polyphony": dataclasses.asdict(self.max_polyphony),
        }

    def plan(self, card: StyledCard) -> Plan:
        """Return what the sampler follows, over the texture that the model was trained on.

        Raises
        ------
        InputError
            If the model does not know the style.
        """
        style = card.style_index(self.style)
        compound = np.array([is_compound(meter) for meter in self.bar_meters])
        if isinstance(self.source, Form):
            lead_in = np.full(LEAD_IN_BARS, is_compound(self.source.meter))
            return Plan(
                ssm=_ssm_with_lead_in(self.source, card.texture(style)),
                bar_beats=_bars_with_lead_in(self.source),
                kind="form",
                mode=self.song_key.mode,
                tempo_bpm=self.song_tempo_bpm,
                sections=_places_with_lead_in(self.source),
                lead_in_bars=LEAD_IN_BARS,
                known=known_repeats(self.source, self.options().strictness).moved(
                    LEAD_IN_BARS * self.source.beats_per_bar
                ),
                style=style,
                compound=np.concatenate([lead_in, compound]),
                limits=self.limits,
                ending=self.has_ending,
            )
        return Plan(
            ssm=self.source.structure.ssm,
            bar_beats=self.source.structure.bar_beats,
            kind="music",
            mode=self.song_key.mode,
            tempo_bpm=self.song_tempo_bpm,
            style=style,
            compound=compound,
            limits=self.limits,
            ending=self.has_ending,
        )


def _bars_with_lead_in(form: Form) -> npt.NDArray[np.int32]:
    """Return bar lines, in beats, with bars of the main meter before those of the form."""
    lead_in = regular_bars(LEAD_IN_BARS, form.beats_per_bar)
    return np.concatenate([lead_in[:-1], lead_in[-1] + form.bar_beats]).astype(np.int32)


def _places_with_lead_in(form: Form) -> tuple[SectionPlace, ...]:
    places = [SectionPlace(0, LEAD_IN_BARS, tune=False)]
    for section, span in zip(form.sections, form.section_bars, strict=True):
        places.append(SectionPlace(LEAD_IN_BARS + span.start_bar, span.n_bars, section.tune))
    return tuple(places)


def _ssm_with_lead_in(form: Form, texture: Texture) -> Matrix:
    """Draw the form's repeats over the texture, behind bars that nothing repeats."""
    beats = LEAD_IN_BARS * form.beats_per_bar
    moved = [
        dataclasses.replace(
            repeat, start_beat=repeat.start_beat + beats, source_beat=repeat.source_beat + beats
        )
        for repeat in repeats_of_form(form)
    ]
    return ssm_from_repeats(
        beats + form.n_beats, moved, texture=texture, beats_per_bar=form.beats_per_bar
    )


def wish_from_recipe(recipe: Recipe, template: Template | None) -> Wish:
    """Return the wish that a recipe records.

    Raises
    ------
    InputError
        If the recipe needs its template and another or none is given.
    """
    source: Form | Template
    if recipe.form is not None:
        if template is not None:
            raise InputError("the recipe follows a form", "leave --template out")
        source = form_from_values(recipe.form, source="recipe")
    elif template is None:
        raise InputError("the recipe follows a template", f"add {_arguments(recipe.templates)}")
    elif [(f.sha256, f.weight) for f in template.files] != [
        (f.sha256, f.weight) for f in recipe.templates
    ]:
        raise InputError(
            f"{_arguments(template.files)}: not what the recipe follows (other content, weights or "
            "another order)",
            f"it recorded {_arguments(recipe.templates)}",
        )
    else:
        source = dataclasses.replace(template, files=recipe.templates)  # by their names of then
    try:
        options = recipe.options
        return Wish(
            source=source,
            tempo_bpm=float(options["tempo"]),
            key=Key.parse(options["key"]),
            style=options["style"],
            temperature=_per_decision(options["temperature"]),
            top_p=_per_decision(options["top_p"]),
            lead_range=_range(options["lead_range"], "lead_range"),
            accompaniment_range=_range(options["accompaniment_range"], "accompaniment_range"),
            max_polyphony=Polyphony(**options["max_polyphony"]),
            **{
                name: options[name]
                for name in ("strictness", "candidates", "steering", "scale_lock", "ending")
            },
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SingError(f"the recipe's options are not complete ({error})") from error


def _per_decision(value: Any) -> float | PerDecision:
    return PerDecision.of(value) if isinstance(value, dict) else value


def _range(value: str | None, name: str) -> PitchRange | None:
    return None if value is None else PitchRange.parse(value, option=name)


def _arguments(files: Sequence[UsedTemplate]) -> str:
    """Return the options that name the templates."""
    if len(files) == 1:
        return f"--template {files[0].name}"
    return " ".join(f"--template {file.name}:{file.weight:g}" for file in files)
