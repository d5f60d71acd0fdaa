"""Other ways to choose units, called as the search is.

Each has a ``run(key, objective, config) -> (Intervention, history)`` for a single run, pure and of
static shape, to be put under ``jit`` and, over keys or the settings that may be traced, ``vmap``.

- `jaxmask.baselines.reinforce`: the same objective, gradients of the mask by its score function.
- `jaxmask.baselines.integrated_gradients`, `jaxmask.baselines.ablation`,
  `jaxmask.baselines.random_masks`: a score for each unit, the first ``floor(alpha k)`` are taken.
- `jaxmask.baselines.greedy`: the unit that flips most, then the next, with values of -1 and +1.
- `jaxmask.baselines.exhaustive`: all sets of a few units of a pool, the truth to measure against.
"""
