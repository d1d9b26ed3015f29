"""What the user asks of `generate`: a form or a template, and how to play it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from singcli.errors import InputError, SingError
from singcli.model.contract import ModelCard
from singcli.model.features import SectionPlace
from singcli.model.plan import Plan, SamplingOptions
from singcli.music.key import Key
from singcli.music.score import regular_bars
from singcli.recipe import Recipe, UsedFile
from singcli.structure.form import MAX_TEMPO_BPM, MIN_TEMPO_BPM, Form, repeats_of_form
from singcli.structure.preset import form_from_values
from singcli.structure.section import Span
from singcli.structure.ssm import Matrix, ssm_from_repeats
from singcli.structure.ssm_file import SUFFIX as SSM_SUFFIX
from singcli.structure.ssm_file import Structure, read_ssm
from singcli.structure.texture import Texture

DEFAULT_TEMPERATURE = 0.97  # at 1 too many notes leave the key (docs/results.md)
LEAD_IN_BARS = 4  # songs of the training data have an intro of about this length


@dataclass(frozen=True, slots=True)
class Template:
    """The structure of an existing piece to be followed, and the file it came from."""

    structure: Structure
    file: UsedFile


def template_from_file(path: Path) -> Template:
    """Read a template: an SSM file (`.npz`) or a MIDI file.

    Raises
    ------
    InputError
        If the file cannot be read or has no structure to follow.
    """
    from singcli.analysis import structure_from_midi  # a form does without its 25 ms

    if path.suffix.lower() == SSM_SUFFIX:
        return Template(read_ssm(path), UsedFile.from_path(path))
    return Template(structure_from_midi(path), UsedFile.from_path(path))


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
    temperature, top_p, strictness : float
        See `SamplingOptions`.
    candidates : int, optional
        See `SamplingOptions`; by default what pays for the kind of source (`default_steering`).
    steering : float, optional
        Likewise.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    source: Form | Template
    tempo_bpm: float | None = None
    key: Key | None = None
    temperature: float = DEFAULT_TEMPERATURE
    top_p: float = 1.0
    strictness: float = 0.5
    candidates: int | None = None
    steering: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        self.options()
        tempo = self.tempo_bpm
        if tempo is not None and not MIN_TEMPO_BPM <= tempo <= MAX_TEMPO_BPM:
            raise InputError(
                f"tempo = {tempo:g}, allowed: {MIN_TEMPO_BPM:g} to {MAX_TEMPO_BPM:g} beats a minute"
            )

    @property
    def name(self) -> str:
        """What the song is called after: preset, form or template."""
        if isinstance(self.source, Form):
            return self.source.name
        return Path(self.source.file.name).stem

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
    def meter(self) -> str:
        """Of most bars."""
        return self._form_or_structure.meter

    @property
    def sections(self) -> Sequence[Span]:
        """Label, first bar and length of every section."""
        if isinstance(self.source, Form):
            return self.source.section_bars
        return self.source.structure.sections

    @property
    def _form_or_structure(self) -> Form | Structure:
        return self.source if isinstance(self.source, Form) else self.source.structure

    def options(self) -> SamplingOptions:
        """Return the sampling options in full."""
        candidates, steering = default_steering(self.source)
        return SamplingOptions(
            temperature=self.temperature,
            top_p=self.top_p,
            strictness=self.strictness,
            candidates=self.candidates if self.candidates is not None else candidates,
            steering=self.steering if self.steering is not None else steering,
        )

    def plan(self, card: ModelCard) -> Plan:
        """Return what the sampler follows, over the texture that the model was trained on."""
        if isinstance(self.source, Form):
            return Plan(
                ssm=_ssm_with_lead_in(self.source, card.texture),
                bar_beats=regular_bars(
                    LEAD_IN_BARS + self.source.n_bars, self.source.beats_per_bar
                ),
                kind="form",
                mode=self.song_key.mode,
                tempo_bpm=self.song_tempo_bpm,
                sections=_places_with_lead_in(self.source),
                lead_in_bars=LEAD_IN_BARS,
            )
        return Plan(
            ssm=self.source.structure.ssm,
            bar_beats=self.source.structure.bar_beats,
            kind="music",
            mode=self.song_key.mode,
            tempo_bpm=self.song_tempo_bpm,
        )


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


def default_steering(source: Form | Template) -> tuple[int, float]:
    """Return candidates and strength where the user gives none (measured in docs/results.md)."""
    return (1, 0.0) if isinstance(source, Form) else (16, 300.0)


def wish_from_recipe(recipe: Recipe, template: Template | None) -> Wish:
    """Return the wish that a recipe records.

    Raises
    ------
    InputError
        If the recipe needs its template and another or none is given.
    """
    source: Form | Template
    if recipe.form is not None:
        source = form_from_values(recipe.form, source="recipe")
    elif template is None:
        wanted = recipe.template.name if recipe.template else "its template"
        raise InputError("the recipe follows a template", f"add --template {wanted}")
    elif recipe.template is not None and template.file.sha256 != recipe.template.sha256:
        raise InputError(
            f"{template.file.name}: not the template of the recipe "
            f"(sha256 {template.file.sha256[:12]}, recorded {recipe.template.sha256[:12]})"
        )
    else:
        source = template
    try:
        options = recipe.options
        return Wish(
            source=source,
            tempo_bpm=float(options["tempo"]),
            key=Key.parse(options["key"]),
            **{
                name: options[name]
                for name in ("temperature", "top_p", "strictness", "candidates", "steering")
            },
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SingError(f"the recipe's options are not complete ({error})") from error
