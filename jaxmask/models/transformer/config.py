"""What distinguishes one transformer from another: sizes, switches, and numbers of each layer.

One configuration describes all families. What differs between the layers of a model is a tuple with
an entry for each layer, which becomes an array that a scan runs over.
"""

import dataclasses
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

SITES = ("mlp", "residual", "attention")  # the first is the default
NO_WINDOW = 2**30  # tokens: longer than any sequence, and can be added to a position in int32

Activation = Literal["gelu", "gelu_tanh", "relu", "silu"]
Norm = Literal["layer", "rms"]


class Llama3Scaling(NamedTuple):
    """How Llama 3 stretches slow rotations.

    Attributes:
        factor: by which rotations with a long wavelength are slowed down.
        low: rotations that turn fewer times than this over ``length`` are slowed down fully.
        high: rotations that turn more often than this aren't changed.
        length: number of tokens of the sequences that the model was first trained on.
    """

    factor: float
    low: float
    high: float
    length: int


class Rotary(NamedTuple):
    """Rotary positions: pairs of components of queries and keys are rotated by their position.

    Attributes:
        width: the number of components of a head that are rotated, the first ones; even.
        base: of the wavelengths.
        factor: positions are divided by it (linear scaling).
        llama3: the scaling of Llama 3, if there is one.

    Example:
        >>> Rotary(width=4, base=10_000.0).frequencies().tolist()
        [1.0, 0.009999999776482582]
    """

    width: int
    base: float
    factor: float = 1.0
    llama3: Llama3Scaling | None = None

    def frequencies(self) -> Float[np.ndarray, " pairs"]:
        """By how many radians each pair is rotated from one position to the next.

        Pair ``i`` has ``f = base ** (-2 i / width) / factor``. Llama 3 makes that
        ``(1 - t) f / llama3.factor + t f``, where ``t = (length f / (2 pi) - low) / (high - low)``
        is clipped to [0, 1].

        Source: Su et al., "RoFormer", 2021; for Llama 3, transformers' ``modeling_rope_utils``.
        """
        frequency = self.base ** (-np.arange(0, self.width, 2) / self.width) / self.factor
        if self.llama3 is not None:
            turns = self.llama3.length * frequency / (2.0 * np.pi)
            span = self.llama3.high - self.llama3.low
            kept = np.clip((turns - self.llama3.low) / span, 0.0, 1.0)
            frequency = frequency * ((1.0 - kept) / self.llama3.factor + kept)
        return frequency.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class TransformerConfig:
    """Sizes and switches of a transformer language model.

    Attributes:
        vocabulary: number of tokens that the embedding has rows for.
        width: components of the residual stream (``d``).
        heads: query heads of a layer.
        kv_heads: key and value heads; query head ``h`` reads head ``h // (heads / kv_heads)``.
        head_width: components of a head; ``heads * head_width`` need not be ``width``.
        mlp: neurons of a layer's MLP.
        norm: ``layer`` subtracts the mean and has a bias, ``rms`` doesn't.
        norm_eps: added to the variance.
        norm_offset: added to the weights of norms: 1 in Gemma.
        activation: of the neurons; ``gelu_tanh`` is its approximation by a tanh.
        gated: is the activation multiplied by a second projection?
        parallel: do attention and MLP of a layer both read what enters the layer?
        post_norms: are the outputs of attention and MLP normalised before they are added?
        qk_norm: are the heads' queries and keys normalised?
        qkv_bias: do the projections to queries, keys and values have biases?
        output_bias: does attention's output projection have a bias?
        mlp_bias: do the projections of the MLP have biases?
        tied: is the decoder's weight the embedding?
        positions: number of learned positions; 0 if positions are rotary.
        rotary: of each layer; empty if positions are learned.
        query_scale: by which each layer multiplies its queries.
        windows: how many tokens each layer's attention sees, with the present one; `NO_WINDOW`
            where it sees all.
        attention_cap: scores become ``cap tanh(score / cap)``; 0 if they aren't capped.
        logit_cap: the same of logits.
        embedding_scale: by which embeddings are multiplied.

    Example:
        >>> tiny = TransformerConfig(
        ...     vocabulary=7, width=4, heads=2, kv_heads=1, head_width=2, mlp=8, positions=16,
        ...     query_scale=(2**-0.5,) * 3, windows=(NO_WINDOW,) * 3,
        ... )
        >>> tiny.layers, tiny.site_width("mlp"), tiny.site_width("attention")
        (3, 8, 4)
    """

    vocabulary: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    mlp: int
    query_scale: tuple[float, ...]
    windows: tuple[int, ...]
    rotary: tuple[Rotary, ...] = ()
    positions: int = 0
    norm: Norm = "layer"
    norm_eps: float = 1e-5
    norm_offset: float = 0.0
    activation: Activation = "gelu_tanh"
    gated: bool = False
    parallel: bool = False
    post_norms: bool = False
    qk_norm: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    tied: bool = True
    attention_cap: float = 0.0
    logit_cap: float = 0.0
    embedding_scale: float = 1.0

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.windows)

    def site_width(self, site: str) -> int:
        """Number of units of a layer at one of `SITES`."""
        widths = (self.mlp, self.width, self.heads * self.head_width)
        return dict(zip(SITES, widths, strict=True))[site]
