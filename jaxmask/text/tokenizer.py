"""Subwords: the tokens of a Hugging Face ``tokenizer.json``.

Words stand in a text as people write it, with a space between two of them, so that a word has the
token that continues a sentence (``" boys"``, not ``"boys"``).
"""

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxmask.text.vocabulary import VocabularyError, shown

if TYPE_CHECKING:  # an optional package
    import tokenizers

TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"
_BEFORE = "a"  # a word before another one, which then has its leading space


class Tokens(NamedTuple):
    """The tokens of a text.

    Attributes:
        ids: their indices.
        ends: for each word, the index of its last token.
    """

    ids: list[int]
    ends: list[int]


class Tokenizer:
    """Turns words into subword tokens; a `jaxmask.text.vocabulary.Words`.

    Args:
        content: the text of a ``tokenizer.json``.
        settings: the fields of a ``tokenizer_config.json``, if there is one.
        source: the name of the file in error messages.

    Raises:
        VocabularyError: the package ``tokenizers`` is missing, the text is no tokenizer, or the
            tokenizer draws at random.

    Example:
        >>> import tokenizers
        >>> whole = tokenizers.models.WordLevel({"The": 0, "boys": 1, "<s>": 2, "?": 3}, "?")
        >>> inner = tokenizers.Tokenizer(whole)
        >>> inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        >>> tokenizer = Tokenizer(inner.to_str(), {"bos_token": "<s>"})
        >>> tokenizer.encode(["The", "boys"]), tokenizer.index["boys"], tokenizer.words[0]
        ([0, 1], 1, ' The')
        >>> tokenizer.own_beginning, tokenizer.bos
        ((), 2)
    """

    unit = "tokens"
    lost_form = "a form whose tokens are the beginning of the other's"

    def __init__(
        self, content: str, settings: Mapping[str, Any] | None = None, source: str = TOKENIZER
    ) -> None:
        self._source = source
        self.digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
        self._inner = _parsed(content, source)
        self._inner.no_truncation()
        self._inner.no_padding()
        if getattr(self._inner.model, "dropout", None):
            raise VocabularyError(f"{source}: dropout: expected none, found some")
        self._size = 1 + max(self._inner.get_vocab().values(), default=-1)
        plain = self._inner.get_vocab(with_added_tokens=False)
        self.highest = max(plain.values(), default=-1)
        if self.highest < 0:
            raise VocabularyError(f"{source}: expected tokens, found none")
        settings = settings or {}
        bos = settings.get("bos_token")
        name = bos.get("content") if isinstance(bos, dict) else bos
        self.bos = self._inner.token_to_id(name) if isinstance(name, str) else None
        own = self._before_a_text()
        adds = settings.get("add_bos_token")
        if isinstance(adds, bool):
            own = (self.bos,) if adds and self.bos is not None else ()
        self.own_beginning: tuple[int, ...] = own

    @classmethod
    def load(cls, folder: str | Path) -> "Tokenizer":
        """Reads the tokenizer of a Hugging Face folder.

        Raises:
            VocabularyError: a file is missing or isn't UTF-8, or is no tokenizer.

        Example:
            See `jaxmask.models.transformer.storage.load`.
        """
        file, more = Path(folder) / TOKENIZER, Path(folder) / SETTINGS
        settings: Any = {}
        if not file.exists():
            raise VocabularyError(
                f"{file}: missing; this file of a fast tokenizer is what transformers writes by "
                "AutoTokenizer.from_pretrained(MODEL, use_fast=True).save_pretrained(FOLDER)"
            )
        try:
            content = file.read_text(encoding="utf-8")
            if more.is_file():
                settings = json.loads(more.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as fault:
            culprit = more if isinstance(fault, json.JSONDecodeError | RecursionError) else file
            raise VocabularyError(f"{culprit}: can't be read ({shown(str(fault))})") from fault
        if not isinstance(settings, dict):
            raise VocabularyError(f"{more}: expected an object")
        return cls(content, settings, str(file))

    def __len__(self) -> int:
        return self._size

    @property
    def words(self) -> Sequence[str]:
        """The text of each token, with its leading space if it has one."""
        return _Texts(self._inner, self._size, self._tokens(_BEFORE).ids)

    @property
    def index(self) -> Mapping[str, int]:
        """The token of each word that is one token where it continues a sentence."""
        return _Index(self)

    def encode(self, words: Iterable[str]) -> list[int]:
        """The tokens of a text, without a beginning."""
        return self.tokens(list(words)).ids

    def tokens(self, words: Sequence[str]) -> Tokens:
        """The tokens of a text, and where its words end."""
        return self._tokens(*words)

    def _before_a_text(self) -> tuple[int, ...]:
        """What the tokenizer itself puts before a text."""
        _check_template(self._inner, self._source)
        call = functools.partial(self._inner.encode, _BEFORE, add_special_tokens=True)
        added, text = _safely(self._source, call).ids, self._tokens(_BEFORE).ids
        starts = range(len(added) - len(text) + 1)
        start = next((at for at in starts if added[at : at + len(text)] == text), 0)
        return tuple(added[:start])

    def _tokens(self, *words: str) -> Tokens:
        text = " ".join(words)
        encoding = _safely(self._source, lambda: self._inner.encode(text, add_special_tokens=False))
        ends, start, token = [], 0, 0
        offsets = encoding.offsets
        for word in words:
            end = start + len(word)
            while token + 1 < len(offsets) and offsets[token + 1][0] < end:
                token += 1
            ends.append(token)
            start = end + 1
        return Tokens(list(encoding.ids), ends)


class _Texts(Sequence[str]):
    """The texts of tokens, found when they are asked for."""

    def __init__(self, inner: "tokenizers.Tokenizer", size: int, before: list[int]) -> None:
        self._inner, self._size = inner, size
        self._before = before

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, token: Any) -> Any:
        if isinstance(token, slice):
            return [self[number] for number in range(*token.indices(self._size))]
        if not 0 <= token < self._size:
            raise IndexError(token)
        # Some decoders drop a space at the beginning of a text.
        before = self._inner.decode(self._before, skip_special_tokens=False)
        text = self._inner.decode([*self._before, int(token)], skip_special_tokens=False)
        return text.removeprefix(before)


class _Index(Mapping[str, int]):
    """The tokens of words, found when they are asked for."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __getitem__(self, word: str) -> int:
        before, after = (self._tokenizer.encode(words) for words in ([_BEFORE], [_BEFORE, word]))
        if len(after) != len(before) + 1 or after[:-1] != before:
            raise KeyError(word)
        return after[-1]

    def __iter__(self) -> Iterator[str]:
        texts = (text.strip() for text in self._tokenizer.words)
        return (text for text in dict.fromkeys(texts) if text in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _parsed(content: str, source: str) -> "tokenizers.Tokenizer":
    try:
        import tokenizers
    except ImportError as fault:
        raise VocabularyError(
            f"{source}: expected the package tokenizers to read it, found none: "
            "pip install 'jaxmask[transformers]'"
        ) from fault
    return _safely(source, lambda: tokenizers.Tokenizer.from_str(content))


def _check_template(inner: "tokenizers.Tokenizer", source: str) -> None:
    """Checks that special tokens around a text are known; tokenizers itself would panic."""
    processor = inner.post_processor
    parts = [json.loads(processor.__getstate__())] if processor is not None else []
    while parts:
        part = parts.pop()
        parts += part.get("processors", [])
        pieces = part.get("single", []) if part["type"] == "TemplateProcessing" else []
        for piece in pieces:
            name = piece.get("SpecialToken", {}).get("id")
            if name is not None and name not in part["special_tokens"]:
                raise VocabularyError(
                    f"{source}: post_processor: expected special tokens that it lists, "
                    f"found {shown(repr(name))}"
                )


def _safely(source: str, call: Callable[[], Any]) -> Any:
    """The result of a call, whose errors are plain exceptions, or panics."""
    try:
        return call()
    except BaseException as fault:
        if isinstance(fault, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        raise VocabularyError(
            f"{source}: not a tokenizer that can be used ({shown(str(fault), 300)})"
        ) from fault
