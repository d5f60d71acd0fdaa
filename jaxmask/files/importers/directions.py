"""Which form belongs to which direction, where a format doesn't say it.

An intervention toward a direction sets units to the same values in all sentences. Forms therefore
have to be divided into two classes: *laughs* and *is* against *laugh* and *are*, not right against
wrong. Two forms of one pair belong to different classes. That divides all forms which are connected
by pairs; then each connected part is turned so that singular, or male, comes first; parts for which
nothing is known are turned so that similar sentences have right forms of one class.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from jaxmask.files.importers.contrasts import Contrast
from jaxmask.tasks.minimal_pairs import LONGEST_NAME, OPTIONAL, REQUIRED, RESERVED

NUMBER = ("singular", "plural")
GENDER = ("male", "female")

_VERBS = {
    "is": "are", "was": "were", "has": "have", "does": "do", "isn't": "aren't",
    "wasn't": "weren't", "hasn't": "haven't", "doesn't": "don't", "goes": "go",
}  # fmt: skip
_OTHERS = {"this": "these", "himself": "themselves", "herself": "themselves",
           "itself": "themselves"}  # fmt: skip
_GENDERS = {"he": "she", "him": "her", "his": "her", "himself": "herself"}
# Words after which a noun is singular or plural; "that" also begins clauses, so it isn't here.
_SINGULAR = {"this", "a", "an", "each", "every", "one", "another", "is", "was", "does", "has"}
_PLURAL = {"these", "those", "many", "few", "several", "both", "two", "three", "all", "are",
           "were", "do", "have"}  # fmt: skip
_NEAR = 3  # so many words before a form may be such a word
_NOUNS = 0.9  # share of forms with -s after plural words from which they are nouns


class Directions(NamedTuple):
    """The two classes of forms.

    Attributes:
        names: of the directions.
        side: 0 or 1 for each form that belongs to a direction.
        guess: what the division rests on, in words.
        part: for each form, a number that it shares with the forms to which its direction is tied:
            by pairs, or because it is known of both. How forms of different numbers stand to each
            other is a guess. 0 for forms that aren't in it.

    Example:
        See `guess`.
    """

    names: tuple[str, str]
    side: Mapping[str, int]
    guess: str
    part: Mapping[str, int] = MappingProxyType({})


def given(contrasts: Iterable[Contrast], names: tuple[str, str]) -> Directions:
    """The classes of a format that says which form of each pair comes first.

    There a form may belong to both directions, as a name is mentioned first or second; sides are
    those of the last pair, and each pair has its own in `Contrast.first`.

    Example:
        >>> one = Contrast(1, ("the", "author"), ("laughs", "laugh"), "simple", first="laughs")
        >>> given([one], ("singular", "plural")).side
        {'laughs': 0, 'laugh': 1}
    """
    side = {form: int(form != one.first) for one in contrasts for form in one.pair}
    return Directions(names, side, "the file says which form belongs to which direction")


def guess(contrasts: Sequence[Contrast]) -> Directions:
    """Divides forms into two classes.

    Args:
        contrasts: at least one.

    Example:
        >>> words = ("the", "author")
        >>> pairs = [("laughs", "laugh"), ("is", "are"), ("smile", "smiles")]
        >>> found = guess([Contrast(1, words, pair, "simple") for pair in pairs])
        >>> found.names, [found.side[form] for form in ("laughs", "is", "smile")]
        (('singular', 'plural'), [0, 0, 1])
    """
    numbers = sum(_number_vote(one.pair) != 0 for one in contrasts)
    genders = sum(_vote(one.pair, _GENDERS) != 0 for one in contrasts)
    if genders > numbers and 3 * genders >= len(contrasts):
        side = dict.fromkeys(_GENDERS, 0) | dict.fromkeys(_GENDERS.values(), 1)
        side = {form: side[form.lower()] for form in _forms(contrasts) if form.lower() in side}
        return Directions(GENDER, side, "the forms of male and female in English")
    parts = _parts(Counter(tuple(sorted(one.pair)) for one in contrasts))
    part_of = {form: number for number, part in enumerate(parts) for form in part}
    members = defaultdict(list)
    for one in contrasts:
        part = part_of[one.pair[0]]
        if parts[part][one.pair[0]] != parts[part][one.pair[1]]:
            members[part].append(one)
    nouns = _are_nouns(contrasts)
    votes = {
        number: sum(_class_vote(one, nouns) * (1 - 2 * parts[number][one.pair[0]]) for one in ones)
        for number, ones in members.items()
    }
    side = _turned(parts, members, votes)
    tied = {form: 0 if votes.get(n) else n + 1 for form, n in part_of.items()}
    voted = sum(len(members[number]) for number, vote in votes.items() if vote)
    if 2 * voted >= len(contrasts):
        return Directions(NUMBER, side, "the forms of singular and plural in English", tied)
    common, _ = Counter(
        one.pair if side[one.pair[0]] == 0 else one.pair[::-1]
        for one in contrasts
        if side[one.pair[0]] != side[one.pair[1]]
    ).most_common(1)[0]
    names = _direction_name(common[0]), _direction_name(common[1])
    return Directions(names, side, "forms that compete, named by the commonest pair", tied)


def _parts(pairs: Counter) -> list[dict[str, int]]:
    """Divides the forms of connected pairs into two classes; common pairs decide.

    The forms of a rare pair may be in one class then.
    """
    part_of: dict[str, dict[str, int]] = {}
    for (one, other), _ in sorted(pairs.items(), key=lambda item: (-item[1], item[0])):
        first = part_of.setdefault(one, {one: 0})
        second = part_of.setdefault(other, {other: 1})
        if first is second:
            continue
        turn = first[one] == second[other]
        large, small = (first, second) if len(first) >= len(second) else (second, first)
        for form, number in small.items():
            large[form] = 1 - number if turn else number
            part_of[form] = large
    return list({id(part): part for part in part_of.values()}.values())


def _forms(contrasts: Iterable[Contrast]) -> set[str]:
    return {form for one in contrasts for form in one.pair}


def _vote(pair: tuple[str, str], table: Mapping[str, str]) -> int:
    """1 if a table has the first form on its left and the second on its right; -1 the other way."""
    one, other = pair[0].lower(), pair[1].lower()
    if table.get(one) == other:
        return 1
    return -1 if table.get(other) == one else 0


def _number_vote(pair: tuple[str, str]) -> int:
    """1 if the first form is the singular of a verb and the second its plural; -1 the other way."""
    known = _vote(pair, {**_VERBS, **_OTHERS})
    if known:
        return 3 * known
    one, other = pair[0].lower(), pair[1].lower()
    for long, short, sign in ((one, other, 1), (other, one, -1)):
        if long in (f"{short}s", f"{short}es") or (
            short.endswith("y") and long == f"{short[:-1]}ies"
        ):
            return sign
    return 0


def _word_vote(one: Contrast) -> int:
    """1 if words before the forms say that the right form is singular; -1 if plural."""
    near = {word.lower() for word in one.words[-_NEAR:]}
    return (bool(near & _SINGULAR) - bool(near & _PLURAL)) if one.right else 0


def _are_nouns(contrasts: Sequence[Contrast]) -> bool:
    """Whether forms with -s go with plural words, as those of nouns do.

    They don't beside *is* and *are*. Words near a verb may belong to another noun (*the farmer near
    these cars sees*), those before a noun hardly ever, so that nearly all of them have to agree.
    """
    if any(_vote(one.pair, _VERBS) for one in contrasts):
        return False
    signs = [sign for sign in map(_noun_sign, contrasts) if sign]
    if signs:
        plural = sum(sign < 0 for sign in signs)
        return plural >= _NOUNS * len(signs) and 2 * len(signs) >= len(contrasts)
    irregular = not any(_number_vote(one.pair) for one in contrasts)
    return irregular and 2 * sum(map(_said, contrasts)) >= len(contrasts)


def _said(one: Contrast) -> bool:
    """Whether words before the forms say which number is right."""
    return _word_vote(one) != 0


def _noun_sign(one: Contrast) -> int:
    """1 if a form with -s goes with a singular word before it; -1 with a plural one."""
    vote = _number_vote(one.pair)
    return vote * _word_vote(one) if abs(vote) == 1 else 0


def _class_vote(one: Contrast, nouns: bool) -> int:
    """Above 0 if the first form is singular, below 0 if it is plural."""
    vote = _number_vote(one.pair)
    if abs(vote) == 1 and nouns:
        vote = -vote
    return vote + 2 * _word_vote(one) if nouns else vote


def _turned(
    parts: Sequence[Mapping[str, int]],
    members: Mapping[int, Sequence[Contrast]],
    votes: Mapping[int, int],
) -> dict[str, int]:
    """The class of each form, once all parts are turned so that their classes agree.

    Parts with votes are turned by them. Others follow, the largest first: each is turned so that
    its right forms stand in sentences with the words of earlier right forms of their class.
    """
    order = sorted(members, key=lambda number: (-abs(votes[number]), -len(members[number]), number))
    seen: dict[str, list[int]] = defaultdict(lambda: [0, 0])  # right forms by class, for each word
    side: dict[str, int] = {}
    for number in order:
        vote = float(votes[number])
        if not vote:
            vote = sum(
                math.log((seen[word][c] + 0.5) / (seen[word][1 - c] + 0.5))
                for one in members[number]
                if one.right
                for c in (parts[number][one.pair[0]],)
                for word in set(one.words)
                if word in seen
            )
        turn = vote < 0
        for form, c in parts[number].items():
            side[form] = 1 - c if turn else c
        for one in members[number]:
            if one.right:
                for word in set(one.words):
                    seen[word][side[one.pair[0]]] += 1
    return side


def _direction_name(form: str) -> str:
    """The name of a direction that is named by a form."""
    name = "".join(c for c in form if c.isprintable())[:LONGEST_NAME].strip() or "form"
    taken = name.casefold() in (*REQUIRED, *OPTIONAL, *RESERVED)
    return f"{name[: LONGEST_NAME - 5]} form" if taken else name
