"""A contrast: the same words, then one of two forms."""

import functools
import re
import unicodedata
from typing import Any, Literal, NamedTuple

from jaxmask.tasks.minimal_pairs import Note

SAME = "pairs of equal sentences"
NO_WORDS_BEFORE = "sentences that differ in their first word"
SEVERAL_WORDS = "sentences that differ in more than one word"
SEVERAL_IN_FORM = "pairs whose forms aren't one word each"
NO_TEXT = "rows without the text of their sentences"

_LAST_MARK = 0x1F000  # marks of scripts are below
_END = ".,;:!?"


@functools.cache
def _tokens() -> re.Pattern[str]:
    """A word or a character of punctuation, where these stand apart.

    Words are: 's and the like; l' and qu' of French; <unk>; @-@; and a word with what is inside it
    (don't, well-known, 3.5). Vowels and accents that are marks of their own, and joiners, belong to
    words, too, though not to what ``re`` takes for letters.
    """
    marks = "".join(
        char for char in map(chr, range(_LAST_MARK)) if unicodedata.category(char) in ("Mn", "Mc")
    )
    letter = rf"[\w\u200c\u200d{marks}]"
    return re.compile(
        rf"(?i:[cdjlmnst]|qu)['\u2019](?!{letter}(?!{letter}))|['\u2019](?:s|ve|re|ll|m|d)(?!{letter})"
        rf"|<[^<>\s]+>|@[-.,]@|{letter}+(?:(?!['\u2019]s(?!{letter}))['\u2019.,/-]{letter}+)*|\S"
    )


class Contrast(NamedTuple):
    """A sentence up to its target word, and the two forms that compete for that place.

    Attributes:
        line: the line or row that it was read from.
        words: of the sentence before the target word.
        pair: the two forms; if one is right, it is the first.
        group: name of the construction.
        right: is the first form right?
        first: the form of the first direction, where the format says it; otherwise empty.
        position: index of the word that carries the feature, where the format says it.
        paired: the words of the same sentence with the other form right, where the format has it.

    Example:
        >>> Contrast(1, ("the", "author"), ("laughs", "laugh"), "simple").right
        True
    """

    line: int
    words: tuple[str, ...]
    pair: tuple[str, str]
    group: str
    right: bool = True
    first: str = ""
    position: int | None = None
    paired: tuple[str, ...] = ()


class Spelling(NamedTuple):
    """How text becomes words.

    Attributes:
        punctuation: ``apart`` makes words of commas, full stops and 's, as models of words read
            them; ``attached`` leaves them where they are, as models of subwords read them.
        case: ``keep``; ``capital`` gives each sentence a capital; ``lower`` takes all capitals
            away.

    Example:
        >>> Spelling().words("Then, Amber's cat can't see .")
        ('Then', ',', 'Amber', "'s", 'cat', "can't", 'see', '.')
        >>> Spelling("attached", "capital").words("then, Amber can't see.")
        ('Then,', 'Amber', "can't", 'see.')
    """

    punctuation: Literal["apart", "attached"] = "apart"
    case: Literal["keep", "capital", "lower"] = "keep"

    def words(self, text: str) -> tuple[str, ...]:
        """The words of a sentence."""
        text = unicodedata.normalize("NFC", text.strip())
        if self.case == "lower":
            text = text.lower()
        elif self.case == "capital":
            text = text[:1].upper() + text[1:]
        return tuple(_tokens().findall(text) if self.punctuation == "apart" else text.split())

    def form(self, text: str) -> tuple[str, ...]:
        """The words of a form; punctuation after it belongs to no form."""
        text = unicodedata.normalize("NFC", text.lower() if self.case == "lower" else text)
        text = text.strip().rstrip(_END)
        return tuple(_tokens().findall(text) if self.punctuation == "apart" else text.split())


def of_forms(
    line: int, before: Any, forms: tuple[Any, Any], group: str, spelling: Spelling
) -> Contrast | Note:
    """A contrast of two forms after the same words; a note if there is none.

    Args:
        line: of the file.
        before: the words before.
        forms: the right one first.
        group: name of the construction.
        spelling: how text becomes words.

    Example:
        >>> of_forms(1, "The author", (" laughs", " laugh"), "simple", Spelling()).pair
        ('laughs', 'laugh')
    """
    if not all(isinstance(text, str) for text in (before, *forms)):
        return Note(line, NO_TEXT)
    words = spelling.words(before)
    one, other = map(spelling.form, forms)
    if not words:
        return Note(line, NO_WORDS_BEFORE)
    if len(one) != 1 or len(other) != 1:
        return Note(line, SEVERAL_IN_FORM)
    if one == other:
        return Note(line, SAME)
    return Contrast(line, words, (one[0], other[0]), group)


def of_sentences(line: int, good: Any, bad: Any, group: str, spelling: Spelling) -> Contrast | Note:
    """The contrast of two sentences that differ in one word; a note if they don't.

    Args:
        line: of the file.
        good: the right sentence.
        bad: the other one.
        group: name of the construction.
        spelling: how text becomes words.

    Example:
        >>> contrast = of_sentences(1, "The cat sleeps.", "The cat sleep.", "simple", Spelling())
        >>> contrast.words, contrast.pair
        (('The', 'cat'), ('sleeps', 'sleep'))
    """
    if not isinstance(good, str) or not isinstance(bad, str):
        return Note(line, NO_TEXT)
    right, wrong = spelling.words(good), spelling.words(bad)
    if right == wrong:
        return Note(line, SAME)
    pairs = list(zip(right, wrong, strict=False))
    place = next((place for place, (a, b) in enumerate(pairs) if a != b), len(pairs))
    if place == 0:
        return Note(line, NO_WORDS_BEFORE)
    if len(right) != len(wrong) or right[place + 1 :] != wrong[place + 1 :]:
        return Note(line, SEVERAL_WORDS)
    forms = right[place], wrong[place]
    if spelling.punctuation == "attached":
        forms = forms[0].rstrip(_END), forms[1].rstrip(_END)
    if "" in forms or forms[0] == forms[1]:
        return Note(line, SEVERAL_IN_FORM)
    return Contrast(line, right[:place], forms, group)


def changed_word(one: tuple[str, ...], other: tuple[str, ...]) -> int | None:
    """The index of the only word in which two sentences differ; None if there is no such word.

    Example:
        >>> changed_word(("The", "boys", "near"), ("The", "boy", "near"))
        1
    """
    if len(one) != len(other):
        return None
    places = [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    return places[0] if len(places) == 1 else None
