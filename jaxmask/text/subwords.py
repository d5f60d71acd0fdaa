"""Minimal pairs as subword tokens.

A pair is decided at the first token in which its two forms differ; those that they share belong to
the sentence. An intervention at a word acts at its last token.
"""

from typing import NamedTuple

import numpy as np

from jaxmask.text.examples import (
    Dropped,
    Encoded,
    Examples,
    Stimulus,
    Task,
    TaskDataError,
    Unknown,
    check,
    shorten,
)
from jaxmask.text.tokenizer import Tokenizer


class Decision(NamedTuple):
    """A stimulus as tokens.

    Attributes:
        tokens: of the sentence, with those that both forms begin with.
        position: index of the last token of the word at which a single-step intervention acts.
        pair: the first tokens in which the forms differ.
    """

    tokens: list[int]
    position: int
    pair: tuple[int, int]


def decision(stimulus: Stimulus, tokenizer: Tokenizer) -> Decision | None:
    """The tokens of a stimulus; None if its forms don't differ in a token.

    They don't if the tokens of one form are the beginning of the other's. Neither are they looked
    at where a form changes the tokens of the sentence before it.

    Example:
        >>> import tokenizers
        >>> pieces = {"The": 0, "dog": 1, "bark": 2, "##s": 3, "##ed": 4, "?": 5}
        >>> inner = tokenizers.Tokenizer(tokenizers.models.WordPiece(pieces, unk_token="?"))
        >>> inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        >>> tokenizer = Tokenizer(inner.to_str())
        >>> decision(Stimulus(("The", "dog"), 1, ("barks", "barked"), 0, "past"), tokenizer)
        Decision(tokens=[0, 1, 2], position=1, pair=(3, 4))
        >>> decision(Stimulus(("The", "dog"), 1, ("barks", "bark"), 0, "verb"), tokenizer)
    """
    first, second = (tokenizer.tokens([*stimulus.words, form]) for form in stimulus.pair)
    shared = 0
    for one, other in zip(first.ids, second.ids, strict=False):
        if one != other:
            break
        shared += 1
    if shared == min(len(first.ids), len(second.ids)):
        return None
    if first.ends[:-1] != second.ends[:-1] or first.ends[-2] >= shared:
        return None
    tokens = first.ids[:shared]
    return Decision(tokens, first.ends[stimulus.position], (first.ids[shared], second.ids[shared]))


def unknown_words(stimulus: Stimulus, tokenizer: Tokenizer) -> Unknown:
    """The form for which a stimulus is dropped: the shorter one if they don't differ in a token.

    Example:
        >>> import tokenizers
        >>> pieces = {"The": 0, "dog": 1, "bark": 2, "##s": 3, "##ed": 4, "?": 5}
        >>> inner = tokenizers.Tokenizer(tokenizers.models.WordPiece(pieces, unk_token="?"))
        >>> inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        >>> tokenizer = Tokenizer(inner.to_str())
        >>> unknown_words(Stimulus(("The", "dog"), 1, ("barks", "bark"), 0, "verb"), tokenizer)
        Unknown(pair=('bark',), position_word=(), others=())
    """
    lost = decision(stimulus, tokenizer) is None
    return Unknown((min(stimulus.pair, key=len),) if lost else (), (), ())


def encode(task: Task, tokenizer: Tokenizer) -> Encoded:
    """Turns text into tokens; every ``direction`` is -1, because it isn't known yet.

    An example is dropped, and counted, if its forms don't differ in a token, see `decision`. Groups
    are numbered before examples are dropped.

    Args:
        task: to encode.
        tokenizer: of the model.

    Raises:
        TaskDataError: a stimulus is ill-formed or longer than `jaxmask.text.examples.LONGEST`, or
            no example is left.

    Example:
        >>> import tokenizers
        >>> pieces = {"The": 0, "dog": 1, "bark": 2, "##s": 3, "##ed": 4, "?": 5}
        >>> inner = tokenizers.Tokenizer(tokenizers.models.WordPiece(pieces, unk_token="?"))
        >>> inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        >>> pairs = [("barks", "barked"), ("barks", "bark")]
        >>> stimuli = [Stimulus(("The", "dog"), 1, pair, 0, "verb") for pair in pairs]
        >>> task = Task("t", ("present", "other"), stimuli)
        >>> encoded = encode(task, Tokenizer(inner.to_str()))
        >>> encoded.examples.tokens.tolist(), encoded.dropped.words
        ([[0, 1, 2]], ('bark',))
    """
    for number, stimulus in enumerate(task.stimuli):
        check(stimulus, f"{task.name}, stimulus {number}")
    decisions = [decision(stimulus, tokenizer) for stimulus in task.stimuli]
    kept = [
        (stimulus, found)
        for stimulus, found in zip(task.stimuli, decisions, strict=True)
        if found is not None
    ]
    lost = [
        min(stimulus.pair, key=len)
        for stimulus, found in zip(task.stimuli, decisions, strict=True)
        if found is None
    ]
    dropped = Dropped(len(lost), 0, tuple(sorted(set(lost))))
    if not kept:
        raise TaskDataError(
            f"{task.name}: expected examples whose forms differ in a token, found none among "
            f"{len(task.stimuli)}; beginnings of the other form: {shorten(dropped.words)}"
        )
    groups = tuple(sorted({s.group for s in task.stimuli}))
    number_of = {group: number for number, group in enumerate(groups)}
    length = np.array([len(found.tokens) for _, found in kept], np.int32)
    tokens = np.zeros((len(kept), length.max()), np.int32)
    for row, (_, found) in zip(tokens, kept, strict=True):
        row[: len(found.tokens)] = found.tokens
    examples = Examples(
        tokens=tokens,
        length=length,
        position=np.array([found.position for _, found in kept], np.int32),
        pair=np.array([found.pair for _, found in kept], np.int32),
        direction=np.full(len(kept), -1, np.int32),
        correct=np.array([stimulus.correct for stimulus, _ in kept], np.int32),
        group=np.array([number_of[stimulus.group] for stimulus, _ in kept], np.int32),
    )
    return Encoded(examples, groups, dropped, 0)
