"""Fields of a configuration: each is read by the type it must have, and none is overlooked."""

import reprlib
from collections.abc import Collection, Mapping
from typing import Any

from jaxmask.models.language_model import ModelError
from jaxmask.models.model_folder import some
from jaxmask.text.vocabulary import shown

MOST = 2**31 - 1


class Fields:
    """The fields of a JSON object.

    A field that is absent or null has its default; a default of None means that the field is
    required. `finish` reports fields that nobody has read.

    Args:
        values: the object.
        source: of the fields, such as the name of their file, for error messages.

    Example:
        >>> fields = Fields({"n_layer": 2, "act": "relu", "depth": 3}, "config.json")
        >>> fields.whole("n_layer", 12), fields.whole("n_head", 12)
        (2, 12)
        >>> fields.choice("act", ("gelu", "silu"), "gelu")
        Traceback (most recent call last):
        jaxmask.models.language_model.ModelError: config.json: act: expected gelu or silu, found \
'relu'
        >>> fields.finish(())
        Traceback (most recent call last):
        jaxmask.models.language_model.ModelError: config.json: depth: unknown, and may change what \
the model computes
    """

    def __init__(self, values: Mapping[str, Any], source: str) -> None:
        self.source = source
        self._values = dict(values)
        self._read: set[str] = set()

    def get(self, name: str) -> Any:
        """The value of a field, whatever it is; None if it is absent."""
        self._read.add(name)
        return self._values.get(name)

    def fill(self, defaults: Mapping[str, Any]) -> None:
        """Gives fields that are absent a value."""
        self._values = {**defaults, **self._values}

    def refuse(self, name: str, expected: str, found: Any) -> ModelError:
        """The error that says what was expected of a field."""
        return ModelError(
            f"{self.source}: {name}: expected {expected}, found {shown(reprlib.repr(found))}"
        )

    def whole(self, name: str, default: int | None = None, most: int = MOST) -> int:
        """A whole number from 1 to ``most``.

        Raises:
            ModelError: it isn't one, or is missing without a default.
        """
        found = self._given(name, default)
        if type(found) is not int or not 1 <= found <= most:
            raise self.refuse(name, f"a whole number from 1 to {most}", found)
        return found

    def whole_or_null(self, name: str, default: int, most: int = MOST) -> int | None:
        """A whole number from 1 to ``most``, or None where the field is null, not absent.

        Raises:
            ModelError: it is neither.
        """
        if name in self._values and self.get(name) is None:
            return None
        return self.whole(name, default, most)

    def number(self, name: str, default: float | None = None) -> float:
        """A positive number that float32 can hold.

        Raises:
            ModelError: it isn't one, or is missing without a default.
        """
        found = self._given(name, default)
        if type(found) not in (int, float) or not 1e-30 <= found <= 1e30:
            raise self.refuse(name, "a positive number", found)
        return float(found)

    def number_or_null(self, name: str, default: float) -> float | None:
        """A positive number, or None where the field is null, or absent with a default of 0.

        Raises:
            ModelError: it is neither.
        """
        null = name in self._values or not default
        if null and self.get(name) is None:
            return None
        return self.number(name, default)

    def truth(self, name: str, default: bool) -> bool:
        """True or false.

        Raises:
            ModelError: it is neither.
        """
        found = self._given(name, default)
        if type(found) is not bool:
            raise self.refuse(name, "true or false", found)
        return found

    def choice(self, name: str, choices: Collection[str], default: str | None = None) -> str:
        """One of some names.

        Raises:
            ModelError: it is none of them, or is missing without a default.
        """
        found = self._given(name, default)
        if not isinstance(found, str) or found not in choices:
            raise self.refuse(name, " or ".join(choices), found)
        return found

    def names(self, name: str, choices: Collection[str], default: list[str]) -> list[str]:
        """As many of some names as the default has.

        Raises:
            ModelError: it is no such list.
        """
        found = self._given(name, default)
        if not isinstance(found, list) or len(found) != len(default):
            raise self.refuse(name, f"a list of {len(default)} names", found)
        for one in found:
            if not isinstance(one, str) or one not in choices:
                raise self.refuse(name, " or ".join(choices), one)
        return found

    def inner(self, name: str) -> "Fields | None":
        """The fields of an object within this one; None if there is none.

        Raises:
            ModelError: it is something else.
        """
        found = self.get(name)
        if found is None:
            return None
        if not isinstance(found, dict):
            raise self.refuse(name, "an object", found)
        return Fields(found, f"{self.source}: {name}")

    def unused(self, name: str, expected: tuple[Any, ...]) -> None:
        """Checks a field that is supported with some values only, among them null.

        Raises:
            ModelError: it is something else.
        """
        found = self.get(name)
        same = any(type(found) is type(value) and found == value for value in (None, *expected))
        if not same:
            raise self.refuse(name, " or ".join(map(repr, expected)) or "null", found)

    def finish(self, ignored: Collection[str]) -> None:
        """Checks that every field was read, or is one of those to be ignored.

        Raises:
            ModelError: names those that are neither.
        """
        unknown = [name for name in self._values if name not in self._read | set(ignored)]
        if unknown:
            raise ModelError(
                f"{self.source}: {some([shown(name) for name in unknown])}: unknown, and may "
                "change what the model computes"
            )

    def _given(self, name: str, default: Any) -> Any:
        found = self.get(name)
        if found is not None:
            return found
        if default is None:
            raise ModelError(f"{self.source}: {name}: missing")
        return default
