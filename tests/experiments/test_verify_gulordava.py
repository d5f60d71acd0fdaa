"""The two protocols against a loop in plain numpy, and against files that aren't what they should.

tests/parity compares them with PyTorch, step by step.
"""

import csv
import pickle

import jax
import numpy as np
import pytest
from support import gulordava_files as files

from experiments import verify_gulordava as module
from experiments.studies.gulordava_reference import read_generated, read_nounpp
from experiments.verify_gulordava import differences, verify
from jaxmask.models import model_folder
from jaxmask.models.lstm import network
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.text.examples import PRIMER, TaskDataError
from jaxmask.text.vocabulary import Vocabulary


def tiny_model(words=files.WORDS):
    config = network.LSTMConfig(len(words), embedding=5, hidden=6)
    params = jax.tree.map(lambda x: 4 * x, network.init_params(jax.random.key(3), config))
    bias = jax.random.normal(jax.random.key(4), (len(words),))
    params["decoder"] = {"weight": 5 * params["decoder"]["weight"], "bias": bias}
    return LSTMModel("tiny", config, params, Vocabulary(words))


MODEL = tiny_model()


def read_word(word, state):
    """The LSTM's equations for one word; a state is a list of (h, c), one a layer."""
    params = jax.tree.map(np.asarray, MODEL.params)
    (token,) = MODEL.vocabulary.encode([word])
    x, after = params["encoder"]["embedding"][token], []
    for (h, c), layer in zip(state, params["lstm"].values(), strict=True):
        gates = x @ layer["input_kernel"] + h @ layer["recurrent_kernel"] + layer["bias"]
        i, f, g, o = np.split(gates, 4)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        x = np.tanh(c) / (1 + np.exp(-o))
        after.append((x, c))
    return after


def zero():
    return [(np.zeros(6, np.float32), np.zeros(6, np.float32))] * 2


def read(words, state):
    for word in words:
        state = read_word(word, state)
    return state


def log_probs_of(forms, state):
    weight, bias = (np.asarray(MODEL.params["decoder"][name]) for name in ("weight", "bias"))
    logits = weight @ state[-1][0] + bias
    return (logits - np.log(np.sum(np.exp(logits))))[MODEL.vocabulary.encode(forms)]


def naive_nounpp(context=PRIMER):
    return [
        log_probs_of(forms, read([*context, *sentence.split()[:-1]], zero()))
        for sentence, forms in zip(files.NOUNPP, files.NOUNPP_FORMS, strict=True)
    ]


def naive_generated(reset=False):
    found, state = [], zero()
    for line, place, *forms, _ in files.GENERATED:
        for number, word in enumerate(line.split()):
            if number == place:
                found.append(log_probs_of(forms, state))
            state = read_word(word, state)
        state = zero() if reset else state
    return found


@pytest.fixture
def folder(tmp_path):
    """The reference of a released model that is ours."""
    files.write(tmp_path, naive_nounpp(), naive_generated())
    return tmp_path


def verified(folder, model=MODEL):
    return {c.kind: c for c in verify(model, read_nounpp(folder), read_generated(folder))}


def faults(folder, model=MODEL):
    return [
        text for comparison in verified(folder, model).values() for text in differences(comparison)
    ]


@pytest.mark.parametrize("window", [3, 512])
def test_model_that_made_the_reference_gives_it(folder, window, monkeypatch):
    monkeypatch.setattr(module, "WINDOW", window)
    found = verified(folder)
    assert list(found) == ["nounpp", "original", "nonce"]
    assert [c.scored for c in found.values()] == [4, 2, 3]
    assert {c.left_out for c in found.values()} == {0}
    for comparison in found.values():
        assert comparison.largest < 2e-5  # six digits
        assert comparison.correlation > 0.9999
        assert comparison.ours == comparison.released
        assert not list(differences(comparison))
    right = sum(comparison.ours for comparison in found.values())
    assert 0 < right < 9, "a model that is always right or wrong would prove nothing"


def test_every_part_of_the_protocols_matters(folder):
    def largest(nounpp, generated):
        files.write(folder, nounpp, generated)
        return {kind: c.largest for kind, c in verified(folder).items()}

    assert largest(naive_nounpp(), naive_generated(reset=True))["nonce"] > 0.01
    for context in (PRIMER[:-1], ["<eos>"], []):
        assert largest(naive_nounpp(context), naive_generated())["nounpp"] > 0.01


@pytest.mark.parametrize("kind", ["nounpp", "original", "nonce"])
def test_one_other_log_probability_is_a_difference(folder, kind):
    nounpp, generated = naive_nounpp(), naive_generated()
    {"nounpp": nounpp[2], "original": generated[3], "nonce": generated[4]}[kind][1] -= 2e-3
    files.write(folder, nounpp, generated)
    assert faults(folder) == [f"{kind}: log-probabilities differ by up to 0.002 nats"]


def test_another_number_of_right_sentences_is_a_difference(folder):
    item = read_nounpp(folder).items[0]
    ours = np.array([[-1.0, -1.0001]])
    (comparison,) = module.compare(
        [item._replace(log_probs=(-1.0, -0.9999))], ours, MODEL.vocabulary
    )
    assert list(differences(comparison)) == ["nounpp: 1 of 1 right, expected 0"]


def test_forms_outside_the_vocabulary_are_left_out_and_told(folder):
    smaller = tiny_model([word for word in files.WORDS if word != "affirm"])
    assert verified(folder, smaller)["nonce"].scored == 1
    assert "nonce: 2 left out, with forms outside the vocabulary" in faults(folder, smaller)
    smaller = tiny_model([word for word in files.WORDS if word not in ("sleep", "sleeps")])
    with pytest.raises(TaskDataError, match="original: expected forms in the vocabulary"):
        verified(folder, smaller)


def edit(name, old, new):
    def change(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def remove(name):
    return lambda folder: (folder / name).unlink()


def pickled(**changes):
    def change(folder):
        content = files.nounpp_content(naive_nounpp()) | changes
        (folder / "nounpp.abl").write_bytes(pickle.dumps(content, protocol=4))

    return change


def cut(folder):
    file = folder / "nounpp.abl"
    file.write_bytes(file.read_bytes()[:-40])


column = np.zeros((len(files.NOUNPP), 1))
sentences = [sentence.split() for sentence in files.NOUNPP]
FAULTS = {
    "no pickle": (remove("nounpp.abl"), "nounpp.abl: expected a file to read"),
    "cut pickle": (cut, "nounpp.abl: expected a pickle, found a broken one"),
    "other pickle": (pickled(sentences="text"), "nounpp.abl: expected sentences"),
    "other place": (
        pickled(verb_pos=[5, 5, 4, 5]),
        "nounpp.abl: expected sentences, with verb_pos 5 for each",
    ),
    "fewer places": (pickled(verb_pos=[5]), "nounpp.abl: expected a place and log-probabilities"),
    "no array": (pickled(log_p_targets_wrong=[0.0]), "log_p_targets_wrong: expected an array"),
    "two columns": (
        pickled(log_p_targets_wrong=np.zeros((2, 2))),
        "log_p_targets_wrong: expected an array of float64 with one column",
    ),
    "float32": (pickled(log_p_targets_correct=column.astype("f4")), "correct: expected an array"),
    "big-endian": (pickled(log_p_targets_correct=column.astype(">f8")), "expected an array"),
    "fewer numbers": (pickled(log_p_targets_correct=column[1:]), "expected a place and log-prob"),
    "NaN in array": (pickled(log_p_targets_wrong=column + np.nan), "found NaN or infinity"),
    "short sentence": (
        pickled(sentences=[sentences[0][1:], *sentences[1:]]),
        "nounpp.abl, sentence 0: expected 5 words and a verb",
    ),
    "number in sentence": (
        pickled(sentences=[*sentences[:-1], [1, *sentences[-1][1:]]]),
        "nounpp.abl, sentence 3: expected 5 words and a verb",
    ),
    "other verb": (
        pickled(sentences=[*sentences[:-1], [*sentences[-1][:-1], "sleeps"]]),
        "sentence 3: expected one of the task's verbs, found 'sleeps'",
    ),
    "no text": (remove("generated.text"), "generated.text: expected a file to read"),
    "no places": (remove("generated.eval"), "generated.eval: expected a file to read"),
    "no table": (remove("best_model.tab"), "best_model.tab: expected a file to read"),
    "empty table": (
        lambda folder: (folder / "best_model.tab").write_text(""),
        "best_model.tab: expected columns class, form, sent, type",
    ),
    "no column": (edit("best_model.tab", "form\t", "from\t"), "expected columns form, found none"),
    "fewer rows": (
        lambda folder: (folder / "generated.text").write_text("The car <eos>\n"),
        "found 1, 5 and 10",
    ),
    "other sentence": (
        edit("generated.text", "The boy", "The boys"),
        "rows 5 and 6: expected the sentence in line 3 of generated.text",
    ),
    "place too far": (
        edit("generated.eval", "2", "4"),
        "generated.eval, line 3: expected a number from 1 to 3, found '4'",
    ),
    "no number": (edit("generated.eval", "3", "three"), "line 2: expected a number"),
    "first place": (edit("generated.eval", "5", "0"), "line 1: expected a number from 1 to 6"),
    "order": (
        edit("best_model.tab", "\twrong\t", "\tcorrect\t"),
        "best_model.tab, row 2: expected class wrong and type original or generated",
    ),
    "type": (edit("best_model.tab", "\toriginal\t", "\treal\t"), "row 3: expected class correct"),
    "odd row": (edit("best_model.tab", "\tcorrect\tgenerated", ""), "row 1: expected 5 columns"),
    "longer row": (edit("best_model.tab", "\tcorrect\t", "\tcorrect\t\t"), "row 1: expected 5 col"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_ill_formed_files_are_refused(folder, fault):
    spoil, message = FAULTS[fault]
    spoil(folder)
    with pytest.raises(TaskDataError) as refused:
        _ = read_nounpp(folder), read_generated(folder)
    assert message in str(refused.value)
    assert str(folder) in str(refused.value)


@pytest.mark.parametrize(("value", "message"), [("nan", "found NaN"), ("low", "expected a number")])
def test_table_without_a_number_is_refused(folder, value, message):
    file = folder / "best_model.tab"
    lines = file.read_text().split("\n")
    lines[4] = lines[4].rpartition("\t")[0] + "\t" + value
    file.write_text("\n".join(lines))
    with pytest.raises(TaskDataError, match=rf"row 4: .*{message}"):
        read_generated(folder)


def test_table_that_ends_within_a_pair_is_refused(folder):
    file = folder / "best_model.tab"
    file.write_text(file.read_text().rstrip("\n").rpartition("\n")[0] + "\n")
    with pytest.raises(TaskDataError, match="row 9: expected a row for the wrong form after it"):
        read_generated(folder)


class Hostile:
    """Writes a file when Python unpickles it."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (self.file.write_text, ("run",))


def test_pickle_is_read_and_not_run(folder, tmp_path):
    written = tmp_path / "written"
    pickled(nattr=Hostile(written))(folder)
    assert len(read_nounpp(folder).items) == len(files.NOUNPP)
    assert not written.exists()


def run(folder, monkeypatch, capsys):
    """Standard output, and what the script stops with, or None."""
    model_folder.save_model(folder / "model", MODEL)
    model, reference = str(folder / "model"), str(folder)
    monkeypatch.setattr(
        "sys.argv", ["verify_gulordava", "--model", model, "--reference", reference]
    )
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    code = None
    try:
        module.main()
    except SystemExit as stop:
        code = stop.code
    return capsys.readouterr().out, code


def test_script_prints_a_table_and_fails_where_models_differ(folder, monkeypatch, capsys):
    out, code = run(folder, monkeypatch, capsys)
    assert code is None
    assert "gives the released model's published outputs" in out
    assert max(map(len, out.splitlines())) <= 80
    for kind, scored in {"nounpp": 4, "original": 2, "nonce": 3}.items():
        (row,) = (line.split() for line in out.splitlines() if line.startswith(f"{kind} "))
        assert row[1:3] == [str(scored), "1.000000"]

    files.write(folder, naive_nounpp(["<eos>"]), naive_generated())
    out, code = run(folder, monkeypatch, capsys)
    assert "nounpp " in out
    assert "published outputs" not in out
    assert code.startswith("error: this is not the released model\n  nounpp: log-probabilities")

    (folder / "nounpp.abl").unlink()
    out, code = run(folder, monkeypatch, capsys)
    assert not out
    assert code.startswith(f"error: {folder / 'nounpp.abl'}: expected a file to read")


def test_the_published_files(shared):
    folder = shared / "data" / "gulordava" / "reference"
    nounpp, generated = read_nounpp(folder), read_generated(folder)
    counts = {}
    for item in [*nounpp.items, *generated.items]:
        right, all_of_kind = counts.get(item.kind, (0, 0))
        counts[item.kind] = (right + (item.log_probs[0] > item.log_probs[1]), all_of_kind + 1)
    assert counts == {"nounpp": (3773, 4000), "original": (33, 41), "nonce": (265, 369)}
    with (folder / "nounpp_reference.tsv").open(encoding="utf-8") as flat:
        rows = list(csv.DictReader(flat, delimiter="\t"))
    for row, item, prefix in zip(rows, nounpp.items, nounpp.prefixes, strict=True):
        assert [*prefix, item.forms[0]] == row["sentence"].split()
        assert item.forms == (row["correct"], row["wrong"])
        assert item.log_probs == (float(row["logp_correct"]), float(row["logp_wrong"]))
    gold = (folder / "generated.gold").read_text(encoding="utf-8").splitlines()
    assert [item.forms for item in generated.items] == [tuple(x.split("\t")[6:8]) for x in gold]
