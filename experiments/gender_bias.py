"""Finds the units that carry the gender of a pronoun (Tables 2, 4 and 5, Figure 2 of the paper).

python -m experiments.gender_bias --model demo --place single --alpha 0.02
"""

from typing import Any

from experiments.shared.experiment import experiment, open_output, settings_of
from experiments.shared.loading import load_task
from experiments.shared.options import Options, suited
from experiments.shared.script import run_script
from jaxmask.pipeline.prepare import prepare
from jaxmask.tasks import gender_bias


def work(options: Options) -> dict[str, Any]:
    """The whole experiment, see `experiments.number_agreement`; returns its summary."""
    model = options.load_model()
    options = suited(options, model)
    plan = options.plan()
    task = load_task(gender_bias.NAME, options.data)
    settings = settings_of(plan, task, model)
    to = open_output(options.folder(task, model), settings, options.checkpoint_minutes)
    to = to._replace(trust=options.trust)
    return experiment(prepare(model, task, plan.design), plan, to)


def main() -> None:
    """Reads the options, searches, reports."""
    run_script(Options, "gender_bias", __doc__, work)


if __name__ == "__main__":
    main()
