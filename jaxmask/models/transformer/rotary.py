"""What a configuration says of rotary positions."""

from jaxmask.models.transformer.config import Llama3Scaling, Rotary
from jaxmask.models.transformer.fields import Fields


def scaling(fields: Fields) -> Fields | None:
    """What is said of rotary positions, by its old or its new name; None if nothing is.

    Example:
        >>> scaling(Fields({"rope_scaling": {"type": "linear"}}, "config.json")).get("type")
        'linear'
    """
    old, new = fields.inner("rope_scaling"), fields.inner("rope_parameters")
    return old or new


def read_rotary(
    fields: Fields, positions: Fields | None, head_width: int, base: float, share: float = 1.0
) -> Rotary:
    """Rotary positions.

    Args:
        fields: of the configuration.
        positions: what is said of their scaling, see `scaling`.
        head_width: components of a head.
        base: that positions have if they don't say another.
        share: of the components that are rotated, if positions don't say another.

    Raises:
        ModelError: the type is unknown, or a field is ill-formed, missing or unknown.

    Example:
        >>> fields = Fields({"rope_scaling": {"type": "linear", "factor": 2.0}}, "config.json")
        >>> read_rotary(fields, scaling(fields), head_width=8, base=1e4)
        Rotary(width=8, base=10000.0, factor=2.0, llama3=None)
        >>> fields = Fields({"rope_scaling": {"type": "yarn", "factor": 2.0}}, "config.json")
        >>> read_rotary(fields, scaling(fields), head_width=8, base=1e4)
        Traceback (most recent call last):
        jaxmask.models.language_model.ModelError: config.json: rope_scaling: type: expected \
default or linear or llama3, found 'yarn'
    """
    positions = positions or Fields({}, f"{fields.source}: rope_scaling")
    types = ("default", "linear", "llama3")
    kind = positions.choice("rope_type", types, positions.choice("type", types, "default"))
    share = positions.number("partial_rotary_factor", share)
    width = int(head_width * share)
    if not 2 <= width <= head_width or width % 2:
        raise positions.refuse("rotated components of a head", f"2, 4, ... {head_width}", width)
    base = positions.number("rope_theta", base)
    factor = 1.0 if kind == "default" else positions.number("factor")
    length = positions.get("original_max_position_embeddings")
    llama3 = None
    if kind == "llama3":
        low, high = positions.number("low_freq_factor"), positions.number("high_freq_factor")
        if not low < high:
            raise positions.refuse("high_freq_factor", f"a number beyond {low}", high)
        length = length or fields.get("max_position_embeddings")
        positions.fill({"original_max_position_embeddings": length})
        length = positions.whole("original_max_position_embeddings")
        llama3, factor = Llama3Scaling(factor, low, high, length), 1.0
    positions.finish(())
    return Rotary(width, base, factor, llama3)
