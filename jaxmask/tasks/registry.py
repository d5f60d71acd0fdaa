"""All tasks by name.

A new task is one file beside this one, and a line here; scripts offer it when its name is in
``TaskName`` of their options.
"""

from jaxmask.tasks import gender_bias, minimal_pairs, number_agreement
from jaxmask.tasks.phenomenon import Phenomenon

PHENOMENA: dict[str, Phenomenon] = {
    number_agreement.NAME: number_agreement.PHENOMENON,
    gender_bias.NAME: gender_bias.PHENOMENON,
    minimal_pairs.NAME: minimal_pairs.PHENOMENON,
}


def phenomenon(name: str) -> Phenomenon:
    """The phenomenon of a task.

    A task of minimal pairs has the name of its file; any name that isn't in `PHENOMENA` therefore
    stands for such a task.

    Example:
        >>> phenomenon("gender_bias").evaluation
        200
        >>> phenomenon("animacy").evaluation is None
        True
    """
    return PHENOMENA.get(name, PHENOMENA[minimal_pairs.NAME])
