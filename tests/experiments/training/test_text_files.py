"""Text to train on: its vocabulary, and its words as numbers."""

import lzma

from experiments.training.text_files import build_vocabulary, encode
from jaxmask.text import corpus

SENTENCES = ["the cat sees a dog .", "a dog sees the cat . <eos>", "", "dogs see cats ."]


def test_built_vocabulary_holds_frequent_and_kept_words(tmp_path):
    plain, compressed, valid = (tmp_path / name for name in ("a.txt", "b.txt.xz", "valid.txt"))
    plain.write_text("\n".join(SENTENCES * 90))
    with lzma.open(compressed, "wt") as file:
        file.write("\n".join(SENTENCES[::-1] * 90))
    valid.write_text("a cat sees the unicorn .\n" * 3)
    vocabulary = build_vocabulary([plain, compressed], 6, keep=["unicorn"])
    assert vocabulary.words == ("<unk>", ".", "<eos>", "cat", "the", "unicorn")
    encoded = corpus.read(encode([valid], vocabulary, tmp_path / "tokens"))
    assert encoded.tolist() == 3 * [0, 3, 0, 4, 5, 1, 2]
