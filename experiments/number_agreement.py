"""Finds the units that carry subject-verb number (Tables 1, 3 and 4, Figure 1 of the paper).

python -m experiments.number_agreement --model demo --place single --alpha 0.02
"""

from typing import Any

from experiments.shared.experiment import (
    introduce,
    open_output,
    report_results,
    settings_of,
    watched,
)
from experiments.shared.loading import load_task
from experiments.shared.options import Options, suited
from experiments.shared.script import run_script
from jaxmask.pipeline.measure import measure
from jaxmask.pipeline.prepare import prepare
from jaxmask.pipeline.search_all import search_all
from jaxmask.tasks import number_agreement


def work(options: Options) -> dict[str, Any]:
    """The whole experiment; returns its summary."""
    model = options.load_model()
    options = suited(options, model)
    plan = options.plan()
    task = load_task(number_agreement.NAME, options.data)
    settings = settings_of(plan, task, model)
    to = open_output(options.folder(task, model), settings, options.checkpoint_minutes)
    to = to._replace(trust=options.trust)

    prepared = prepare(model, task, plan.design)  # splits the examples; each part has its objective
    introduce(prepared, plan, to)
    with watched(plan.config, to) as session:
        found = search_all(prepared, plan, session)
    results = measure(found, prepared, plan)  # on the examples held out
    return report_results(results, prepared, plan, to)


def main() -> None:
    """Reads the options, searches, reports."""
    run_script(Options, "number_agreement", __doc__, work)


if __name__ == "__main__":
    main()
