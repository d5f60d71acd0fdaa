import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmask.text.examples import (
    CONTEXTS,
    PRIMER,
    Dropped,
    Stimulus,
    Task,
    TaskDataError,
    encode,
    word_list,
)
from jaxmask.text.text_files import read_text
from jaxmask.text.vocabulary import END_OF_SENTENCE, UNKNOWN, Vocabulary

SPECIAL = (UNKNOWN, END_OF_SENTENCE)
SENTENCE_WORDS = word_list("The boy cat girl near that under")
FORMS = word_list("go goes like likes run runs")


@st.composite
def stimuli(draw):
    words = tuple(draw(st.lists(st.sampled_from(SENTENCE_WORDS), min_size=1, max_size=5)))
    position = draw(st.integers(0, len(words) - 1))
    pair = tuple(draw(st.permutations(FORMS))[:2])
    return Stimulus(
        words, position, pair, draw(st.sampled_from((-1, 0, 1))), draw(st.sampled_from("xyz"))
    )


def as_task(*items):
    return Task("test", ("first", "second"), items)


def decode(encoded, vocabulary):
    """The stimuli that arrays stand for."""
    examples = encoded.examples
    return [
        Stimulus(
            tuple(vocabulary.words[i] for i in examples.tokens[row, : examples.length[row]]),
            int(examples.position[row]),
            tuple(vocabulary.words[i] for i in examples.pair[row]),
            int(examples.correct[row]),
            encoded.groups[examples.group[row]],
        )
        for row in range(examples.size)
    ]


@given(
    st.lists(stimuli(), min_size=1, max_size=8), st.permutations(SPECIAL + SENTENCE_WORDS + FORMS)
)
def test_what_is_encoded_decodes_to_the_same_text_in_any_order_of_the_vocabulary(items, words):
    vocabulary = Vocabulary(words)
    encoded = encode(as_task(*items), vocabulary)
    assert decode(encoded, vocabulary) == items
    assert encoded.dropped == Dropped(0, 0, ())
    assert encoded.unknown == 0
    assert np.all(encoded.examples.direction == -1)
    assert all(field.dtype == np.int32 for field in encoded.examples)
    padding = np.arange(encoded.examples.tokens.shape[1]) >= encoded.examples.length[:, None]
    assert np.all(encoded.examples.tokens[padding] == 0)


@given(
    st.lists(stimuli(), min_size=1, max_size=8), st.sets(st.sampled_from(SENTENCE_WORDS + FORMS))
)
def test_every_word_outside_the_vocabulary_is_accounted_for(items, missing):
    words = [word for word in SPECIAL + SENTENCE_WORDS + FORMS if word not in missing]
    vocabulary = Vocabulary(words)
    kept = [
        item
        for item in items
        if not missing & set(item.pair) and item.words[item.position] not in missing
    ]
    if not kept:
        with pytest.raises(TaskDataError, match="found none"):
            encode(as_task(*items), vocabulary)
        return
    encoded = encode(as_task(*items), vocabulary)
    replaced = [
        item._replace(words=tuple(UNKNOWN if w in missing else w for w in item.words))
        for item in kept
    ]
    assert decode(encoded, vocabulary) == replaced
    assert encoded.unknown == sum(word in missing for item in kept for word in item.words)
    assert encoded.dropped.pair == sum(bool(missing & set(item.pair)) for item in items)
    assert encoded.dropped.total == len(items) - len(kept)
    assert set(encoded.dropped.words) <= missing
    assert encoded.groups == tuple(sorted({item.group for item in items}))


GOOD = Stimulus(("The", "boy", "near"), 1, ("goes", "go"), 0, "x")


def test_dropped_words_are_named_once_and_sorted():
    lost = (
        GOOD._replace(pair=("runs", "run")),
        GOOD._replace(pair=("goes", "run")),
        GOOD._replace(words=("The", "cat", "near")),
        GOOD._replace(words=("The", "cat"), pair=("runs", "run")),
    )
    encoded = encode(as_task(*lost, GOOD), Vocabulary((*SPECIAL, "The", "boy", "goes", "go")))
    assert encoded.dropped == Dropped(3, 1, ("cat", "run", "runs"))
    assert encoded.unknown == 1


def test_the_unknown_word_itself_is_no_word_to_measure():
    vocabulary = Vocabulary((*SPECIAL, "The", "boy", "near", "goes", "go"))
    encoded = encode(as_task(GOOD, GOOD._replace(pair=("goes", UNKNOWN))), vocabulary)
    assert encoded.dropped == Dropped(1, 0, (UNKNOWN,))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"words": ()}, "expected a sentence, found no words"),
        ({"position": 3}, "expected a position from 0 to 2, found 3"),
        ({"position": -1}, "expected a position from 0 to 2, found -1"),
        ({"pair": ("go", "go")}, "expected two different forms"),
        ({"correct": 2}, "expected correct to be -1, 0 or 1, found 2"),
    ],
)
def test_an_ill_formed_stimulus_is_named(fault, message):
    vocabulary = Vocabulary((*SPECIAL, *SENTENCE_WORDS, *FORMS))
    with pytest.raises(TaskDataError, match=f"test, stimulus 1: {message}"):
        encode(as_task(GOOD, GOOD._replace(**fault)), vocabulary)


def test_an_empty_task_is_an_error():
    with pytest.raises(TaskDataError, match="found none among 0"):
        encode(as_task(), Vocabulary(SPECIAL))


def test_contexts_end_where_a_sentence_starts():
    assert CONTEXTS["none"] == ()
    assert CONTEXTS["eos"] == (END_OF_SENTENCE,)
    assert CONTEXTS["primer"] == PRIMER
    assert PRIMER[-1] == END_OF_SENTENCE
    assert PRIMER.count(END_OF_SENTENCE) == 5


def test_the_primer_is_that_of_the_shared_notes(shared):
    notes = (shared / "data" / "README.md").read_text(encoding="utf-8")
    lines = notes[notes.index("Primer (") :].splitlines()[1:6]
    assert tuple(" ".join(line.split(". ", 1)[1] for line in lines).split()) == PRIMER


def test_text_is_read_alike_from_any_system(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"\xef\xbb\xbfa\r\nb\n")
    assert read_text(file) == "a\nb\n"
    file.write_bytes(b"caf\xe9")
    with pytest.raises(TaskDataError, match="expected UTF-8, found byte 0xe9 at 3"):
        read_text(file)
    with pytest.raises(TaskDataError, match="absent: expected a file to read"):
        read_text(tmp_path / "absent")


def test_without_an_unknown_word_any_missing_word_drops_its_pair():
    vocabulary = Vocabulary(["<eos>", "The", "boy", "near", "greets", "greet"])
    pair = ("greets", "greet")
    sentences = [("The", "boy"), ("The", "boy", "near", "cars"), ("The", "girl"), ("A", "boy")]
    stimuli = [Stimulus(words, 1, pair, 0, "g") for words in sentences]
    encoded = encode(Task("t", ("singular", "plural"), stimuli), vocabulary)
    assert encoded.examples.tokens.tolist() == [[1, 2]]
    assert encoded.dropped == Dropped(0, 1, ("A", "cars", "girl"), others=2)
    assert encoded.dropped.total == 3
    assert encoded.unknown == 0
