"""The search in PyTorch, as one would write it from the paper.

Every gradient step reads whole sentences, twice (the untouched model without gradients), and takes
a log-softmax over the vocabulary at every position. Beyond that no time is wasted: all cores work,
the weights get no gradients, a layer's input products are one product, and the altered sentences
are read in a loop over words, which was found to be faster than ``torch.nn.LSTM`` before and after
the intervention.

Nothing else in the project needs PyTorch; this module is imported only where it is installed.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn import functional

from converters.to_torch import state_dict
from jaxmask import search
from jaxmask.intervention import EDGE, Intervention
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.objective import NoKL
from jaxmask.search import SearchConfig, losses, parameters
from jaxmask.text.examples import Examples

TOP = math.tanh(EDGE)  # values clipped to [-EDGE, EDGE] reach baselines of -1 and 1


class FrozenModel(Protocol):
    """What the search asks of a model in PyTorch."""

    units: int
    decoder: Callable[[torch.Tensor], torch.Tensor]

    def begin(self, context: Any) -> Any:
        """What is read before every sentence, as the model wants it."""

    def states(self, tokens: torch.Tensor, context: Any) -> torch.Tensor:
        """What the decoder reads after each token."""

    def altered_states(
        self,
        tokens: torch.Tensor,
        context: Any,
        position: torch.Tensor,
        mask: torch.Tensor,
        baseline: torch.Tensor,
    ) -> torch.Tensor:
        """The same with an intervention at one token of each row."""


def device() -> torch.device:
    """Where PyTorch computes: on a GPU if JAX does."""
    on_gpu = jax.default_backend() == "gpu" and torch.cuda.is_available()
    return torch.device("cuda" if on_gpu else "cpu")


class LanguageModel(torch.nn.Module):
    """The model of PyTorch's word_language_model example, frozen and without dropout."""

    def __init__(self, params: Params) -> None:
        """Copies the weights of our parameter tree."""
        super().__init__()
        weights = {name: torch.tensor(x) for name, x in state_dict(params).items()}
        words, embedding = weights["encoder.weight"].shape
        hidden = weights["rnn.weight_hh_l0"].shape[1]
        # Without initialisation, which takes seconds.
        with torch.device("meta"):
            self.encoder = torch.nn.Embedding(words, embedding)
            self.rnn = torch.nn.LSTM(embedding, hidden, len(params["lstm"]), batch_first=True)
            self.decoder = torch.nn.Linear(hidden, words)
        self.load_state_dict(weights, assign=True)
        self.requires_grad_(False)
        self.to(device())
        self.rnn.flatten_parameters()

    @property
    def units(self) -> int:
        """Number of units of all layers."""
        return self.rnn.num_layers * self.rnn.hidden_size

    def begin(self, context: LSTMState) -> list[torch.Tensor]:
        """Our state before every sentence, (layers, 1, hidden) each."""
        layers = self.rnn.num_layers
        return [torch.tensor(np.asarray(x)).reshape(layers, 1, -1).to(device()) for x in context]

    def states(self, tokens: torch.Tensor, context: list[torch.Tensor]) -> torch.Tensor:
        """The top layer's states after each token, (batch, time, hidden)."""
        before = tuple(x.expand(-1, len(tokens), -1).contiguous() for x in context)
        return self.rnn(self.encoder(tokens), before)[0]

    def altered_states(
        self,
        tokens: torch.Tensor,
        context: list[torch.Tensor],
        position: torch.Tensor,
        mask: torch.Tensor,
        baseline: torch.Tensor,
    ) -> torch.Tensor:
        """The same with an intervention on all layers' states after one token (Eq. 1).

        Args:
            tokens: (batch, time).
            context: hidden and cell states before the first token, (layers, 1, hidden).
            position: of the token; the same for all rows.
            mask: (batch, units), units of all layers side by side.
            baseline: likewise.

        Raises:
            ValueError: the rows are intervened on at different positions.
        """
        at = int(position[0])
        if (position != at).any():
            raise ValueError("expected one position of intervention for all examples")
        below, width = self.encoder(tokens), self.rnn.hidden_size
        for layer in range(self.rnn.num_layers):
            units = slice(layer * width, (layer + 1) * width)
            w_x, w_h, b_x, b_h = self.rnn.all_weights[layer]
            gates = functional.linear(below, w_x, b_x + b_h)
            h, c = (state[layer].expand(len(tokens), -1) for state in context)
            altered = []
            for time in range(tokens.shape[1]):
                i, f, g, o = (gates[:, time] + h @ w_h.T).chunk(4, dim=1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
                if time == at:
                    h = (1.0 - mask[:, units]) * h + mask[:, units] * baseline[:, units]
                altered.append(h)
            below = torch.stack(altered, dim=1)
        return below


class PlainSearch:
    """The search of `jaxmask.search` for one seed, with its default surrogate.

    Attributes:
        location: of the gates, (masks, units).
        values: baselines before `to_baseline`, (directions, units).
        multipliers: of the constraints on gates that aren't 0, and on those between 0 and 1.
    """

    def __init__(
        self,
        model: FrozenModel,
        examples: Examples,
        context: Any,
        config: SearchConfig,
        softmaxes: Literal["all", "last"] = "all",
        seed: int = 0,
    ) -> None:
        """Starts as `jaxmask.search.init` does, from random values of its own.

        Args:
            model: the frozen model.
            examples: to search on, with their directions known.
            context: the state before every sentence.
            config: of the search; the KL is exact, or left out if it is `NoKL`.
            softmaxes: at all words, or at the last one only, where the KL is left out.
            seed: of all that is random.

        Raises:
            ValueError: the surrogate isn't the default one, or the KL lacks softmaxes.
        """
        if config.surrogate != SearchConfig().surrogate:
            raise ValueError(f"surrogate: expected the default, found {config.surrogate}")
        if softmaxes == "last" and config.kl != NoKL():
            raise ValueError("softmaxes: the KL needs them at all words")
        self.model, self.config, self.softmaxes, self.done = model, config, softmaxes, 0
        names = ("tokens", "length", "pair", "direction", "position")
        self.tokens, self.length, self.pair, self.direction, self.position = (
            torch.tensor(getattr(examples, name), dtype=torch.long, device=device())
            for name in names
        )
        self.context = model.begin(context)
        self.generator = torch.Generator().manual_seed(seed)
        masks, first = 1 if config.shared_mask else 2, self._first_location()
        self.location = torch.full((masks, model.units), first, device=device()).requires_grad_()
        values = 0.1 * torch.randn((2, model.units), generator=self.generator)
        self.values = values.to(device()).requires_grad_()
        self.multipliers = [0.0, 0.0]
        self.optimizer = torch.optim.Adam(
            [
                {"params": [self.location], "lr": config.location_rate},
                {"params": [self.values], "lr": config.value_rate},
            ]
        )

    def draw(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of examples, and uniform noise for their gates."""
        rows = torch.randint(len(self.tokens), (size,), generator=self.generator)
        noise = torch.rand((size, self.location.shape[1]), generator=self.generator)
        noise = noise.clamp_min(torch.finfo(torch.float32).tiny)
        return rows.to(device()), noise.to(device())

    def loss(
        self,
        rows: torch.Tensor,
        noise: torch.Tensor,
    ) -> torch.Tensor:
        """Surrogate and KL of some examples, with gates from the noise.

        Args:
            rows: of the examples.
            noise: in (0, 1), (rows, units).
        """
        tokens, length, pair, direction, position = (
            x[rows] for x in (self.tokens, self.length, self.pair, self.direction, self.position)
        )
        gates = self._gates(noise, self.location[direction % len(self.location)])
        top = self.model.altered_states(
            tokens, self.context, position, gates, torch.tanh(self.values)[direction] / TOP
        )
        each, last = torch.arange(len(rows), device=device()), length - 1
        if self.softmaxes == "last":
            top, last = top[each, last].unsqueeze(1), torch.zeros_like(last)
        intervened = functional.log_softmax(self.model.decoder(top), dim=-1)
        preferred, other = pair[each, 1 - direction], pair[each, direction]
        log_ratio = intervened[each, last, preferred] - intervened[each, last, other]
        loss = torch.sigmoid(log_ratio).mean() / _sigmoid(losses.TYPICAL_LOG_RATIO)
        if self.config.kl != NoKL():
            with torch.no_grad():
                untouched = self.model.decoder(self.model.states(tokens, self.context))
                original = functional.log_softmax(untouched, dim=-1)
            kl = (original.exp() * (original - intervened)).sum(dim=-1)
            inside = torch.arange(tokens.shape[1], device=device()) < length.unsqueeze(1)
            mean = ((kl * inside).sum(dim=1) / length).mean()
            loss = loss + self.config.kl_weight / math.exp(losses.TYPICAL_LOG_RATIO) * mean
        return loss

    def step(self, rows: torch.Tensor, noise: torch.Tensor) -> float:
        """One descent-ascent step, as `jaxmask.search.step`; returns the loss."""
        config = self.config
        rise = min(1.0, self.done / max(config.head_start * config.steps, 1.0))
        self.optimizer.param_groups[0]["lr"] = config.location_rate * rise
        loss = self.loss(rows, noise)
        nonzero, one = self._nonzero(self.location), self._one(self.location)
        violations = [
            nonzero.mean() / self._target(config.alpha) - 1.0,
            (nonzero - one).mean() / self._target(config.most_fractional) - 1.0,
        ]
        self.optimizer.zero_grad()
        penalty = sum(m * v for m, v in zip(self.multipliers, violations, strict=True))
        (loss + penalty).backward()
        self.optimizer.step()
        with torch.no_grad():
            self.location.clamp_(parameters.lowest_location(config), config.highest)
            self.values.clamp_(-EDGE, EDGE)
        for number, violation in enumerate(violations):
            risen = self.multipliers[number] + config.multiplier_rate * violation.item()
            kept = 1.0 - config.multiplier_decay if violation.item() < 0.0 else 1.0
            self.multipliers[number] = max(risen, 0.0) * kept
        self.done += 1
        return loss.item()

    def found(self) -> Intervention:
        """The ``floor(alpha k)`` units of each mask whose gates are the most open."""
        units = int(search.budget(self.location.shape[1], self.config.alpha))
        mask = torch.zeros_like(self.location)
        mask.scatter_(1, self.location.detach().topk(units, dim=1).indices, 1.0)
        baseline = torch.tanh(self.values.detach()) / TOP
        return Intervention(
            jnp.asarray(mask.expand_as(baseline).cpu().numpy()), jnp.asarray(baseline.cpu().numpy())
        )

    def _target(self, limit: float) -> float:
        """What a constraint asks for at this step: geometric, from ``initial_alpha``."""
        config = self.config
        start = max(config.initial_alpha, limit)
        ramp = max(config.warmup * config.steps, 1.0)
        return start * (limit / start) ** min(1.0, (self.done + 1) / ramp)

    def _first_location(self) -> float:
        """Where P(z != 0) is what the constraint asks for at the first step."""
        first = self._target(self.config.alpha)
        shift = self._nonzero(torch.zeros(())).logit().item()
        location = math.log(first) - math.log1p(-min(first, 1.0 - 1e-6)) - shift
        return min(max(location, parameters.lowest_location(self.config)), self.config.highest)

    def _gates(self, noise: torch.Tensor, location: torch.Tensor) -> torch.Tensor:
        left, right = self.config.support
        s = torch.sigmoid((noise.log() - torch.log1p(-noise) + location) / self.config.temperature)
        return torch.clamp(s * (right - left) + left, 0.0, 1.0)

    def _nonzero(self, location: torch.Tensor) -> torch.Tensor:
        left, right = self.config.support
        return torch.sigmoid(location - self.config.temperature * math.log(-left / right))

    def _one(self, location: torch.Tensor) -> torch.Tensor:
        left, right = self.config.support
        return torch.sigmoid(
            location - self.config.temperature * math.log((1.0 - left) / (right - 1.0))
        )


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))
