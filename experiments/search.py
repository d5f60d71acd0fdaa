"""Finds the units that carry a phenomenon of your own, given as a file of minimal pairs.

python -m experiments.search --data docs/examples/animacy.tsv --alpha 0.02

What the file looks like: docs/your_phenomenon.md. Whether a model knows its words, and the
phenomenon: python -m experiments.check_data.
"""

import dataclasses

import tyro

from experiments.shared import report_search
from experiments.shared.option_types import TextFile
from experiments.shared.setup import Options, run_script
from jaxmask.tasks import minimal_pairs


@dataclasses.dataclass(frozen=True)
class SearchOptions(Options):
    """Options that all experiments understand; the data have to be given."""

    data: TextFile = tyro.MISSING
    """File of minimal pairs."""


def main() -> None:
    """Reads the options, searches, reports."""
    run_script(
        SearchOptions,
        "search",
        __doc__,
        lambda options: report_search.run(minimal_pairs.NAME, options),
    )


if __name__ == "__main__":
    main()
