"""From examples to what an intervention has to compute, with nothing computed twice.

Nothing before the first intervened word depends on the intervention, so a sentence is cut there:
its *prefix* (up to and including that word) is read once, its *suffix* once a gradient. Pairs that
share sentence, place of intervention and direction share a row. Rows are sorted by suffix length,
longest first, in a few strata; a batch takes a fixed number of rows from each, so that its shapes
are static and hardly a padded step is computed.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxmask.text.examples import Examples

# Each stratum is a loop of its own in the compiled program: more of them save padded steps, at the
# price of seconds of compilation.
MOST_STRATA = 3


class Stratum(NamedTuple):
    """Rows ``start:stop``, whose suffixes have at most ``steps`` words, and their examples."""

    start: int
    stop: int
    steps: int
    examples: int

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return self.stop - self.start


class Packed(NamedTuple):
    """Examples without repetition; R rows, suffixes of at most S words, at most P pairs a row.

    Attributes:
        prefixes: the distinct prefixes, as tuples of word indices.
        words: the distinct words of all suffixes, and the last words of the prefixes.
        differences: the distinct pairs of word indices.
        nodes: the distinct sentences so far, after the prefix and after each word of the suffix.
        prefix: index into ``prefixes``.
        first: index into ``words`` of the prefix's last word, the first that is intervened on.
        suffix: indices into ``words``, padded with 0.
        steps: number of words of the suffix.
        where: is the state after the prefix, and after each word of the suffix, intervened on?
        node: index into ``nodes`` of the prefix, and of what was read with each word of the suffix.
        kl_share: (steps + 1) / sentence length: the part of the sentence's positions at which an
            intervention may change the prediction.
        direction: index of the form to turn to.
        pair: indices into ``differences``, padded with 0.
        pair_weight: number of examples with that pair, 0 for padding.
        strata: longest suffixes first.
    """

    prefixes: tuple[tuple[int, ...], ...]
    words: Int[np.ndarray, " words"]
    differences: Int[np.ndarray, "differences 2"]
    nodes: tuple[tuple[int, ...], ...]
    prefix: Int[np.ndarray, " rows"]
    first: Int[np.ndarray, " rows"]
    suffix: Int[np.ndarray, "rows steps"]
    steps: Int[np.ndarray, " rows"]
    where: Bool[np.ndarray, "rows steps+1"]
    node: Int[np.ndarray, "rows steps+1"]
    kl_share: Float[np.ndarray, " rows"]
    direction: Int[np.ndarray, " rows"]
    pair: Int[np.ndarray, "rows pairs"]
    pair_weight: Float[np.ndarray, "rows pairs"]
    strata: tuple[Stratum, ...]

    @property
    def once(self) -> bool:
        """Is each row intervened on at most once, after its prefix?"""
        return not self.where[:, 1:].any()


def pack(
    examples: Examples,
    where: Bool[np.ndarray, "examples time"],
    *,
    both_directions: bool = False,
    most_strata: int | None = None,
) -> Packed:
    """Packs examples for interventions at ``where``.

    Args:
        examples: with their directions known.
        where: to intervene.
        both_directions: give each sentence a row for either direction, with pairs of weight 0 where
            no decision is to be turned to it. Which decisions are depends on the model: with these
            rows all shapes are those of any model that knows the same words.
        most_strata: as many strata at most; `MOST_STRATA` if not given.

    Raises:
        ValueError: a direction is unknown, an example is intervened on nowhere or outside its
            sentence, or there are no examples.

    Example:
        >>> one = np.zeros(1, np.int32)
        >>> examples = Examples(np.array([[2, 3]]), one + 2, one, np.array([[0, 1]]), one, one, one)
        >>> packed = pack(examples, np.array([[True, False]]))
        >>> packed.prefixes, packed.nodes, packed.steps
        (((2,),), ((2,), (2, 3)), array([1], dtype=int32))
    """
    if (examples.direction < 0).any():
        raise ValueError("the directions of the examples aren't known yet")
    inside = np.arange(where.shape[1]) < examples.length[:, None]
    if not len(where) or not where.any(axis=1).all() or (where & ~inside).any():
        raise ValueError("every example needs a place of intervention, inside its sentence")
    first = where.argmax(axis=1)

    merged: dict[tuple, dict[tuple[int, int], int]] = {}
    for row in range(examples.size):
        length = int(examples.length[row])
        sentence = (
            tuple(examples.tokens[row, :length].tolist()),
            tuple(where[row, :length].tolist()),
            int(first[row]),
        )
        turned_to = int(examples.direction[row])
        first_form, second_form = examples.pair[row].tolist()
        forms = (first_form, second_form)
        for direction in (0, 1) if both_directions else (turned_to,):
            pairs = merged.setdefault((*sentence, direction), {})
            pairs[forms] = pairs.get(forms, 0) + (direction == turned_to)
    order = sorted(merged, key=lambda key: key[2] - len(key[0]))  # longest suffix first; stable

    prefixes: dict[tuple[int, ...], int] = {}
    words: dict[int, int] = {}
    differences: dict[tuple[int, int], int] = {}
    nodes: dict[tuple[int, ...], int] = {}
    steps = np.array([len(tokens) - 1 - first for tokens, _, first, _ in order])
    rows, longest = len(order), int(steps.max())
    most_pairs = max(map(len, merged.values()))
    prefix, first_word = np.zeros((2, rows), np.int32)
    suffix = np.zeros((rows, longest), np.int32)
    where_packed = np.zeros((rows, longest + 1), bool)
    node = np.zeros((rows, longest + 1), np.int32)
    pair = np.zeros((rows, most_pairs), np.int32)
    pair_weight = np.zeros((rows, most_pairs), np.float32)
    for row, key in enumerate(order):
        tokens, at, first_at, _ = key
        prefix[row] = prefixes.setdefault(tokens[: first_at + 1], len(prefixes))
        first_word[row] = words.setdefault(tokens[first_at], len(words))
        for step, end in enumerate(range(first_at + 1, len(tokens) + 1)):
            where_packed[row, step] = at[end - 1]
            node[row, step] = nodes.setdefault(tokens[:end], len(nodes))
            if step:
                suffix[row, step - 1] = words.setdefault(tokens[end - 1], len(words))
        for column, (forms, count) in enumerate(merged[key].items()):
            pair[row, column] = differences.setdefault(forms, len(differences))
            pair_weight[row, column] = count
    return Packed(
        prefixes=tuple(prefixes),
        words=np.array(list(words), np.int32),
        differences=np.array(list(differences), np.int32),
        nodes=tuple(nodes),
        prefix=prefix,
        first=first_word,
        suffix=suffix,
        steps=steps.astype(np.int32),
        where=where_packed,
        node=node,
        kl_share=np.array(
            [(count + 1) / len(key[0]) for count, key in zip(steps, order, strict=True)], np.float32
        ),
        direction=np.array([key[3] for key in order], np.int32),
        pair=pair,
        pair_weight=pair_weight,
        strata=stratify(steps, pair_weight.sum(axis=1), most_strata or MOST_STRATA),
    )


def stratify(
    steps: Int[np.ndarray, " rows"], examples: Float[np.ndarray, " rows"], most: int
) -> tuple[Stratum, ...]:
    """Cuts rows, sorted by falling number of steps, into at most ``most`` strata.

    A stratum computes as many steps as its longest row; where there are more lengths than strata,
    neighbouring lengths are merged, cheapest first.
    """
    cuts = [0, *(np.flatnonzero(np.diff(steps)) + 1).tolist(), len(steps)]
    while len(cuts) - 1 > most:
        bounds = list(zip(cuts, cuts[1:], cuts[2:], strict=False))
        padding = [
            examples[mid:low].sum() * (steps[high] - steps[mid]) for high, mid, low in bounds
        ]
        del cuts[1 + int(np.argmin(padding))]
    return tuple(
        Stratum(start, stop, int(steps[start]), int(examples[start:stop].sum()))
        for start, stop in itertools.pairwise(cuts)
    )
