"""Finds the units that carry subject-verb number (Tables 1, 3 and 4, Figure 1 of the paper).

python -m experiments.number_agreement --model demo --intervention single --alpha 0.02
"""

from experiments.shared import report_search
from experiments.shared.setup import Options, run_script
from jaxmask.tasks import number_agreement


def main() -> None:
    """Reads the options, searches, reports."""
    run_script(
        Options,
        "number_agreement",
        __doc__,
        lambda options: report_search.run(number_agreement.NAME, options),
    )


if __name__ == "__main__":
    main()
