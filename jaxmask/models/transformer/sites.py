"""Where an intervention on a transformer acts.

Never at the first token of a sequence: attention that has nothing to read goes there, its states
are a hundred times as large as those of other tokens, and replacing them breaks the model.
"""

import numpy as np
from jaxtyping import Bool

from jaxmask.intervention import Kind, places
from jaxmask.text.examples import Examples


def act_at(kind: Kind, examples: Examples, context: int) -> Bool[np.ndarray, "examples time"]:
    """The tokens of each sentence that are intervened on; never the first one of a sequence.

    Args:
        kind: with the place, see `jaxmask.intervention.places`.
        examples: with positions and lengths in tokens.
        context: number of tokens before every sentence.

    Raises:
        ValueError: no token is left of a sentence, or a position lies outside of it.

    Example:
        >>> one = np.zeros(1, np.int32)
        >>> examples = Examples(np.array([[2, 3]]), one + 2, one, np.array([[0, 1]]), one, one, one)
        >>> act_at(Kind("mlp", place="every"), examples, context=0).tolist()
        [[False, True]]
        >>> act_at(Kind("mlp", place="single"), examples, context=1).tolist()
        [[True, False]]
    """
    where = places(kind.place, examples.position, examples.length)
    if not context:
        where[:, 0] = False
    if not where.any(axis=1).all():
        row = int(np.flatnonzero(~where.any(axis=1))[0])
        raise ValueError(
            f"example {row}: expected a context or a token before the one that is intervened on, "
            "found the first token of the sequence, which never is"
        )
    return where
