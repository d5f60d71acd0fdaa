"""Which word of a sentence carries the feature, where a format doesn't say it."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from jaxmask.files.importers.contrasts import Contrast

# How positions were found, in words.
GIVEN = "where the file says"
TURNS = "another word there makes the other form right"
PARTNER = "the first word that differs from the sentence whose other form is right"
TELLS = "the word that goes best with the right form"
LAST = "the last word, as nothing says where it is"

# A word tells the right form if it is more common before it than chance would have it, with the
# right forms of the group as they are, in standard deviations; the first level that any word of a
# sentence reaches counts. Two of two reach one, if both directions are about equally common; one
# occurrence never does.
_LEVELS = (3.0, 2.0, 1.35)


class Position(NamedTuple):
    """A position and how it was found.

    Attributes:
        at: index of the word.
        how: one of `GIVEN`, `TURNS`, `PARTNER`, `TELLS` and `LAST`.
        paired: the same sentence with another word there, after which the other form is right;
            empty if the file has none.
    """

    at: int
    how: str
    paired: tuple[str, ...] = ()


def guess(
    contrasts: Sequence[Contrast], classes: Sequence[int], parts: Sequence[int] = ()
) -> list[Position]:
    """The position of the word that carries the feature, for each contrast.

    It is the word that the format names; or else the word whose exchange makes the other form
    right, in another sentence of the file; or else the first word that differs from another
    sentence of the same item whose other form is right; or else the word that goes best with the
    right form, over all sentences of the group; or else the last word.

    Args:
        contrasts: with the words before their forms.
        classes: the direction of the right form of each.
        parts: what the direction of each is tied to, see
            `jaxmask.files.importers.directions.Directions`; if not given, all of them are tied.

    Example:
        >>> one = Contrast(1, ("the", "author", "near", "it"), ("laughs", "laugh"), "prep")
        >>> other = Contrast(2, ("the", "authors", "near", "it"), ("laugh", "laughs"), "prep")
        >>> [position.at for position in guess([one, other], [0, 1])]
        [1, 1]
    """
    parts = parts or [0] * len(contrasts)
    seen = _Seen(contrasts, classes, parts)
    found = []
    for one, c, part in zip(contrasts, classes, parts, strict=True):
        if one.position is not None:
            found.append(Position(one.position, GIVEN, one.paired))
        elif not one.right:
            found.append(Position(len(one.words) - 1, LAST))
        else:
            found.append(seen.best(one, c, part))
    return found


class _Seen:
    """What all sentences of a file show about their right forms.

    Attributes:
        around: a sentence for each direction of right forms, by the words around a place, and by
            what the direction is tied to.
        items: the sentences of each line or item, with the directions of their right forms.
        tells: how often each word stands before right forms of either direction, in its group.
        rights: how many right forms each group has in either direction.
    """

    def __init__(
        self, contrasts: Sequence[Contrast], classes: Sequence[int], parts: Sequence[int]
    ) -> None:
        self.around: dict[tuple[int, int, int], tuple[str, ...]] = {}
        self.items: dict[int, list[tuple[tuple[str, ...], int]]] = defaultdict(list)
        self.tells: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        self.rights: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        of_group: dict[str, set[int]] = defaultdict(set)
        forms = {form for one in contrasts for form in one.pair}
        for one, c in zip(contrasts, classes, strict=True):
            of_group[one.group].add(c)
        self.mixed = {group for group, those in of_group.items() if len(those) > 1}
        for one, c, part in zip(contrasts, classes, parts, strict=True):
            if one.right and one.position is None:
                for key in _around(one):
                    self.around.setdefault((key, c, part), one.words)
                self.items[one.line].append((one.words, c))
                self.rights[self.group(one)][c] += 1
                for word in {*one.words} - forms:
                    self.tells[self.group(one), word][c] += 1

    def group(self, one: Contrast) -> str:
        """The group of a sentence; all groups in one, if a group has one direction only."""
        return one.group if one.group in self.mixed else ""

    def best(self, one: Contrast, c: int, part: int) -> Position:
        """The position in a sentence whose right form belongs to the direction ``c``.

        Of the words that tell the right form best, the first ones that stand side by side are
        taken, of these the ones that are most often right, and of these the rarest: a noun rather
        than its article or its verb. Where all right forms have one direction, no word tells it.
        """
        counts = [self.tells[self.group(one), word] for word in one.words]
        rights = self.rights[self.group(one)]
        share = rights[c] / sum(rights)
        weights = [_deviations(n[c], sum(n), share) for n in counts]
        turning = {
            place: self.around[key, 1 - c, part]
            for place, key in enumerate(_around(one))
            if self.around.get((key, 1 - c, part), one.words) != one.words
        }
        if turning:
            place = max(turning, key=lambda place: (weights[place], -place))
            return Position(place, TURNS, turning[place])
        for words, other in self.items[one.line]:
            if other != c and len(words) == len(one.words) and words != one.words:
                both = zip(words, one.words, strict=True)
                place = next(n for n, (a, b) in enumerate(both) if a != b)
                return Position(place, PARTNER, words)
        level = next((level for level in _LEVELS if max(weights) >= level), None)
        if level is None:
            return Position(len(one.words) - 1, LAST)
        telling = [place for place, weight in enumerate(weights) if weight >= level]
        together = [place for n, place in enumerate(telling) if place == telling[0] + n]
        best = min(together, key=lambda at: (-counts[at][c] / sum(counts[at]), sum(counts[at])))
        return Position(best, TELLS)


def _deviations(found: int, of: int, share: float) -> float:
    """By how many standard deviations a count exceeds a share of ``of``; 0 if it says nothing."""
    spread = math.sqrt(of * share * (1 - share))
    return (found - of * share) / spread if spread and of > 1 else 0.0


def _around(one: Contrast) -> list[int]:
    """For each word, a hash of the words before and after it, which takes little memory."""
    return [hash((one.words[:place], one.words[place + 1 :])) for place in range(len(one.words))]
