"""Min-max on problems whose solution and multiplier are known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxmask.search import minmax


def test_projection():
    multipliers = {"a": jnp.array(-0.5), "b": jnp.array(2.0), "c": jnp.array(2.0)}
    violations = {"a": jnp.array(1.0), "b": jnp.array(0.3), "c": jnp.array(-0.1)}
    found = minmax.project(multipliers, violations, 0.25)
    assert found == {"a": 0.0, "b": 2.0, "c": 1.5}
    assert minmax.project(multipliers, violations, 1.0)["c"] == 0.0
    assert minmax.project(multipliers, violations, 0.0)["c"] == 2.0


def test_parameters_go_down_and_multipliers_up():
    optimizer = minmax.descent_ascent({"x": optax.sgd(0.1), "y": optax.sgd(0.01)}, 5.0)
    params = {"x": jnp.zeros(2), "y": jnp.zeros(()), "multipliers": {"c": jnp.zeros(())}}
    gradient = jax.tree.map(jnp.ones_like, params)
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    np.testing.assert_allclose(updates["x"], -0.1)
    np.testing.assert_allclose(updates["y"], -0.01)
    np.testing.assert_allclose(updates["multipliers"]["c"], 5.0)


def solve(objective, violation, start, decay=0.0, steps=1500):
    optimizer = minmax.descent_ascent({"x": optax.sgd(0.05)}, 0.05)
    params = {"x": jnp.asarray(start), "multipliers": {"c": jnp.zeros(())}}

    def lagrangian(params):
        held = {"c": violation(params["x"])}
        return objective(params["x"]) + params["multipliers"]["c"] * held["c"], held

    def step(carry, _):
        params, state = carry
        gradient, violations = jax.grad(lagrangian, has_aux=True)(params)
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        multipliers = minmax.project(params["multipliers"], violations, decay)
        return (params | {"multipliers": multipliers}, state), None

    start = (params, optimizer.init(params))
    return jax.lax.scan(step, start, None, length=steps)[0][0]


def test_finds_solution_and_multiplier_of_a_binding_constraint():
    """min x^2 + 2 y^2 subject to x + y >= 3: x = 2, y = 1, with multiplier 4."""
    found = solve(lambda x: x[0] ** 2 + 2 * x[1] ** 2, lambda x: 3 - x.sum(), [0.0, 0.0])
    np.testing.assert_allclose(found["x"], [2.0, 1.0], atol=1e-3)
    np.testing.assert_allclose(found["multipliers"]["c"], 4.0, atol=1e-2)


def test_a_constraint_that_holds_anyway_costs_nothing():
    """min (x - 1)^2 subject to x <= 2, from where it doesn't hold."""
    found = solve(lambda x: jnp.sum((x - 1) ** 2), lambda x: x.sum() - 2, [9.0], decay=0.1)
    np.testing.assert_allclose(found["x"], [1.0], atol=1e-4)
    np.testing.assert_allclose(found["multipliers"]["c"], 0.0, atol=1e-6)
