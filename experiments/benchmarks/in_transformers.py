"""A transformer of Hugging Face, frozen and intervened on by hooks, as one would write it.

Sentences are read whole, with what stands before them, and the hooks replace activations at one
token of each row. `in_torch.PlainSearch` searches it as it does an LSTM. This module is imported
only where transformers is installed.
"""

import threading
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from experiments.benchmarks.in_torch import device
from jaxmask.intervention import Range

# The projection that reads the units of an MLP, by its name in the families of `jaxmask`.
READERS = ("c_proj", "down_proj", "dense_4h_to_h")
# While transformers reads a model, modules that other threads make have no data.
READING = threading.Lock()


class HookedModel:
    """A causal language model of a folder, with interventions on the units of its MLPs.

    Attributes:
        units: of all layers, side by side.
    """

    def __init__(self, folder: str, value_range: Range) -> None:
        """Reads the folder in float32.

        Args:
            folder: of Hugging Face.
            value_range: what baselines of -1 and 1 stand for.
        """
        with READING:
            self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.model.eval().requires_grad_(False).to(device())
        self.readers = [
            module
            for name, module in self.model.named_modules()
            if name.split(".")[-1] in READERS and "mlp" in name.split(".")
        ]
        low, high = (torch.tensor(np.asarray(x), device=device()) for x in value_range)
        self.centre, self.half = (low + high) / 2.0, (high - low) / 2.0
        self.units = len(low)

    def begin(self, context: tuple[int, ...]) -> torch.Tensor:
        """The tokens before every sentence."""
        return torch.tensor(context, dtype=torch.long, device=device())

    def states(self, tokens: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """What the decoder reads after each token of the sentences, (batch, time, width)."""
        whole = torch.cat([context.expand(len(tokens), -1), tokens], dim=1)
        return self.model.base_model(whole, use_cache=False).last_hidden_state[:, len(context) :]

    def altered_states(
        self,
        tokens: torch.Tensor,
        context: torch.Tensor,
        position: torch.Tensor,
        mask: torch.Tensor,
        baseline: torch.Tensor,
    ) -> torch.Tensor:
        """The same with an intervention (Eq. 1) on the units of all MLPs at one token a row.

        Args:
            tokens: (batch, time).
            context: tokens before all of them.
            position: of the token in each row.
            mask: (batch, units).
            baseline: likewise, relative to the range of values.
        """
        parts = zip(
            mask.chunk(len(self.readers), dim=1),
            (self.centre + self.half * baseline).chunk(len(self.readers), dim=1),
            strict=True,
        )
        at = torch.arange(len(tokens), device=device()), len(context) + position

        def replace(part: tuple[torch.Tensor, torch.Tensor], _: Any, inputs: tuple) -> tuple:
            (units,), (gates, values) = inputs, part
            units = units.clone()
            units[at] = (1.0 - gates) * units[at] + gates * values
            return (units,)

        hooks = [
            reader.register_forward_pre_hook(partial(replace, part))
            for reader, part in zip(self.readers, parts, strict=True)
        ]
        try:
            return self.states(tokens, context)
        finally:
            for hook in hooks:
                hook.remove()

    def decoder(self, state: torch.Tensor) -> torch.Tensor:
        """Logits, capped where the model caps them."""
        logits = self.model.get_output_embeddings()(state)
        cap = getattr(self.model.config, "final_logit_softcapping", None)
        return logits if cap is None else cap * torch.tanh(logits / cap)
