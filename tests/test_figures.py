import matplotlib.image
import numpy as np
import pytest

from jaxmask import figures

WORDS = ("the", "photographers", "that", "the", "well-known", "uncle")
UNITS = (3, 8, 12, 20)
HIDDEN = 10


def states():
    rng = np.random.default_rng(0)
    original = np.tanh(rng.normal(size=(len(WORDS), 2 * HIDDEN))).astype(np.float32)
    intervened = original.copy()
    intervened[1, [unit - 1 for unit in UNITS]] = 0.9
    return original, intervened


def activations(units=UNITS, where=(1,)):
    original, intervened = states()
    acts = np.isin(np.arange(len(WORDS)), where)
    return figures.activations(WORDS, original, intervened, units, acts, HIDDEN, "A title")


def lines(panel):
    return {line.get_label(): line for line in panel.get_lines()}


def test_panels_show_the_units_by_number():
    original, intervened = states()
    figure = activations()
    assert len(figure.axes) == len(UNITS)
    for panel, unit in zip(figure.axes, UNITS, strict=True):
        drawn = lines(panel)
        np.testing.assert_array_equal(drawn["untouched"].get_ydata(), original[:, unit - 1])
        np.testing.assert_array_equal(
            drawn["with intervention"].get_ydata(), intervened[:, unit - 1]
        )
    assert figure.axes[2].get_title() == "unit 12 (layer 2, column 2)"


def test_lines_differ_without_colour():
    drawn = lines(activations().axes[0])
    styles = {
        (drawn[name].get_linestyle(), drawn[name].get_marker())
        for name in ("untouched", "with intervention")
    }
    assert len({line for line, _ in styles}) == len({marker for _, marker in styles}) == 2
    colours, dashes, markers = zip(*figures.STYLES, strict=True)
    assert len(set(colours)) == len(set(dashes)) == len(set(markers)) == len(figures.STYLES)


@pytest.mark.parametrize("where", [(1,), (0, 1, 2, 3, 4, 5)])
def test_intervened_words_are_marked(where):
    panel = activations(where=where).axes[-1]
    marked = sorted(patch.get_x() + 0.5 for patch in panel.patches)
    assert marked == list(where)
    assert [tick.get_text() for tick in panel.get_xticklabels()] == list(WORDS)
    assert panel.get_ylim()[0] <= -1
    assert panel.get_ylim()[1] >= 1


@pytest.mark.parametrize("units", [(3,), (3, 8), (3, 8, 12), UNITS])
def test_nothing_is_clipped(units, tmp_path):
    figure = activations(units)
    figures.save(figure, tmp_path / "figure.png")
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


def test_save_makes_the_folder_and_150_dots_an_inch(tmp_path):
    figure = activations()
    figures.save(figure, tmp_path / "figures" / "activations.png")
    image = matplotlib.image.imread(tmp_path / "figures" / "activations.png")
    width, height = figure.get_size_inches()
    assert image.shape[:2] == (
        pytest.approx(150 * height, abs=1),
        pytest.approx(150 * width, abs=1),
    )


def test_training_curves_draw_mean_and_range():
    steps = np.arange(0, 100, 10)
    rows = np.stack([np.linspace(0, 90, 10), np.linspace(0, 30, 10)])
    target = np.full(10, 26.0)
    figure = figures.training_curves(steps, rows, rows + 1, rows // 10, rows / 100, target)
    accuracy, units, multiplier = figure.axes
    np.testing.assert_allclose(lines(accuracy)["accuracy"].get_ydata(), np.linspace(0, 60, 10))
    band = accuracy.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == (0, 90)
    assert set(lines(units)) == {"expected", "thresholded", "allowed"}
    np.testing.assert_allclose(
        lines(multiplier)["multiplier"].get_ydata(), np.linspace(0, 0.6, 10), atol=1e-12
    )


def test_accuracy_against_units_names_each_method():
    units = np.array([1, 2, 4])
    curves = {
        "greedy": figures.Curve(units, np.array([[20.0, 40.0, 80.0]])),
        "Hard Concrete": figures.Curve(units, np.array([[30.0, 60.0, 90.0], [50.0, 70.0, 90.0]])),
    }
    figure = figures.accuracy_against_units(curves)
    drawn = lines(figure.axes[0])
    np.testing.assert_array_equal(drawn["Hard Concrete"].get_ydata(), [40.0, 65.0, 90.0])
    np.testing.assert_array_equal(drawn["greedy"].get_xdata(), units)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(curves)
