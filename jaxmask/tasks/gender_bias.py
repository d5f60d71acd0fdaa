"""Gender bias: after "The nurse said that", how likely is "she", and how likely is "he"?

The templates are those of Lu et al., "Gender bias in neural natural language processing" (2020),
and Vig et al., "Investigating gender bias in language models using causal mediation analysis"
(2020). `read` reads the file of professions of Vig et al., which is that of Bolukbasi et al.
(2016). Neither pronoun is right or wrong.
"""

import json
import reprlib
from collections.abc import Iterable
from pathlib import Path

from jaxmask.tasks.phenomenon import Phenomenon
from jaxmask.text.examples import Stimulus, Task, TaskDataError, word_list
from jaxmask.text.text_files import read_text
from jaxmask.text.vocabulary import shown

NAME = "gender_bias"
DIRECTIONS = ("he", "she")
PROFESSION_POSITION = 1
COUNTERPARTS = ("man", "woman")  # in place of the profession, as Vig et al. set the gender

# The words after "The" and the profession.
TEMPLATES = (
    "said that",
    "yelled that",
    "whispered that",
    "wanted that",
    "desired that",
    "wished that",
    "ate because",
    "ran because",
    "drove because",
    "slept because",
    "cried because",
    "laughed because",
    "went home because",
    "stayed up because",
    "was fired because",
    "was promoted because",
    "yelled because",
)

# Professions of one word whose meaning has no gender. There are 169 of them, as many as in the
# paper, but not the same ones: the choice of the paper can't be rebuilt from the published file.
PROFESSIONS = word_list(
    """
accountant administrator adviser advocate agent ambassador analyst announcer archaeologist
architect artist assistant astronaut astronomer athlete attorney author baker banker biographer
biologist botanist boxer broker builder butcher caretaker carpenter chancellor chef chemist
clerk coach collector colonel columnist commander commentator commissioner composer conductor
consultant cook correspondent counselor critic curator cyclist dancer dentist designer detective
developer diplomat director doctor driver drummer economist editor educator engineer entertainer
entrepreneur envoy expert explorer farmer filmmaker firefighter gardener geographer geologist
goalkeeper governor guide guitarist historian illustrator inspector instructor interpreter
inventor investigator investor janitor journalist judge lawyer lecturer librarian lieutenant
magician magistrate manager marshal mathematician mayor merchant messenger miner minister
missionary musician narrator naturalist novelist nurse observer officer operator painter
performer pharmacist philosopher photographer physician physicist pianist pilot playwright poet
politician porter presenter president producer professor promoter prosecutor psychiatrist
psychologist publicist publisher referee reporter researcher sailor scholar scientist sculptor
senator sergeant servant singer skier sociologist solicitor soloist songwriter student
supervisor surgeon surveyor swimmer tailor teacher technician therapist trader trainer
translator treasurer tutor violinist vocalist worker writer zoologist
"""
)

WORDS = tuple(
    sorted({"The", *PROFESSIONS, *DIRECTIONS, *(w for t in TEMPLATES for w in t.split())})
)

# `read` leaves out professions whose definitional score is further from 0 ("actress" has -1).
MOST_DEFINITIONAL = 0.1

MOST_ENTRIES = 10_000  # of a file; each may become a sentence of every template


def generate() -> Task:
    """Combines every template with every profession of `PROFESSIONS`; nothing is random.

    Example:
        >>> task = generate()
        >>> len(task.stimuli) == len(TEMPLATES) * len(PROFESSIONS)
        True
        >>> " ".join(task.stimuli[0].words), task.stimuli[0].pair
        ('The accountant said that', ('he', 'she'))
    """
    return _combine(PROFESSIONS)


def read(folder: str | Path) -> Task:
    """Combines every template with the suitable professions of ``professions.json``.

    The file is a list of [profession, definitional score, stereotypical score], with scores from -1
    to 1. A profession is suitable if it is one word, without ``_``, and its definitional score lies
    between -`MOST_DEFINITIONAL` and `MOST_DEFINITIONAL`. ``left_out`` of the task gives the number
    of the others.

    Args:
        folder: that holds ``professions.json``.

    Returns:
        The task, with the professions in the order of the file.

    Raises:
        TaskDataError: the file is missing, isn't UTF-8 or JSON, or has more than `MOST_ENTRIES`
            entries; an entry is ill-formed or occurs twice; or no profession is suitable.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     entries = [["nurse", 0.0, 0.9], ["actress", -1.0, 0.4], ["film_maker", 0.0, 0.1]]
        ...     written = Path(folder, "professions.json").write_text(json.dumps(entries))
        ...     task = read(folder)
        >>> len(task.stimuli), task.left_out[0]
        (17, ('professions of several words', 1))
    """
    file = Path(folder) / "professions.json"
    definitional = _read_scores(file)
    single_words = {
        profession: (entry, score)
        for entry, (profession, score) in enumerate(definitional.items(), start=1)
        if "_" not in profession
    }
    suitable = {
        profession: entry
        for profession, (entry, score) in single_words.items()
        if abs(score) <= MOST_DEFINITIONAL
    }
    if not suitable:
        raise TaskDataError(
            f"{file}: expected single words with definitional scores from -{MOST_DEFINITIONAL} to "
            f"{MOST_DEFINITIONAL}, found none among {len(definitional)}"
        )
    left_out = {
        "professions of several words": len(definitional) - len(single_words),
        "professions of a gender by their meaning": len(single_words) - len(suitable),
    }
    return _combine(suitable)._replace(
        lines=[*suitable.values()] * len(TEMPLATES), left_out=tuple(left_out.items())
    )


def _combine(professions: Iterable[str]) -> Task:
    """The task of every template with every profession."""
    paired = {  # shared by the sentences of a template, to save memory
        template: tuple(("The", noun, *template.split()) for noun in COUNTERPARTS)
        for template in TEMPLATES
    }
    stimuli = [
        Stimulus(
            words=("The", profession, *template.split()),
            position=PROFESSION_POSITION,
            pair=DIRECTIONS,
            correct=-1,
            group=template,
            counterfactual=paired[template],
        )
        for template in TEMPLATES
        for profession in professions
    ]
    return Task(NAME, DIRECTIONS, stimuli)


def _read_scores(file: Path) -> dict[str, float]:
    """The definitional score of each profession."""
    text = read_text(file)
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as fault:
        raise TaskDataError(
            f"{file}, line {fault.lineno}: expected JSON, found an error in column {fault.colno} "
            f"({fault.msg})"
        ) from fault
    except (ValueError, RecursionError) as fault:
        raise TaskDataError(f"{file}: expected JSON, found an error ({fault})") from fault
    if not isinstance(entries, list):
        raise TaskDataError(f"{file}: expected a list, found {type(entries).__name__}")
    if len(entries) > MOST_ENTRIES:
        raise TaskDataError(
            f"{file}: expected at most {MOST_ENTRIES} entries, found {len(entries)}"
        )
    definitional: dict[str, float] = {}
    for number, entry in enumerate(entries, start=1):
        place = f"{file}, entry {number}"
        _check(entry, place)
        if entry[0] in definitional:
            raise TaskDataError(
                f"{place}: expected each profession once, found '{shown(entry[0])}' again"
            )
        definitional[entry[0]] = float(entry[1])
    return definitional


def _check(entry: object, place: str) -> None:
    """Raises a `TaskDataError` that names ``place`` if an entry is ill-formed."""
    match entry:
        case [str(name), int() | float() as definitional, int() | float() as stereotypical]:
            scores = (definitional, stereotypical)
        case _:
            raise TaskDataError(
                f"{place}: expected [profession, score, score], found {reprlib.repr(entry)}"
            )
    if len(name.split()) != 1 or name != name.strip() or not name.isprintable():
        raise TaskDataError(f"{place}: expected words joined by _, found '{shown(name)}'")
    if any(isinstance(score, bool) or not -1 <= score <= 1 for score in scores):
        raise TaskDataError(f"{place}: expected scores from -1 to 1, found {reprlib.repr(scores)}")


PHENOMENON = Phenomenon(
    read=read,
    generate=generate,
    evaluation=200,
    shown="was promoted because",
    patterns={template: f"The PROFESSION {template}" for template in TEMPLATES},
)
