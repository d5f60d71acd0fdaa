"""Options of what a paper may leave open: how gates are made, begin, and are kept within bounds."""

import dataclasses
from typing import Annotated, Any, Literal

from experiments.shared.option_types import Count, CountOrZero, OptionError, Rate, Share, real
from jaxmask.objective import KL, ExactKL, SampledKL
from jaxmask.search import SearchConfig, parameters

Location = Annotated[float, real(-1e3, 1e3)]
Left = Annotated[float, real(-1e3, 0.0)]
Right = Annotated[float, real(1.0, 1e3)]


@dataclasses.dataclass(frozen=True)
class RelaxationOptions:
    """The relaxed mask; the method's own choice of everything that isn't given."""

    temperature: Rate | None = None
    """Temperature of the gates."""
    support_low: Left | None = None
    """Lower end l of the gates before they are cut off at 0 and 1; at most 0."""
    support_high: Right | None = None
    """Upper end r; with 1, no gate is exactly 1."""
    initial_location: Location | None = None
    """Location of all gates at the first step; 0 is a coin's."""
    location_low: Location | None = None
    """Locations are kept from this one on, so that closed gates can open again."""
    location_high: Location | None = None
    """Locations are kept up to this one."""
    multiplier_decay: Share | None = None
    """What a multiplier loses in a step while its constraint holds; 0 for nothing."""
    batch_size: Count | None = None
    """Sentences of a batch."""
    batches: Literal["even", "independent"] | None = None
    """Batches are spread evenly over the examples, or drawn independently."""
    gates: Literal["sentence", "batch"] | None = None
    """A sample of the gates for each sentence of a batch, or one for all of it."""
    kl_rows: CountOrZero | None = None
    """Sentences of a batch from which its KL is estimated; 0 for the exact KL."""

    def relaxed(self, config: SearchConfig) -> SearchConfig:
        """Settings with what these options change.

        Args:
            config: of the method.

        Raises:
            OptionError: the locations have no room.
        """
        names = ("temperature", "initial_location", "multiplier_decay", "batch_size", "batches")
        given: dict[str, Any] = {name: getattr(self, name) for name in (*names, "gates")}
        given |= {"lowest": self.location_low, "highest": self.location_high}
        config = config.replace(**{name: x for name, x in given.items() if x is not None})
        lowest = parameters.lowest_location(config)
        if lowest >= config.highest:
            raise OptionError(
                f"--location-high: expected more than {lowest:g}, found {config.highest:g}"
            )
        low, high = config.support
        low = low if self.support_low is None else self.support_low
        high = high if self.support_high is None else self.support_high
        return config.replace(support=(low, high), kl=self._kl(config.kl))

    def _kl(self, usual: KL) -> KL:
        if self.kl_rows is None:
            return usual
        return SampledKL(self.kl_rows) if self.kl_rows else ExactKL()
