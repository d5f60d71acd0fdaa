"""How long a script takes to the first step of its search: a first and a second start.

Run as a script it starts a search of number agreement as `experiments.number_agreement` does,
stops after the first steps, and prints what it took.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from experiments.shared.experiment import experiment, open_output
from experiments.shared.loading import load_task
from experiments.shared.options import Options, suited
from experiments.shared.script import parse
from jaxmask.pipeline.prepare import prepare
from jaxmask.runs.programs import Programs
from jaxmask.tasks import number_agreement

_COMPILED = "/jax/core/compile/backend_compile_duration"
_FROM_CACHE = "/jax/compilation_cache/cache_hits"


def measure(model: str, vocab: Path | None) -> dict[str, Any]:
    """Seconds before the first step, with an empty cache of compiled programs and with a full one.

    Args:
        model: as the scripts' ``--model``.
        vocab: as the scripts' ``--vocab``.
    """
    with tempfile.TemporaryDirectory() as folder:
        starts = [_start(model, vocab, Path(folder)) for _ in ("first", "second")]
    return {"model": model, "starts": starts}


def _start(model: str, vocab: Path | None, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", __name__, "--model", model, "--out", str(folder / "run")]
    command += [] if vocab is None else ["--vocab", str(vocab)]
    # Python keeps the bytecode of what it imports, unless it has been told not to.
    kept = {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    started = time.time()
    done = subprocess.run(
        command, env=os.environ | kept, stdout=subprocess.PIPE, text=True, check=True
    )
    seen = json.loads(done.stdout.splitlines()[-1])
    importing = seen.pop("imported") - started
    total = seen.pop("first_step") - started
    return {
        "import": importing,
        "prepare": total - importing - seen["compile"],
        "compile": seen.pop("compile"),
        "total": total,
        **seen,
    }


class _FirstStep(Exception):
    """The first step has been taken."""


class _UntilFirstStep(Programs):
    """Programs that stop a search after its first steps."""

    def call(self, name: str, function: Callable, *args: Any) -> Any:
        """See `jaxmask.runs.programs.Programs`."""
        result = super().call(name, function, *args)
        if "step" in name:
            raise _FirstStep
        return result


def main() -> None:
    """Starts a search and tells how long it took to its first step."""
    imported = time.time()
    events: Counter[str] = Counter()
    jax.monitoring.register_event_duration_secs_listener(lambda e, *_, **__: events.update([e]))
    jax.monitoring.register_event_listener(lambda e, **_: events.update([e]))
    programs = _UntilFirstStep()
    options = parse(Options, "benchmark_start", __doc__)
    model = options.load_model()
    options = suited(options, model)
    plan = options.plan()
    task = load_task(number_agreement.NAME, options.data)
    settings = plan.settings(task, model)
    try:
        to = open_output(options.folder(task, model), settings, options.checkpoint_minutes)
        experiment(prepare(model, task, plan.design), plan, to, programs)
    except _FirstStep:
        seen = {
            "imported": imported,
            "first_step": time.time() - programs.running,
            "compile": programs.compiling,
            "programs": events[_COMPILED],
            "from_cache": events[_FROM_CACHE],
        }
        print(json.dumps(seen))


if __name__ == "__main__":
    main()
