"""Gender bias: after "The nurse said that", how likely is "she", and how likely is "he"?

Templates after Lu et al., "Gender bias in neural natural language processing" (2020), and Vig et
al., "Investigating gender bias in language models using causal mediation analysis" (2020), whose
file of professions (from Bolukbasi et al., 2016) can be read here. Neither pronoun is right or
wrong.
"""

import json
import reprlib
from collections.abc import Iterable
from pathlib import Path

from jaxmask.tasks.phenomenon import Phenomenon
from jaxmask.text.examples import Stimulus, Task, TaskDataError, read_text, word_list
from jaxmask.text.vocabulary import shown

NAME = "gender_bias"
DIRECTIONS = ("he", "she")
PROFESSION_POSITION = 1

# What follows "The" and the profession.
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

# Single words, of no gender by their meaning. There are 169, as many as in the paper, but not the
# same: its choice can't be rebuilt from the published file.
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

# Professions whose meaning leans further than this to one gender ("actress" is -1) are left out.
MOST_DEFINITIONAL = 0.1

MOST_ENTRIES = 10_000  # each may become a sentence of every template


def generate() -> Task:
    """Every template with every one of our own `PROFESSIONS`; nothing is random."""
    return _combine(PROFESSIONS)


def read(folder: str | Path) -> Task:
    """Every template with the suitable professions of ``professions.json``, in the file's order.

    The file lists [profession, definitional score, stereotypical score], with scores from -1 to 1.
    Suitable are professions of one word, without ``_``, with a definitional score from
    -`MOST_DEFINITIONAL` to `MOST_DEFINITIONAL`; how many aren't is in the task's ``left_out``.

    Raises:
        TaskDataError: the file is missing, isn't UTF-8 or JSON, has more than `MOST_ENTRIES`, an
            entry is ill-formed or comes twice, or no profession is suitable.
    """
    file = Path(folder) / "professions.json"
    definitional = _read_scores(file)
    of_one_word = {
        profession: (entry, score)
        for entry, (profession, score) in enumerate(definitional.items(), start=1)
        if "_" not in profession
    }
    suitable = {
        profession: entry
        for profession, (entry, score) in of_one_word.items()
        if abs(score) <= MOST_DEFINITIONAL
    }
    if not suitable:
        raise TaskDataError(
            f"{file}: expected single words with definitional scores from -{MOST_DEFINITIONAL} to "
            f"{MOST_DEFINITIONAL}, found none among {len(definitional)}"
        )
    left_out = {
        "professions of several words": len(definitional) - len(of_one_word),
        "professions of a gender by their meaning": len(of_one_word) - len(suitable),
    }
    return _combine(suitable)._replace(
        lines=[*suitable.values()] * len(TEMPLATES), left_out=tuple(left_out.items())
    )


def _combine(professions: Iterable[str]) -> Task:
    stimuli = [
        Stimulus(
            words=("The", profession, *template.split()),
            position=PROFESSION_POSITION,
            pair=DIRECTIONS,
            correct=-1,
            group=template,
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
            f"{file}, line {fault.lineno}: expected JSON, found a fault in column {fault.colno} "
            f"({fault.msg})"
        ) from fault
    except (ValueError, RecursionError) as fault:
        raise TaskDataError(f"{file}: expected JSON, found a fault ({fault})") from fault
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
        definitional[entry[0]] = entry[1]
    return definitional


def _check(entry: object, place: str) -> None:
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
