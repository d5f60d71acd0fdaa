"""The figures that the paper reports, for comparison. Pairs are (mean, standard deviation)."""

from typing import NamedTuple

Pair = tuple[float, float]


class Result(NamedTuple):
    """A row of Table 4: accuracy in percent, number of units, KL in nats.

    Example:
        >>> RESULTS["number_agreement", "every", True].accuracy
        (95.8, 0.4)
    """

    accuracy: Pair
    units: Pair
    kl: Pair


# Table 4, by (task, intervention, whether there is KL regularisation). The accuracy of number
# agreement, every-step, with KL regularisation, is taken from the text of the paper, because the
# cell of the table is garbled.
RESULTS = {
    ("number_agreement", "single", False): Result((90.9, 1.2), (5.7, 0.5), (0.034, 0.034)),
    ("number_agreement", "single", True): Result((91.5, 0.7), (5.7, 0.9), (0.035, 0.006)),
    ("number_agreement", "every", False): Result((96.8, 0.6), (2.0, 0.0), (0.131, 0.003)),
    ("number_agreement", "every", True): Result((95.8, 0.4), (2.0, 0.0), (0.084, 0.002)),
    ("gender_bias", "single", False): Result((93.1, 4.6), (5.4, 1.1), (0.009, 0.001)),
    ("gender_bias", "single", True): Result((93.9, 3.7), (5.3, 0.5), (0.009, 0.001)),
    ("gender_bias", "every", False): Result((98.3, 2.8), (3.4, 0.5), (0.176, 0.022)),
    ("gender_bias", "every", True): Result((99.9, 0.3), (3.0, 0.0), (0.117, 0.004)),
}


class Unit(NamedTuple):
    """A row of Tables 1, 2, 3 and 5: a unit, its value for each direction, and its prevalence.

    Example:
        >>> [unit.number for unit in UNITS["number_agreement", "every"]]
        [79, 776]
    """

    number: int
    values: tuple[Pair, Pair]
    prevalence: float


# Tables 1, 3, 2 and 5, by (task, intervention); the directions are those of `jaxmask.tasks`.
UNITS = {
    ("number_agreement", "single"): (
        Unit(79, ((-0.96, 0.02), (0.99, 0.01)), 100.0),
        Unit(93, ((0.95, 0.03), (-0.84, 0.09)), 100.0),
        Unit(243, ((0.91, 0.06), (0.18, 0.15)), 20.0),
        Unit(357, ((-0.99, 0.01), (0.87, 0.03)), 40.0),
        Unit(498, ((0.98, 0.01), (-0.96, 0.03)), 100.0),
        Unit(571, ((-0.99, 0.01), (0.93, 0.06)), 80.0),
        Unit(630, ((0.95, 0.03), (0.11, 0.26)), 100.0),
        Unit(776, ((-0.81, 0.05), (0.96, 0.01)), 20.0),
        Unit(988, ((1.00, 0.00), (-0.99, 0.00)), 10.0),
    ),
    ("number_agreement", "every"): (
        Unit(79, ((-0.76, 0.023), (0.99, 0.003)), 100.0),
        Unit(776, ((-0.99, 0.002), (0.99, 0.002)), 100.0),
    ),
    ("gender_bias", "single"): (
        Unit(193, ((-0.99, 0.00), (0.91, 0.01)), 100.0),
        Unit(208, ((0.99, 0.00), (-0.96, 0.01)), 100.0),
        Unit(288, ((-0.99, 0.00), (-0.47, 0.14)), 100.0),
        Unit(455, ((-0.99, 0.00), (0.10, 0.01)), 20.0),
        Unit(456, ((0.99, 0.00), (-0.98, 0.00)), 100.0),
        Unit(513, ((0.98, 0.00), (-0.74, 0.00)), 10.0),
        Unit(563, ((-0.99, 0.00), (0.96, 0.01)), 100.0),
    ),
    ("gender_bias", "every"): (
        Unit(288, ((-0.98, 0.00), (0.53, 0.05)), 100.0),
        Unit(456, ((0.98, 0.00), (-0.98, 0.01)), 100.0),
        Unit(1184, ((-0.98, 0.00), (0.99, 0.00)), 100.0),
    ),
}

TABLES = {
    ("number_agreement", "single"): "Table 1",
    ("gender_bias", "single"): "Table 2",
    ("number_agreement", "every"): "Table 3",
    ("gender_bias", "every"): "Table 5",
}

# Units of Table 3 that Lakretz et al. found by ablation.
FOUND_BY_LAKRETZ = (776,)


class Alternative(NamedTuple):
    """A row of Table 6: single-step number agreement.

    Attributes:
        name: of the method.
        alpha: of the method.
        accuracy: in percent.
        units: number of units.
        hours: on one GPU; None if the paper doesn't say.

    Example:
        >>> ALTERNATIVES[-1].name, ALTERNATIVES[-1].hours
        ('Hard Concrete', 0.5)
    """

    name: str
    alpha: float
    accuracy: float
    units: float
    hours: float | None


ALTERNATIVES = (
    Alternative("SFE / REINFORCE", 0.05, 100.0, 20.0, 5.2),
    Alternative("SFE / REINFORCE", 0.02, 87.6, 6.0, 3.6),
    Alternative("Integrated Gradients", 0.005, 22.5, 7.0, None),
    Alternative("Integrated Gradients", 0.01, 28.1, 13.0, None),
    Alternative("Integrated Gradients", 0.02, 31.5, 26.0, None),
    Alternative("Hard Concrete", 0.02, 91.5, 5.7, 0.5),
)


class Robustness(NamedTuple):
    """Results on several language models that differ in their seed.

    Attributes:
        models: number of models.
        runs: number of runs on each model.
        accuracy: in percent.
        units: number of units.

    Example:
        >>> FIVE_MODELS.models, FIVE_MODELS.units
        (5, (4.7, 0.5))
    """

    models: int
    runs: int
    accuracy: Pair
    units: Pair


FIVE_MODELS = Robustness(5, 3, (88.7, 2.6), (4.7, 0.5))
