"""Finds the units that carry subject-verb number (Tables 1, 3 and 4, Figure 1 of the paper).

python -m experiments.number_agreement --model demo --intervention single --alpha 0.02
"""

import sys

from experiments import report_search
from experiments.setup import USER_ERRORS, Options, parse
from jaxmask.tasks import number_agreement

GENERATOR_SEED = 0  # of the sentences drawn where --data isn't given


def main() -> None:
    """Reads the options, searches, reports."""
    options = parse(Options, "number_agreement", __doc__)
    try:
        if options.data is None:
            task = number_agreement.generate(GENERATOR_SEED)
        else:
            task = number_agreement.read(options.data)
        report_search.run(task, options, suits=lambda construction: construction == "nounpp")
    except USER_ERRORS as fault:
        sys.exit(f"error: {fault}")


if __name__ == "__main__":
    main()
