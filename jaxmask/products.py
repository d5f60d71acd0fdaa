"""Products in full precision, on every device.

An accelerator may multiply float32 numbers with fewer digits, if a program doesn't ask for more.
Log-ratios, the KL and sums over examples are small differences of such products: they ask for all
digits by themselves, whatever ``jax_default_matmul_precision`` says.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def exact(a: Float[Any, "..."], b: Float[Any, "..."]) -> Float[Array, "..."]:
    """The product ``a @ b`` with all digits of its operands.

    Example:
        >>> exact(jnp.ones((1, 2)), jnp.ones(2)).tolist()
        [2.0]
    """
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
