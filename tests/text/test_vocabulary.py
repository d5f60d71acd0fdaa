import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmask.text.vocabulary import END_OF_SENTENCE, UNKNOWN, Vocabulary, VocabularyError

SPECIAL = (UNKNOWN, END_OF_SENTENCE)


@given(st.permutations((*SPECIAL, "the", "Über", "'s", "日本", "<eos")))
def test_words_are_numbered_in_their_order(words):
    vocabulary = Vocabulary(words)
    assert len(vocabulary) == len(words)
    assert vocabulary.encode(words) == list(range(len(words)))
    assert vocabulary.encode(["absent", "The"]) == [words.index(UNKNOWN)] * 2
    assert "the" in vocabulary
    assert "The" not in vocabulary


def test_comes_back_from_a_file(tmp_path):
    words = (*SPECIAL, "Über", "'s", "\N{ZERO WIDTH SPACE}", "日本")
    Vocabulary(words).save(tmp_path / "vocab.txt")
    assert (tmp_path / "vocab.txt").read_bytes() == ("\n".join(words) + "\n").encode()
    assert Vocabulary.load(tmp_path / "vocab.txt").words == words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*SPECIAL, "a b"), "line 3: expected one word, found 'a b'"),
        ((*SPECIAL, ""), "line 3: expected one word, found ''"),
        ((*SPECIAL, "a\t"), "line 3: expected one word"),
        ((*SPECIAL, "a\N{NO-BREAK SPACE}"), "line 3: expected one word"),
        ((*SPECIAL, "a", "b", "a"), "line 5: 'a' again, first in line 3"),
        ((UNKNOWN, "a"), "<eos> is missing"),
        ((), "<eos> is missing"),
    ],
)
def test_what_is_no_vocabulary_is_an_error_that_says_where(words, message):
    with pytest.raises(VocabularyError, match=f"vocab.txt.*{message}"):
        Vocabulary(words, "vocab.txt")


def test_an_unknown_word_is_optional():
    vocabulary = Vocabulary((END_OF_SENTENCE, "a"))
    assert vocabulary.encode(["a", END_OF_SENTENCE]) == [1, 0]
    with pytest.raises(VocabularyError, match="expected known words, as it has no <unk>, found 'b"):
        vocabulary.encode(["a", "b"])


@pytest.mark.parametrize("content", [b"<unk>\n<eos>\ncaf\xe9\n", None])
def test_a_file_that_is_no_text_is_an_error(content, tmp_path):
    file = tmp_path / "vocab.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(VocabularyError, match=r"vocab\.txt: can't be read as UTF-8"):
        Vocabulary.load(file)


@pytest.mark.parametrize("content", [b"", b"<unk>\n\n<eos>\n", b"<unk>\n<eos>\n\n"])
def test_empty_lines_are_errors(content, tmp_path):
    file = tmp_path / "vocab.txt"
    file.write_bytes(content)
    with pytest.raises(VocabularyError, match=r"line \d: expected one word, found ''"):
        Vocabulary.load(file)
