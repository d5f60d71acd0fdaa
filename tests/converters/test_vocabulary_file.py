"""Vocabularies as other programs write them."""

import json

import pytest

from converters.vocabulary_file import Marks, read_vocabulary
from jaxmask.text.vocabulary import VocabularyError

WORDS = ("<unk>", "<eos>", "the", "boy", "boys")


def read(folder, content, marks=None, name="vocab.txt"):
    file = folder / name
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content, encoding="utf-8")
    vocabulary, notes = read_vocabulary(file, marks or Marks())
    return vocabulary.words, notes


def lines(*words):
    return "".join(f"{word}\n" for word in words)


@pytest.mark.parametrize(
    "content",
    [
        lines(*WORDS),
        lines(*WORDS).removesuffix("\n"),
        lines(*WORDS).replace("\n", "\r\n"),
        b"\xef\xbb\xbf" + lines(*WORDS).encode(),
    ],
)
def test_a_word_a_line_needs_no_note(tmp_path, content):
    assert read(tmp_path, content) == (WORDS, [])


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (lines(*(f"{w}\t{9 - n}" for n, w in enumerate(WORDS))), "a word, a tab and its count in"),
        (lines(*(f"{w} {7}" for w in WORDS)), "a word, a space and its count in each line"),
        (lines(*(f"{w}\t{n}" for n, w in enumerate(WORDS))), "a word, a tab and its index in"),
        (lines(*(f"{w} {n}" for n, w in reversed([*enumerate(WORDS)]))), "a space and its index"),
        (lines(*(f"{n}\t{w}" for n, w in enumerate(WORDS))), "an index, a tab and a word in each"),
        (json.dumps({w: n for n, w in enumerate(WORDS)}), "read as JSON"),
        (json.dumps({w: n for n, w in reversed([*enumerate(WORDS)])}, indent=1), "read as JSON"),
        (json.dumps({str(n): w for n, w in enumerate(WORDS)}), "read as JSON"),
        (json.dumps(WORDS), "read as JSON"),
        (json.dumps({"idx2word": WORDS, "total": 5}), "read as JSON"),
        (json.dumps({"model": {"vocab": {w: n for n, w in enumerate(WORDS)}}}), "read as JSON"),
    ],
)
def test_other_notations(tmp_path, content, note):
    words, (said,) = read(tmp_path, content)
    assert words == WORDS
    assert note in said


def test_words_that_look_like_a_notation(tmp_path):
    """Numbers and brackets are words of most vocabularies."""
    for words in (("{", "<eos>", "<unk>", "}"), ("[", "]", "<eos>", "<unk>", "12", "7")):
        assert read(tmp_path, lines(*words)) == (words, [])


def test_an_unknown_word_is_optional(tmp_path):
    words, (note,) = read(tmp_path, lines(*WORDS[1:]))
    assert words == WORDS[1:]
    assert note == "no word for unknown words: pairs with other words will be dropped"


@pytest.mark.parametrize(
    ("unknown", "end"),
    [("<UNK>", "</s>"), ("[UNK]", "[SEP]"), ("UNK", "EOS"), ("<oov>", "<|endoftext|>")],
)
def test_marks_of_other_names(tmp_path, unknown, end):
    content = lines(unknown, end, *WORDS[2:])
    assert read(tmp_path, content, Marks(unknown, end)) == (WORDS, [])
    with pytest.raises(VocabularyError) as fault:
        read(tmp_path, content)
    assert f"--unknown '{unknown}' --end '{end}'" in str(fault.value)


def test_marks_that_are_not_there(tmp_path):
    with pytest.raises(VocabularyError, match=r"<eos> is missing; .* --end 'WORD'"):
        read(tmp_path, lines("<unk>", *WORDS[2:]))
    with pytest.raises(VocabularyError, match=r"<nix> is missing; .* --unknown '<unk>'"):
        read(tmp_path, lines(*WORDS), Marks(unknown="<nix>"))
    with pytest.raises(VocabularyError, match="'<unk>' again"):
        read(tmp_path, lines("<UNK>", *WORDS), Marks(unknown="<UNK>"))


def test_a_word_that_is_there_twice(tmp_path):
    content = lines(*WORDS, "the")
    with pytest.raises(VocabularyError, match=r"line 6: 'the' again, first in line 3 .*--duplicat"):
        read(tmp_path, content)
    last, _ = read(tmp_path, content, Marks(duplicates="last"))
    assert last == ("<unk>", "<eos>", "<line-3-the>", "boy", "boys", "the")
    first, _ = read(tmp_path, content, Marks(duplicates="first"))
    assert first == (*WORDS, "<line-6-the>")


@pytest.mark.parametrize("word", ["\u00e0", "caf\u00e9", "\u65e5\u672c", "na\u00efve", "\u201c"])
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_a_file_in_a_wrong_encoding(tmp_path, word, encoding):
    """UTF-8 that was read in another encoding and written again."""
    try:
        broken = [w.encode().decode(encoding) for w in (word, f"{word}s", f"{word}l")]
    except UnicodeDecodeError:
        pytest.skip("cp1252 has no such byte")
    if any(len(w.splitlines()) != 1 for w in broken):
        pytest.skip("a control character")
    content = lines(*WORDS, *broken)
    with pytest.raises(VocabularyError, match=rf"line 6: .*it means '{word}'.*iconv -f utf-8 -t"):
        read(tmp_path, content)
    assert read(tmp_path, lines(*WORDS, word, f"{word}s"))[0][5:] == (word, f"{word}s")


def test_some_broken_words_are_the_texts(tmp_path):
    """Text from the web has them; a vocabulary of such text is no broken file."""
    words = (*WORDS, "caf\u00c3\u00a9", "na\u00efve", "\u00fcber")
    assert read(tmp_path, lines(*words)) == (words, [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "can't be read as UTF-8 text"),
        (b"caf\xe9\n", "can't be read as UTF-8 text"),
        ("<unk>\n<eos>\n".encode("utf-16"), "UTF-16"),
        (b"", "<eos> is missing"),
        (b"<unk>\n<eos>\na b\n", "line 3: expected one word, found 'a b'"),
        (b"<unk>\n<eos>\na\t3\n", "line 3: expected one word"),
        (b'{"<unk>": 0, "<eos>": 2}', "expected the indices 0 to 1 of 2 words, .*; missing: 1"),
        (b'{"<unk>": 0, "<eos>": 0}', "missing: 1"),
        (b'{"<unk>": 0, "<eos>": true}', "missing: 1"),
        (b'{"<unk>": 0, "<eos>": null}', "missing: 1"),
        (b'["<unk>", 3]', "expected words, found another value at 1"),
        (b"{" * 100_000, "<eos> is missing"),
        (b"[]", "<eos> is missing"),
        (b"{}", "<eos> is missing"),
    ],
)
def test_what_is_no_vocabulary_is_an_error(tmp_path, content, message):
    file = tmp_path / "vocab.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(VocabularyError, match=rf"vocab\.txt.*{message}") as fault:
        read_vocabulary(file)
    assert str(fault.value).isprintable()
    assert len(str(fault.value)) < 1500
