"""Test suites of SyntaxGym: conditions of an item, of which some have to be less surprising."""

import re
from collections.abc import Iterator
from typing import Any

from jaxmask.files.importers.contrasts import Contrast, Spelling, of_sentences
from jaxmask.files.importers.records import Records
from jaxmask.tasks.minimal_pairs import Note

NO_REGIONS = "items without regions"
NO_PREDICTION = "suites whose predictions don't compare two conditions at one region"

# (7;%match_sing%) < (7;%mismatch_sing%)
_COMPARED = re.compile(r"\((\w+|\*);%([^%]+)%\)\s*([<>])\s*\((\w+|\*);%([^%]+)%\)")


def of_suite(records: Records, spelling: Spelling) -> Iterator[Contrast | Note]:
    """The contrasts of all comparisons that a suite predicts, for each of its items.

    A prediction says at which region one condition is less surprising than another; the sentences
    of the two conditions are the right and the wrong one.

    Args:
        records: one document.
        spelling: how text becomes words.

    Example:
        >>> def condition(name, verb):
        ...     regions = [{"content": "The author"}, {"content": verb}]
        ...     return {"condition_name": name, "regions": regions}
        >>> items = [{"conditions": [condition("match", "is"), condition("mismatch", "are")]}]
        >>> formula = {"formula": "(2;%match%) < (2;%mismatch%)"}
        >>> document = {"predictions": [formula], "items": items}
        >>> records = Records("number", "document", [(1, document)], [])
        >>> [contrast.pair for contrast in of_suite(records, Spelling())]
        [('is', 'are')]
    """
    document = records.rows[0][1]
    group = _text(document.get("meta"), "name") or records.source
    compared = [
        (good, bad) if sign == "<" else (bad, good)
        for prediction in _dictionaries(document.get("predictions"))
        for one, good, sign, other, bad in _COMPARED.findall(str(prediction.get("formula")))
        if one == other
    ]
    if not compared:
        yield Note(1, NO_PREDICTION)
    for number, item in enumerate(_dictionaries(document.get("items")), start=1):
        sentences = {
            _text(condition, "condition_name"): " ".join(
                _text(region, "content") for region in _dictionaries(condition.get("regions"))
            )
            for condition in _dictionaries(item.get("conditions"))
        }
        for good, bad in dict.fromkeys(compared):
            if sentences.get(good) and sentences.get(bad):
                texts = sentences[good], sentences[bad]
                yield of_sentences(number, *texts, group, spelling)
            else:
                yield Note(number, NO_REGIONS)


def _dictionaries(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none if it isn't a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: Any, field: str) -> str:
    """A text in an object; empty if it isn't there."""
    found = value.get(field) if isinstance(value, dict) else None
    return found.strip() if isinstance(found, str) else ""
