"""Subwords, and minimal pairs made of them."""

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from jaxmask.text import ordinary_text, subwords
from jaxmask.text.examples import Stimulus, Task, TaskDataError
from jaxmask.text.tokenizer import Tokenizer
from jaxmask.text.vocabulary import VocabularyError

TEXT = [
    "The boys near the car greet the farmers . The boy near the cars greets a farmer .",
    "A farmer admires the boys . Some farmers admire a boy . They admired the parents .",
]


def byte_level(bos=False):
    """Subwords of bytes, as GPT-2 and Llama 3 have them."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    inner.train_from_iterator(TEXT, trainer)
    return with_beginning(inner) if bos else inner


def with_prefix():
    """Subwords with a mark in place of spaces, as Llama 2, Mistral and Gemma have them."""
    inner = tokenizers.Tokenizer(models.BPE(byte_fallback=True))
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    alphabet = {x: n for n, x in enumerate(["<s>", "▁", *"abcdefghijklmnopqrstuvwxyzTAS."])}
    merges = [("T", "h"), ("▁", "Th"), ("▁Th", "e"), ("▁", "b"), ("▁b", "o"), ("▁bo", "y")]
    for one, other in merges:
        alphabet[one + other] = len(alphabet)
    inner.model = models.BPE(vocab=alphabet, merges=merges, byte_fallback=False)
    inner.add_special_tokens(["<s>"])
    return with_beginning(inner)


def with_beginning(inner):
    number = inner.token_to_id("<s>")
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", number)]
    )
    return inner


def ours(inner, **settings):
    return Tokenizer(inner.to_str(), settings)


@pytest.mark.parametrize("make", [byte_level, with_prefix])
def test_a_text_has_the_tokens_that_its_tokenizer_gives(make):
    inner, words = make(), ["The", "boys", "near", "the", "xylophone", "."]
    tokenizer = ours(inner)
    found = tokenizer.tokens(words)
    assert found.ids == inner.encode(" ".join(words), add_special_tokens=False).ids
    assert tokenizer.encode(iter(words)) == found.ids
    # Each word's tokens spell it, and no other token does.
    start = 0
    for word, end in zip(words, found.ends, strict=True):
        spelled = "".join(tokenizer.words[token] for token in found.ids[start : end + 1])
        assert spelled.strip() == word
        start = end + 1
    assert start == len(found.ids)


def test_a_word_has_the_token_that_continues_a_sentence():
    tokenizer = ours(byte_level())
    token = tokenizer.index["boys"]
    assert tokenizer.words[token] == " boys"
    assert tokenizer.encode(["The", "boys"])[-1] == token
    assert len(tokenizer) == len(tokenizer.words) == 300
    assert dict(tokenizer.index)["boys"] == token
    assert "xylophone" not in tokenizer.index
    with pytest.raises(IndexError):
        tokenizer.words[300]


@pytest.mark.parametrize(
    ("adds", "settings", "own", "bos"),
    [
        (False, {}, (), None),
        (True, {}, (0,), None),
        (False, {"bos_token": "<s>"}, (), 0),
        (False, {"bos_token": {"content": "<s>", "lstrip": False}}, (), 0),
        (False, {"bos_token": "<s>", "add_bos_token": True}, (0,), 0),
        (True, {"bos_token": "<s>", "add_bos_token": False}, (), 0),
        (True, {"bos_token": None, "add_bos_token": None}, (0,), None),
        (False, {"bos_token": "<unheard of>"}, (), None),
    ],
)
def test_what_stands_before_a_text(adds, settings, own, bos):
    tokenizer = ours(byte_level(adds), **settings)
    assert (tokenizer.own_beginning, tokenizer.bos) == (own, bos)
    assert tokenizer.encode(["The"])[0] != 0  # never part of the text


def test_an_end_after_a_text_is_none_of_ours():
    inner = byte_level()
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A <s>", special_tokens=[("<s>", 0)]
    )
    tokenizer = ours(inner)
    assert tokenizer.own_beginning == (0,)
    assert tokenizer.encode(["The"]) == ours(byte_level()).encode(["The"])


def test_special_tokens_that_are_not_listed_are_refused():
    content = (
        byte_level(bos=True)
        .to_str()
        .replace('"SpecialToken":{"id":"<s>"', '"SpecialToken":{"id":"<t>"')
    )
    with pytest.raises(VocabularyError, match=r"post_processor: .* it lists, found '<t>'"):
        Tokenizer(content)


def test_texts_aren_t_cut_or_padded():
    inner = byte_level()
    inner.enable_truncation(3)
    inner.enable_padding(length=99)
    assert len(ours(inner).encode(["The"] * 20)) == 20


def stimulus(sentence, position, *pair):
    return Stimulus(tuple(sentence.split()), position, pair, 0, "group")


def test_an_intervention_at_a_word_acts_at_its_last_token():
    tokenizer = ours(byte_level())
    found = subwords.decision(stimulus("The xylophone near", 1, "greets", "greet"), tokenizer)
    before = tokenizer.encode(["The", "xylophone"])
    assert len(before) > 5
    assert found.position == len(before) - 1
    assert found.tokens[: len(before)] == before


def test_a_pair_is_decided_where_its_forms_differ():
    tokenizer = ours(byte_level())
    greets, greet = (tokenizer.index[word] for word in ("greets", "greet"))
    found = subwords.decision(stimulus("The boys", 1, "greets", "greet"), tokenizer)
    assert found == (tokenizer.encode(["The", "boys"]), 1, (greets, greet))
    # Of forms of several tokens, those that they share belong to the sentence.
    found = subwords.decision(stimulus("The boys", 1, "xylops", "xylopt"), tokenizer)
    one, other = (tokenizer.encode(["The", "boys", form]) for form in ("xylops", "xylopt"))
    assert found.tokens == one[:-1] == other[:-1]
    assert found.pair == (one[-1], other[-1])
    assert found.position == 1


def test_a_form_that_begins_the_other_loses_its_pair_and_is_counted():
    tokenizer = ours(with_prefix())
    lost, kept = stimulus("The boy", 1, "runs", "run"), stimulus("The boy", 1, "ran", "run")
    assert subwords.decision(lost, tokenizer) is None
    assert subwords.unknown_words(lost, tokenizer).pair == ("run",)
    assert subwords.unknown_words(kept, tokenizer) == ((), (), ())
    encoded = subwords.encode(Task("t", ("a", "b"), [lost, kept, lost]), tokenizer)
    assert (encoded.examples.size, encoded.dropped[:3]) == (1, (2, 0, ("run",)))
    with pytest.raises(TaskDataError, match=r"t: expected examples .* none among 2; .*: run"):
        subwords.encode(Task("t", ("a", "b"), [lost, lost]), tokenizer)
    with pytest.raises(TaskDataError, match="t, stimulus 0: expected a position from 0 to 1"):
        subwords.encode(Task("t", ("a", "b"), [kept._replace(position=2)]), tokenizer)


def test_examples_are_padded_and_numbered_by_group():
    tokenizer = ours(byte_level())
    pairs = [
        stimulus("The boys", 1, "greets", "greet")._replace(group="b"),
        stimulus("The xylophone", 1, "greets", "greet")._replace(group="a", correct=1),
    ]
    examples = subwords.encode(Task("t", ("x", "y"), pairs), tokenizer).examples
    assert examples.tokens.shape == (2, examples.length.max())
    assert examples.tokens[0, 2:].tolist() == [0] * (examples.length[1] - 2)
    assert examples.group.tolist() == [1, 0]
    assert examples.correct.tolist() == [0, 1]
    assert examples.direction.tolist() == [-1, -1]
    assert examples.tokens.dtype == examples.pair.dtype == np.int32


def test_ordinary_text_is_made_of_tokens():
    tokenizer = ours(byte_level())
    text = ordinary_text.encode([["The", "boys"], ["The", "xylophone"]], tokenizer)
    assert text.length.tolist() == [2, len(tokenizer.encode(["The", "xylophone"]))]
    assert text.tokens[0, :2].tolist() == tokenizer.encode(["The", "boys"])


def test_a_tokenizer_that_draws_at_random_is_refused():
    inner = byte_level()
    inner.model.dropout = 0.5
    with pytest.raises(VocabularyError, match="dropout: expected none, found some"):
        ours(inner)
