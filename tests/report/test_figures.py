import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from jaxmask.intervention import Site
from jaxmask.report import figures

WORDS = ("the", "photographers", "that", "the", "well-known", "uncle")
UNITS = (3, 8, 12, 20)
HIDDEN = 10
SITE = Site("hidden", layers=2, width=HIDDEN)


def states():
    rng = np.random.default_rng(0)
    original = np.tanh(rng.normal(size=(len(WORDS), 2 * HIDDEN))).astype(np.float32)
    intervened = original.copy()
    intervened[1, [unit - 1 for unit in UNITS]] = 0.9
    return original, intervened


def activations(units=UNITS, where=(1,)):
    original, intervened = states()
    acts = np.isin(np.arange(len(WORDS)), where)
    sentence = figures.Activations(WORDS, original, intervened, acts, SITE)
    return figures.activations(sentence, units, "A title")


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


def test_characters_that_the_font_lacks_come_from_another_one(monkeypatch, tmp_path):
    monkeypatch.setattr(figures.style, "FURTHER_FONTS", ("not installed", "cmr10"))
    figure = Figure()
    chinese, latin = figure.text(0.5, 0.5, "\u5355"), figure.text(0.5, 0.2, "número\n-> $x$")
    with pytest.warns(UserWarning, match="Glyph 21333"):  # as this font lacks it, too
        figures.save(figure, tmp_path / "figure.png")
    assert chinese.get_fontfamily()[-1] == "cmr10"
    assert "cmr10" not in latin.get_fontfamily()


def test_a_single_number_of_units_is_the_only_tick():
    curve = figures.Curve(np.array([8]), np.array([[40.0]]))
    (axes,) = figures.accuracy_against_units({"greedy": curve, "search": curve}).axes
    assert axes.get_xticks().tolist() == [8]
    assert axes.get_xlim() == (7, 9)


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


ROWS = {"to plural": 4, "to singular": 3}


def heat_maps(units=UNITS, where=(1,), rows=ROWS):
    original = np.stack([states()[0]] * sum(rows.values()))
    original *= np.linspace(0.1, 1.0, len(original), dtype=np.float32)[:, None, None]
    intervened = original.copy()
    intervened[:, 1, [unit - 1 for unit in units]] = 0.9
    acts = np.isin(np.arange(len(WORDS)), where)
    sentences = figures.Activations(WORDS, original, intervened, acts, SITE)
    figure = figures.heat_maps(sentences, units, rows, "7 held-out sentences")
    return figure, original, intervened


def panels(figure):
    """Untouched and intervened panel of each unit, without the colour bar."""
    drawn = [axes for axes in figure.axes if axes.get_images()]
    return list(zip(drawn[::2], drawn[1::2], strict=True))


def test_heat_maps_show_each_unit_untouched_beside_intervened():
    figure, original, intervened = heat_maps()
    assert len(panels(figure)) == len(UNITS)
    for pair, unit in zip(panels(figure), UNITS, strict=True):
        for panel, shown in zip(pair, (original, intervened), strict=True):
            (image,) = panel.get_images()
            np.testing.assert_array_equal(image.get_array(), shown[:, :, unit - 1])
            assert image.get_clim() == (-1, 1)  # so that grey is 0 in every panel
            assert [tick.get_text() for tick in panel.get_xticklabels()] == list(WORDS)
        assert [panel.get_title() for panel in pair] == ["untouched", "with intervention"]


def test_heat_maps_name_blocks_of_rows_in_their_middle():
    figure, _, _ = heat_maps()
    left, _ = panels(figure)[0]
    assert [tick.get_text() for tick in left.get_yticklabels()] == list(ROWS)
    assert list(left.get_yticks()) == [1.5, 5.0]  # rows 0 to 3 and 4 to 6
    assert [set(line.get_ydata()) for line in left.get_lines()] == [{3.5}]


@pytest.mark.parametrize("where", [(1,), (0, 1, 2, 3, 4, 5)])
def test_heat_maps_mark_where_the_intervention_acts(where):
    figure, _, _ = heat_maps(where=where, rows={"to plural": 7})
    untouched, altered = panels(figure)[0]
    assert not untouched.get_lines()
    assert [np.mean(line.get_xdata()) for line in altered.get_lines()] == list(where)
    (bars,) = next(part.legends for part in figure.subfigs if part.legends)
    assert bars.get_texts()[0].get_text() == f"intervened word{'s' * (len(where) > 1)}"


def test_what_is_past_the_end_of_a_sentence_is_white():
    assert figures.ACTIVATION_COLOURS(np.ma.masked_invalid([np.nan]))[0] == pytest.approx(1.0)


def test_activation_colours_diverge_in_hue_and_rise_in_lightness():
    colours = figures.ACTIVATION_COLOURS(np.linspace(0, 1, 101))[:, :3]
    linear = np.where(colours > 0.04045, ((colours + 0.055) / 1.055) ** 2.4, colours / 12.92)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert np.all(np.diff(luminance) > 0)
    assert luminance[-1] / luminance[50] > 2
    assert luminance[50] / luminance[0] > 2
    assert np.ptp(colours[50]) < 0.05  # 0 is grey
    assert colours[0].argmax() == 2  # -1 is blue
    assert colours[-1].argmin() == 2  # 1 is yellow


@pytest.mark.parametrize("units", [(3,), (3, 8), (3, 8, 12), UNITS])
@pytest.mark.parametrize("sentences", [1, 300])
def test_heat_maps_fit_their_page(units, sentences, tmp_path):
    figure, _, _ = heat_maps(units, rows={"to a direction": sentences, "to another": 1})
    figures.save(figure, tmp_path / "figure.png")
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


def ticks(axis):
    """The labels that are seen."""
    low, high = sorted(axis.get_view_interval())
    places = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
    return [label.get_text() for place, label in places if low <= place <= high]


@pytest.mark.parametrize(("units", "labels"), [
    ((14.0, 11.0), {"11", "12", "13", "14"}),
    ((90_000.0, 1_200.0), {"50,000", "20,000", "10,000", "5,000", "2,000"}),
    ((3.0, 0.0), {"0", "1", "2"}),
])  # fmt: skip
def test_units_have_labels_whatever_their_range(units, labels):
    """Between 11 and 14 a logarithmic axis has none."""
    steps, zeros = np.arange(10, 160, 10), np.zeros((2, 15))
    curve = np.linspace(*units, 15)[None] + zeros
    drawn = figures.training_curves(steps, zeros, curve, curve, zeros)
    drawn.draw_without_rendering()
    assert labels <= set(ticks(drawn.axes[1].yaxis))
    assert set(ticks(drawn.axes[2].yaxis)) >= {"0", "1"}


@pytest.mark.parametrize("steps", [[10], [10, 20]])
def test_a_search_of_one_chunk_has_its_steps_on_the_axis(steps):
    values = np.ones((1, len(steps)))
    drawn = figures.training_curves(np.array(steps), values, values, values, 0 * values)
    drawn.draw_without_rendering()
    assert ticks(drawn.axes[2].xaxis) == [str(step) for step in steps]
