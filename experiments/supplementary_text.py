"""Writes text that helps a small model to learn a task from a small corpus.

    python -m experiments.supplementary_text --text CORPUS/train.txt.xz --out FOLDER

FOLDER/verbs.txt gets the sentences of the corpus that contain a verb of the number agreement task
in the present tense, FOLDER/she.txt those with "she" and without "he", and FOLDER/generated.txt
sentences that are generated from the words of the task and others. No generated sentence begins
like a sentence of the task, with "The". Name these files after the corpus when you train a model.
"""

import dataclasses
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from experiments.shared.option_types import CountOrZero, NotEmpty, ResultFolder, Seed, TextFile
from experiments.shared.script import run_script
from experiments.shared.text import open_text
from jaxmask.tasks.number_agreement import NOUNS, OTHERS
from jaxmask.text.examples import word_list

Pair = tuple[str, str]  # singular, plural


def task_nouns(kind: str) -> list[Pair]:
    """The nouns of the task, which are either its subjects or its attractors."""
    return list(zip(NOUNS[kind]["singular"], NOUNS[kind]["plural"], strict=True))


def nouns(text: str) -> list[Pair]:
    """Both forms of nouns that are given in the singular."""
    return [(word, word + "s") for word in word_list(text)]


def verbs(words: Iterable[str]) -> list[Pair]:
    """Both forms of verbs that are given in the plural."""
    return [(word + "s", word) for word in words]


VERBS = verbs(OTHERS["VERB"])
MORE_VERBS = verbs(word_list("love like want need see help follow visit support teach play write"))
MORE_NOUNS = nouns("king student writer brother sister player soldier queen actor artist")
SUBJECTS = [*task_nouns("SUBJECT"), *MORE_NOUNS]
ATTRACTORS = [*task_nouns("ATTRACTOR"), *SUBJECTS]
PREPOSITIONS = (*OTHERS["PREPOSITION"], "with", "from", "without", "at", "beneath", "opposite")
ADVERBS = (
    *OTHERS["ADVERB"],
    *OTHERS["MANNER"],
    *OTHERS["INTENTION"],
    *word_list("often usually never always also clearly really still rarely"),
)
STARTS = ("But the", "And the", "Today the", "Here the", "In this story the", "When the")
DETERMINERS = (
    ("This", "That", "My", "Our", "Your", "His", "Her", "Every", "Each", "Another", "One"),
    ("These", "Those", "My", "Our", "Your", "His", "Her", "Many", "Some", "Several", "Two"),
)


@dataclasses.dataclass(frozen=True)
class SupplementaryOptions:
    """Options of the script."""

    text: Annotated[tuple[TextFile, ...], NotEmpty]
    """Corpus files, plain or .xz, with one sentence in each line."""
    out: ResultFolder
    """Folder for verbs.txt, she.txt and generated.txt."""
    generated: CountOrZero = 60_000
    """Number of generated sentences."""
    seed: Seed = 0
    """Seed of these sentences."""


def between(rng: random.Random) -> str:
    """The words between subject and verb: none, adverbs, or a phrase with a noun or a name."""
    adverb, another = rng.sample(ADVERBS, 2)
    attractor = rng.choice(rng.choice(ATTRACTORS))
    phrase = f"{rng.choice(PREPOSITIONS)} the {attractor}"
    return rng.choice(
        (
            "",
            adverb,
            f"{rng.choice(OTHERS['INTENSIFIER'])} {adverb}",
            f"{adverb} and {another}",
            f"{rng.choice(PREPOSITIONS)} {rng.choice(OTHERS['NAME'])}",
            phrase,
            phrase,
            f"{phrase} {adverb}",
        )
    )


def generate(rng: random.Random) -> str:
    """A random sentence whose verb agrees with its subject."""
    number = rng.choice((0, 1))
    start = rng.choice(STARTS) if rng.random() < 0.5 else rng.choice(DETERMINERS[number])
    subject = rng.choice(SUBJECTS)[number]
    verb = rng.choice(VERBS if rng.random() < 0.8 else MORE_VERBS)[number]
    names = OTHERS["NAME"]
    patient = (
        f"the {rng.choice(rng.choice(ATTRACTORS))}" if rng.random() < 0.7 else rng.choice(names)
    )
    return " ".join(f"{start} {subject} {between(rng)} {verb} {patient} .".split())


def select(files: Iterable[Path], words: set[str], without: set[str]) -> Iterator[str]:
    """The sentences of a corpus that contain one of ``words`` and none of ``without``."""
    for file in files:
        with open_text(file) as lines:
            for line in lines:
                present = set(line.split())
                if words & present and not without & present:
                    yield line.strip()


def work(options: SupplementaryOptions) -> None:
    """Writes the three files."""
    rng = random.Random(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, sentences in (
        ("verbs", select(options.text, {form for pair in VERBS for form in pair}, set())),
        ("she", select(options.text, {"she"}, {"he", "He"})),
        ("generated", (generate(rng) for _ in range(options.generated))),
    ):
        lines = [line + "\n" for line in sentences]
        (options.out / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
        print(f"{name}: {len(lines):,} sentences, {sum(len(x.split()) for x in lines):,} words")


def main() -> None:
    """Reads the options and writes the files."""
    run_script(SupplementaryOptions, "supplementary_text", __doc__, work)


if __name__ == "__main__":
    main()
