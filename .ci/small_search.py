"""A small search from end to end, to try a version of Python or of a package."""

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import jax

import jaxmask
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMConfig, init_params
from jaxmask.text.vocabulary import Vocabulary

words = ("<unk>", "<eos>", "The", "the", "boy", "boys", "girl", "girls", "sees", "see")
lines = ["sentence\tposition\tsingular\tplural"]
lines += [f"The {noun}\t2\tsees\tsee" for noun in words[4:8]]
lines += [f"The {noun} the {other}\t2\tsees\tsee" for noun in words[4:8] for other in words[4:8]]

config = LSTMConfig(vocabulary=len(words), embedding=3, hidden=4)
model = LSTMModel("tiny", config, init_params(jax.random.key(0), config), Vocabulary(words))
plan = jaxmask.Plan(jaxmask.SearchConfig(steps=10, exchange_rounds=1), seeds=2)
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "pairs.tsv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = jaxmask.find(file, model, units=2, plan=plan)
    found.save(Path(folder) / "found.json")
    saved = jaxmask.load_intervention(Path(folder) / "found.json", model)
    figures = len(found.draw())

assert jaxmask.units(saved.intervention.mask) == found.units
assert len(found.units) == 2
print(
    f"Python {sys.version.split()[0]}, JAX {jax.__version__}, Flax {version('flax')}: units "
    f"{found.units}, {figures} figures"
)
