"""Agreement in sentences that nobody made up: minimal pairs out of ordinary text.

A surface rule finds verbs whose subject has an attractor, as in "The keys to the cabinet are": a
noun after its determiner, a preposition, another noun, and then the verb. The sentence up to the
verb and the other form of the verb make a minimal pair. The rule knows no grammar, so that it
misses most sentences and is sometimes wrong: a verb that doesn't agree with the noun that the rule
takes for its subject is left out and counted.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from jaxmask.tasks.number_agreement import DIRECTIONS, OTHERS
from jaxmask.text.examples import LONGEST, Stimulus, Task, word_list

VERBS = (
    ("is", "are"),
    ("was", "were"),
    ("has", "have"),
    ("does", "do"),
    *((verb + "s", verb) for verb in OTHERS["VERB"]),
)
IRREGULAR = (("man", "men"), ("woman", "women"), ("child", "children"), ("person", "people"))
OF_ONE = frozenset(word_list("a an this that each every another one"))
OF_MANY = frozenset(word_list("these those many several both few two three four five six"))
OF_EITHER = frozenset(word_list("the my your his her its our their some all no"))
DETERMINERS = OF_ONE | OF_MANY | OF_EITHER
PREPOSITIONS = frozenset(
    word_list(
        "of in on at near behind beside above under with without from to for by between among "
        "against about around inside outside over within across through during after before"
    )
)
BOUNDARIES = frozenset(
    {*',;:("', *word_list("and but that because when if while although as where")}
)
MOST_BETWEEN = 2  # words between a determiner or a preposition and its noun
LEAST_SEEN, LEAST_RATIO = 5, 5  # how often a noun is seen with a number, and beside the other
DISAGREES = "verbs of another number than the noun that the rule takes for their subject"


class Nouns(NamedTuple):
    """Nouns of which both forms are known.

    Attributes:
        number: 0 for singular forms, 1 for plural ones.
        other: the other form of each form.

    Example:
        >>> nouns = both_forms([("key", "keys")])
        >>> nouns.number["keys"], nouns.other["keys"]
        (1, 'key')
    """

    number: Mapping[str, int]
    other: Mapping[str, str]


def both_forms(pairs: Iterable[tuple[str, str]]) -> Nouns:
    """Nouns by their forms.

    Args:
        pairs: singular and plural of each noun.

    Example:
        See `Nouns`.
    """
    number: dict[str, int] = {}
    other: dict[str, str] = {}
    for singular, plural in pairs:
        number |= {singular: 0, plural: 1}
        other |= {singular: plural, plural: singular}
    return Nouns(number, other)


def find_nouns(sentences: Iterable[Sequence[str]]) -> list[tuple[str, str]]:
    """Singular and plural of the regular nouns of a text, by the determiners before them.

    A word is a noun if it follows words such as "a" or "this", its plural in -s, -es or -ies
    follows words such as "these" or "many", each at least `LEAST_SEEN` times, and `LEAST_RATIO`
    times as often as with determiners of the other number.

    Args:
        sentences: the words of each.

    Example:
        >>> text = [["a", "key"], ["these", "keys"], ["this", "is"]] * 5
        >>> find_nouns(text)
        [('key', 'keys')]
    """
    of_one, of_many = Counter[str](), Counter[str]()
    for words in sentences:
        for before, word in pairwise(words):
            lower = before.lower()
            if lower in OF_ONE:
                of_one[word] += 1
            elif lower in OF_MANY:
                of_many[word] += 1
    found = []
    for singular in sorted(of_one):
        plural = max(_plurals(singular), key=lambda form: of_many[form])
        enough = min(of_one[singular], of_many[plural]) >= LEAST_SEEN
        if (
            enough
            and singular.isalpha()
            and singular.islower()
            and of_one[singular] >= LEAST_RATIO * of_many[singular]
            and of_many[plural] >= LEAST_RATIO * of_one[plural]
        ):
            found.append((singular, plural))
    return found


def _plurals(singular: str) -> list[str]:
    more = [singular[:-1] + "ies"] if singular.endswith("y") else []
    return [singular + "s", singular + "es", *more]


class Match(NamedTuple):
    """Where the rule finds a subject, its attractor and their verb.

    Attributes:
        determiner: index of the word before the subject and its modifiers.
        subject: index of the noun that the rule takes for the subject.
        attractor: index of the noun before the verb.
        verb: index of the verb.

    Example:
        >>> nouns = both_forms([("key", "keys"), ("cabinet", "cabinets")])
        >>> next(matches("The keys to the cabinet are".split(), nouns, {"are"}))
        Match(determiner=0, subject=1, attractor=4, verb=5)
    """

    determiner: int
    subject: int
    attractor: int
    verb: int


def matches(words: Sequence[str], nouns: Nouns, verbs: Collection[str]) -> Iterator[Match]:
    """Where the rule finds verbs whose subject has an attractor.

    The words before a verb are: a determiner, which begins the sentence or follows one of
    `BOUNDARIES`; at most two other words; a noun; a preposition; a determiner or none; at most two
    other words; a noun. Other words are letters only and neither determiners, nouns, prepositions
    nor one of the verbs.

    Args:
        words: of a sentence.
        nouns: that count as nouns.
        verbs: forms that count as verbs.

    Example:
        See `Match`.
    """

    def determines(at: int) -> bool:
        return words[at].lower() in DETERMINERS

    def modifies(at: int) -> bool:
        word = words[at]
        fixed = word in nouns.number or word in verbs or word.lower() in PREPOSITIONS
        return word.isalpha() and not fixed and not determines(at)

    def before_modifiers(noun: int) -> int:
        """The index of the last word before a noun and its modifiers; -1 if there is none."""
        at = noun - 1
        while at >= 0 and noun - at <= MOST_BETWEEN and modifies(at):
            at -= 1
        return at

    for verb in range(4, len(words)):
        attractor = verb - 1
        if words[verb] not in verbs or words[attractor] not in nouns.number:
            continue
        preposition = before_modifiers(attractor)
        preposition -= preposition >= 0 and determines(preposition)
        subject = preposition - 1
        if subject < 1 or words[preposition].lower() not in PREPOSITIONS:
            continue
        determiner = before_modifiers(subject)
        if words[subject] not in nouns.number or determiner < 0 or not determines(determiner):
            continue
        if determiner == 0 or words[determiner - 1].lower() in BOUNDARIES:
            yield Match(determiner, subject, attractor, verb)


def find_pairs(
    sentences: Iterable[Sequence[str]],
    nouns: Nouns,
    verbs: Sequence[tuple[str, str]] = VERBS,
    name: str = "natural_agreement",
) -> Task:
    """Minimal pairs of agreement out of text, each once.

    A pair has the sentence up to the verb, both forms of the verb, and the position of the subject.
    Its group says which verb it is and whether the attractor has the subject's number. If the
    determiner fits both numbers, the sentence with the subject's other form is its counterfactual.

    Args:
        sentences: the words of each.
        nouns: that may be subjects and attractors.
        verbs: singular and plural of each verb.
        name: of the task.

    Example:
        >>> nouns = both_forms([("key", "keys"), ("cabinet", "cabinets")])
        >>> task = find_pairs(["The keys to the cabinet are on the table".split()], nouns)
        >>> pair = task.stimuli[0]
        >>> " ".join(pair.words), pair.pair, pair.correct, pair.group
        ('The keys to the cabinet', ('is', 'are'), 1, 'is/are, other number')
    """
    forms = {form: (pair, number) for pair in verbs for number, form in enumerate(pair)}
    found: dict[tuple[tuple[str, ...], tuple[str, str]], Stimulus] = {}
    disagree = 0
    for words in sentences:
        for match in matches(words, nouns, forms):
            if match.verb > LONGEST:
                continue
            pair, number = forms[words[match.verb]]
            if number != nouns.number[words[match.subject]]:
                disagree += 1
                continue
            one = _stimulus(words, match, nouns, pair)
            found.setdefault((one.words, pair), one)
    return Task(name, DIRECTIONS, list(found.values()), left_out=((DISAGREES, disagree),))


def _stimulus(words: Sequence[str], match: Match, nouns: Nouns, pair: tuple[str, str]) -> Stimulus:
    start, subject = tuple(words[: match.verb]), words[match.subject]
    number = nouns.number[subject]
    same = nouns.number[words[match.attractor]] == number
    paired: tuple[tuple[str, ...], ...] = ()
    if words[match.determiner].lower() in OF_EITHER:
        changed = (*start[: match.subject], nouns.other[subject], *start[match.subject + 1 :])
        paired = (start, changed) if number == 0 else (changed, start)
    group = f"{'/'.join(pair)}, {'same' if same else 'other'} number"
    return Stimulus(start, match.subject, pair, number, group, paired)
