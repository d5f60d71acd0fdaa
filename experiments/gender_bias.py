"""Finds the units that carry the gender of a pronoun (Tables 2, 4 and 5, Figure 2 of the paper).

python -m experiments.gender_bias --model demo --intervention single --alpha 0.02
"""

from experiments.shared import report_search
from experiments.shared.setup import Options, run_script
from jaxmask.tasks import gender_bias


def main() -> None:
    """Reads the options, searches, reports."""
    run_script(
        Options,
        "gender_bias",
        __doc__,
        lambda options: report_search.run(gender_bias.NAME, options),
    )


if __name__ == "__main__":
    main()
