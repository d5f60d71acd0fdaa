"""How strict JAX and the annotations of jaxmask are while tests run."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import jax
import jaxtyping
import optax

_check = jaxtyping.jaxtyped


def checked(function: Any = None, *, typechecker: Callable) -> Any:
    """What jaxtyping's import hook puts around a function: checks of arguments and result.

    Four things aren't checked. Functions without arrays, whose types mypy checks: some are called
    for every word of a task, and the check takes longer than they do. Constructors: JAX rebuilds a
    pytree not only with its arrays, but also with their shapes, with axes, with the arrays of many
    runs on top of each other. Functions within functions: their checks would be compiled whenever
    the outer one is called, which takes longer than the call. And protocols, which are for mypy:
    tests pass stand-ins that have no more than what is used.
    """
    if function is None:
        return partial(checked, typechecker=typechecker)
    if inspect.isclass(function) or "<locals>" in getattr(function, "__qualname__", ""):
        return function
    annotations = getattr(function, "__annotations__", {})
    if not any(map(_has_array, annotations.values())):
        return function
    for name, annotation in annotations.items():
        if _has_protocol(annotation):
            annotations[name] = Any
    return _check(function, typechecker=typechecker)


def _has_array(annotation: Any) -> bool:
    array = inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray)
    return array or any(map(_has_array, get_args(annotation)))


def _has_protocol(annotation: Any) -> bool:
    parts = get_args(annotation)
    return getattr(annotation, "_is_protocol", False) or any(map(_has_protocol, parts))


def promoting(make: Callable) -> Callable:
    """An optimiser of optax, which takes powers of a number to a whole number of steps."""

    def made(*args: Any, **settings: Any) -> optax.GradientTransformation:
        optimizer = make(*args, **settings)

        def update(*args: Any, **more: Any) -> Any:
            with jax.numpy_dtype_promotion("standard"):
                return optimizer.update(*args, **more)

        return optimizer._replace(update=update)

    return made


def set_up() -> None:
    """Before jaxmask is imported: no implicit promotion of ranks or dtypes; shapes are checked."""
    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    for name in ("adam", "adamw"):
        setattr(optax, name, promoting(getattr(optax, name)))
    jaxtyping.jaxtyped = checked
    jaxtyping.install_import_hook("jaxmask", "beartype.beartype")
