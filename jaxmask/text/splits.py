"""Splits of examples into a part to search on and a part to evaluate on."""

import numpy as np
from jaxtyping import Int

from jaxmask.text.examples import Examples


def split(
    examples: Examples,
    evaluation: int,
    seed: int,
    together: Int[np.ndarray, " examples"] | None = None,
) -> tuple[Examples, Examples]:
    """Splits examples at random into (training, evaluation).

    Args:
        examples: see `split_rows`.
        evaluation: see `split_rows`.
        seed: see `split_rows`.
        together: see `split_rows`.

    Raises:
        ValueError: ``evaluation`` leaves one of the parts empty.

    Example:
        >>> from jaxmask.text.examples import Stimulus, Task, encode
        >>> from jaxmask.text.vocabulary import Vocabulary
        >>> vocabulary = Vocabulary(["<unk>", "<eos>", "A", "B", "C", "is", "are"])
        >>> pairs = [Stimulus((word,), 0, ("is", "are"), 0, "g") for word in ("A", "B", "C")]
        >>> examples = encode(Task("t", ("singular", "plural"), pairs), vocabulary).examples
        >>> training, evaluation = split(examples, evaluation=1, seed=0)
        >>> training.size, evaluation.size
        (2, 1)
    """
    train, held_out = split_rows(examples, evaluation, seed, together)
    return examples.take(train), examples.take(held_out)


def split_rows(
    examples: Examples,
    evaluation: int,
    seed: int,
    together: Int[np.ndarray, " examples"] | None = None,
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " evaluation"]]:
    """The rows of a random split into (training, evaluation); each part keeps their order.

    Args:
        examples: to split.
        evaluation: number of examples to hold out.
        seed: of the random choice.
        together: a number for each example; examples with the same number stay in the same part,
            such as all examples with one profession (`position_words`). Whole groups are then held
            out until there are ``evaluation`` examples, or a few more.

    Raises:
        ValueError: ``evaluation`` leaves one of the parts empty.

    Example:
        >>> from jaxmask.text.examples import Stimulus, Task, encode
        >>> from jaxmask.text.vocabulary import Vocabulary
        >>> vocabulary = Vocabulary(["<unk>", "<eos>", "A", "B", "is", "are"])
        >>> words = [("A", "A"), ("A", "B"), ("B", "A"), ("B", "B")]
        >>> pairs = [Stimulus(pair, 1, ("is", "are"), 0, "g") for pair in words]
        >>> examples = encode(Task("t", ("singular", "plural"), pairs), vocabulary).examples
        >>> training, evaluation = split_rows(examples, 2, 0, position_words(examples))
        >>> training.tolist(), evaluation.tolist()
        ([1, 3], [0, 2])
    """
    if examples.size < 2:
        raise ValueError(
            "evaluation: expected at least 2 examples, one to search on and one to hold out, found "
            f"{examples.size}"
        )
    if not 1 <= evaluation < examples.size:
        raise ValueError(
            f"evaluation: expected 1 to {examples.size - 1} of {examples.size} examples, "
            f"found {evaluation}"
        )
    together = np.arange(examples.size) if together is None else together
    _, group, sizes = np.unique(together, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    before = np.cumsum(sizes[order]) - sizes[order]
    held_out = np.isin(group, order[before < evaluation])
    if held_out.all():
        raise ValueError(
            f"evaluation: holding out {evaluation} of {examples.size} examples, in {len(sizes)} "
            "groups that stay together, leaves no examples to train on"
        )
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def position_words(examples: Examples) -> Int[np.ndarray, " examples"]:
    """The word index at the position of each example, such as its subject or profession.

    Example:
        >>> from jaxmask.text.examples import Stimulus, Task, encode
        >>> from jaxmask.text.vocabulary import Vocabulary
        >>> vocabulary = Vocabulary(["<unk>", "<eos>", "The", "boys", "greet", "greets"])
        >>> pair = Stimulus(("The", "boys"), 1, ("greets", "greet"), 1, "simple")
        >>> examples = encode(Task("t", ("singular", "plural"), [pair]), vocabulary).examples
        >>> position_words(examples).tolist() == vocabulary.encode(["boys"])
        True
    """
    return np.take_along_axis(examples.tokens, examples.position[:, None], axis=1)[:, 0]
