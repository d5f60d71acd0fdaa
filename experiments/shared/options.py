"""Options that several scripts have, in groups, and the values that each group stands for.

A script composes its options of these groups by inheritance. Only the script itself reads them:
what it calls takes the values.
"""

import dataclasses
import lzma
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from experiments.shared import option_types
from experiments.shared.loading import data_name, load_model_named
from experiments.shared.option_types import (
    Count,
    CountOrZero,
    Data,
    Fraction,
    Model,
    OptionError,
    PositiveWeight,
    ResultFolder,
    Runs,
    Seed,
    SiteName,
    TextFile,
    Weight,
)
from experiments.shared.relaxation_options import RelaxationOptions
from experiments.shared.text import draw_sentences
from jaxmask.intervention import Kind, Place, Reach, Values
from jaxmask.models.language_model import LanguageModel
from jaxmask.objective import NoKL
from jaxmask.pipeline.plan import Design, Plan, Split, TextSample
from jaxmask.search import PAPER, SearchConfig
from jaxmask.text.examples import Task

TaskName = Literal["number_agreement", "gender_bias", "minimal_pairs"]
PRECISION = "highest"  # of products on accelerators, in scripts


Chosen = TypeVar("Chosen")


def suited(options: Chosen, model: LanguageModel) -> Chosen:
    """The options with what is usual for a model where nothing was chosen.

    These are its first site, its first context and its usual values.
    """
    usual = {
        "site": next(iter(model.sites)),
        "values": model.usual_values,
        "context": "bos" if getattr(options, "bos", False) else model.contexts[0],
    }
    missing = {name for name in usual if getattr(options, name, "") is None}
    return dataclasses.replace(options, **{name: usual[name] for name in missing})


def search_config(method: str) -> SearchConfig:
    """The settings of a search method before any option changes them."""
    config = SearchConfig()
    return config.replace(**PAPER) if method == "hard_concrete_paper" else config


def weighted(config: SearchConfig, kl_weight: float) -> SearchConfig:
    """The settings with another weight of the KL; one of weight 0 and without a limit is left out.

    Args:
        config: whose limit of the KL counts.
        kl_weight: of the KL.
    """
    config = config.replace(kl_weight=kl_weight)
    needed = kl_weight or config.kl_at_most is not None
    return config if needed else config.replace(kl=NoKL())


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Which model."""

    model: Model = "demo"
    """A model folder, that of a transformer as Hugging Face has it, a PyTorch checkpoint
    (with --vocab), or a bundled model: `demo`, an LSTM, or `demo-gpt2`, a transformer."""
    vocab: TextFile | None = None
    """Vocabulary of a PyTorch checkpoint: one word a line."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the matrices of a transformer; bfloat16 halves the memory of large ones."""
    divide: bool = False
    """Divide the weights of a transformer over all devices, as one can't hold them. All searches
    then use all devices together, instead of each device having some of the searches."""

    def load_model(self) -> LanguageModel:
        """The model that the options name."""
        return load_model_named(self.model, self.vocab, self.dtype, self.divide)


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Where the stimuli are from."""

    data: Data | None = None
    """Folder of the task's original files; if not given, the task is generated. For minimal pairs:
    their file."""


@dataclasses.dataclass(frozen=True)
class TaskOptions:
    """Which task."""

    task: TaskName = "number_agreement"
    """What to search for; minimal_pairs stands for a file of your own (--data)."""


@dataclasses.dataclass(frozen=True)
class ContextOptions:
    """What is read before a sentence."""

    context: Literal["eos", "none", "primer", "own", "bos"] | None = None
    """What the model reads before each sentence. An LSTM: eos (if not given), none, or primer: five
    sentences from the training text of Gulordava et al.'s model, which Lakretz et al. let it read
    before each sentence. A transformer: own (if not given), which is what its tokenizer puts there,
    bos, or none."""
    bos: bool = False
    """Short for --context bos: a transformer reads its beginning-of-sequence token before each
    sentence."""

    def context_name(self) -> str:
        """Name of the context; that of an LSTM if none was chosen, see `suited`.

        Raises:
            OptionError: --bos contradicts --context.
        """
        if self.bos and self.context not in (None, "bos"):
            raise OptionError(f"--bos: expected no other --context with it, found {self.context}")
        return "bos" if self.bos else self.context or Design().context


@dataclasses.dataclass(frozen=True)
class StateOptions:
    """What an intervention is, apart from its place."""

    site: SiteName | None = None
    """Which states are replaced; of an LSTM: hidden (if not given), cell, or hidden+cell; of a
    transformer: mlp (if not given), residual, or attention."""
    reach: Reach = "all"
    """Who reads the replaced states: everything that reads them in the untouched model (all), or
    only the next word and the decoder (time)."""
    values: Values | None = None
    """What a unit can be set to: any value (free; for an LSTM if not given), or only a value from
    its usual range (natural; for a transformer if not given)."""

    def kind_at(self, place: Place) -> Kind:
        """The kind of intervention; that of an LSTM where nothing was chosen, see `suited`.

        Args:
            place: where it acts.
        """
        usual = Kind()
        site, values = self.site or usual.site, self.values or usual.values
        return Kind(site, self.reach, values, place)


@dataclasses.dataclass(frozen=True)
class KindOptions(StateOptions):
    """What an intervention is."""

    place: Annotated[Place, tyro.conf.arg(aliases=["--intervention"])] = "single"
    """Intervene at the word that carries the feature (single), at every word of the sentence, or at
    its last word."""

    def kind(self) -> Kind:
        """The kind of intervention that the options ask for."""
        return self.kind_at(self.place)


@dataclasses.dataclass(frozen=True)
class StepOptions:
    """How long a search is."""

    steps: Count | None = None
    """Gradient steps of the relaxed search; the method's own number if not given."""
    rounds: CountOrZero | None = None
    """Rounds of exchanging units after these steps; the method's own number if not given."""

    def lengths(self) -> dict[str, int]:
        """The settings of `SearchConfig` that these options change."""
        given = {"steps": self.steps, "exchange_rounds": self.rounds}
        return {name: value for name, value in given.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class SplitOptions:
    """Which examples are held out."""

    evaluation: Count | None = None
    """Examples held out of the search, on which results are reported; as many as in the paper if
    not given: 1000 for number agreement, 200 for gender bias; a fifth of minimal pairs."""
    split: Literal["example", "word", "group"] = "example"
    """Hold out examples, as the paper did; or words: no subject (profession) is in both parts; or
    groups: no construction (template) is."""
    split_seed: Seed = 0
    """Seed of the choice of the examples that are held out."""
    development: CountOrZero = 0
    """Further examples to choose settings by: results are reported on these, and those of
    --evaluation aren't read."""

    def held_out(self) -> Split:
        """The split that the options ask for."""
        return Split(self.evaluation, self.split, self.split_seed, self.development)


@dataclasses.dataclass(frozen=True)
class TextOptions:
    """Ordinary text."""

    text: TextFile | None = None
    """Ordinary text, a sentence a line, plain or .xz, on which the KL is measured too."""
    text_sentences: Count = 200
    """How many sentences of the text are drawn."""

    def draw_text(self, seed: int) -> TextSample | None:
        """A sample of the text; None if no text is given.

        Raises:
            OptionError: the text can't be read, or holds no sentences to draw.
        """
        if self.text is None:
            return None
        try:
            drawn = draw_sentences(self.text, self.text_sentences, seed)
        except (OSError, EOFError, ValueError, lzma.LZMAError) as fault:
            raise OptionError(f"--text: {self.text}: expected sentences ({fault})") from fault
        if not drawn:
            raise OptionError(f"--text: {self.text}: expected sentences, found none")
        return TextSample(self.text.name, drawn, self.text_sentences)


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Where results go, and how products are computed."""

    precision: Literal["highest", "high", "default"] = PRECISION
    """Digits of matrix products on a GPU or TPU: all (highest) or fewer. Where small differences
    matter, products have all digits in any case."""
    checkpoint_minutes: Weight = 1.0
    """Minutes between checkpoints: started again, a run that was stopped goes on from the last."""
    out: ResultFolder | None = None
    """Folder for the results; results/TASK-MODEL-PLACE if not given."""


@dataclasses.dataclass(frozen=True)
class TrustOptions:
    """What is asked of what was found."""

    trust: Literal["fast", "all", "none"] = "fast"
    """Measures of what can be trusted: those that need no further search (fast), all of them, or
    none."""


@dataclasses.dataclass(frozen=True)
class SearchOptions(RelaxationOptions, StepOptions):
    """How to search."""

    alpha: Fraction = 0.02
    """Largest fraction of the units to intervene on, rounded down to whole units, at least one."""
    beta: Fraction | None = None
    """Largest mean probability that a gate is neither 0 nor 1 but between them; as alpha if not
    given."""
    kl_weight: Weight = 1.0
    """Weight of the KL from the untouched model; 0 leaves it out."""
    kl_at_most: PositiveWeight | None = None
    """Limit of this KL in nats; none if not given."""
    kl_positions: Literal["all", "elsewhere"] = "all"
    """Positions whose KL counts: all, or all but the target's, which has to change for a flip."""
    surrogate: Literal["share", "ratio", "log_ratio", "log1p_ratio"] | None = None
    """What is minimised in place of the number of unflipped decisions. With r = p(form that the
    untouched model prefers) / p(other form): ratio is r, log_ratio is log r, log1p_ratio is
    log(1 + r), share is r / (1 + r), in which no single pair outweighs the others. The method's own
    if not given."""
    method: Literal["hard_concrete", "hard_concrete_paper"] = "hard_concrete"
    """The full search, or a reading of the paper's: fixed target, no exchange of units."""
    shared_mask: bool = True
    """One mask for both directions, or one each."""
    seeds: Runs = 10
    """How many searches to run at once."""

    def config(self) -> SearchConfig:
        """The settings of the search that the options ask for."""
        config = search_config(self.method).replace(
            kl_at_most=self.kl_at_most, kl_positions=self.kl_positions
        )
        config = weighted(self.relaxed(config), self.kl_weight).replace(
            alpha=self.alpha,
            beta=self.beta,
            shared_mask=self.shared_mask,
            **self.lengths(),
        )
        return config if self.surrogate is None else config.replace(surrogate=self.surrogate)


@dataclasses.dataclass(frozen=True)
class PlanOptions(
    RunOptions,
    TextOptions,
    SplitOptions,
    SearchOptions,
    ContextOptions,
    KindOptions,
    DataOptions,
    ModelOptions,
):
    """Options of all scripts that search."""

    def load_model(self) -> LanguageModel:
        """The model that the options name, once they are checked.

        Raises:
            OptionError: an option is out of its range, or options contradict each other.
        """
        self.check()
        return super().load_model()

    def plan(self) -> Plan:
        """Everything that decides the results, as values.

        Raises:
            OptionError: an option is out of its range, or options contradict each other.
        """
        self.check()
        return Plan(
            config=self.config(),
            method=self.method,
            seeds=self.seeds,
            design=Design(self.kind(), self.context_name(), self.held_out(), data_name(self.data)),
            text=self.draw_text(self.split_seed),
        )

    def folder(self, task: Task, model: LanguageModel) -> Path:
        """The folder for the results."""
        return self.out or Path("results") / f"{task.name}-{model.name}-{self.kind().label}"

    def check(self) -> None:
        """Checks the options before any work is done.

        Raises:
            OptionError: an option is out of its range, or options contradict each other.
        """
        option_types.check(self)
        self.context_name()
        if self.method == "hard_concrete_paper" and self.rounds:
            raise OptionError(
                "--rounds: expected none with --method hard_concrete_paper, which exchanges no "
                f"units, found {self.rounds}"
            )


@dataclasses.dataclass(frozen=True)
class Options(TrustOptions, PlanOptions):
    """Options of the scripts that search once and report what was found."""

    prune: bool = False
    """Take units away from the found sets while their accuracy on training examples stays within
    half a point."""

    def plan(self) -> Plan:
        """Everything that decides the results, as values.

        Raises:
            OptionError: an option is out of its range, or options contradict each other.
        """
        return super().plan()._replace(prune=self.prune)
