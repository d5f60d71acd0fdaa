"""What an untouched model prefers on the pairs of a task, and what that means for a search."""

from collections import Counter
from collections.abc import Collection, Iterator

import numpy as np

from experiments.shared.console import WIDTH
from experiments.studies.missing_words import place
from jaxmask.report import Table, count
from jaxmask.text.examples import Encoded, Task
from jaxmask.text.vocabulary import END_OF_SENTENCE, Words
from jaxmask.trust.statistics import wilson

FEW = 20  # fewer pairs to flip in a direction than this are reported
SMALL = 10  # pairs of a group, of which fewer say little about its rate
WIDE = 20  # points of an interval that says little about a rate
KNOWN = 0.6  # a model that prefers the right form in a smaller share hardly knows the phenomenon
SHORTEST = 12  # characters of a group's name that are shown at least
MOST_GROUPS = 4  # groups of each kind that get a line of advice
LONGEST_TABLE = 30  # rows of groups; of more, groups of fewer than SMALL pairs are put together
MOST_LOWER = 0.9  # share of sentences in lower case from which all are meant to be

# Name of a group, right form of its pairs (may be empty), and which of the pairs are in it.
Part = tuple[str, str, np.ndarray]


def group_table(task: Task, encoded: Encoded, odds: np.ndarray) -> Table:
    """For each group and right form: pairs, preferences of the untouched model, and their strength.

    Args:
        task: with the names of the directions.
        encoded: its pairs.
        odds: log-odds of the first form of each pair under the untouched model.
    """
    correct = encoded.examples.correct
    known = bool((correct >= 0).any())
    groups = list(_groups(task, encoded))
    parts = _with_small_ones_together(groups)
    together = len(parts) < len(groups)
    if len(parts) > 1:
        parts.append(("all", "", np.ones(len(correct), bool)))
    rows = [
        (name, *((form,) if known else ()), *_group_cells(correct[rows], odds[rows], known))
        for name, form, rows in parts
    ]
    first, second = task.directions
    header = (
        "Group",
        *(("Right form", "Pairs", "Right") if known else ("Pairs",)),
        "Log-odds",
        *(f"To {name}" for name in task.directions),
    )
    return Table(
        "Preferences of the untouched model",
        header,
        _with_short_names(header, rows),
        (
            "Right: share of the pairs whose right form the model prefers, with its 95% interval "
            "(Wilson). Log-odds: mean of log p(right) - log p(other), in nats. "
            if known
            else f"Log-odds: mean of log p({first}) - log p({second}), in nats. "
        )
        + f"To {first}, to {second}: pairs that can be flipped in this direction, because the "
        "model prefers the other form."
        + f" small: groups of fewer than {SMALL} pairs, with their number."
        * together,
    )


def _with_short_names(
    header: tuple[str, ...], rows: list[tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    """The rows with names of groups that are cut in the middle where they are too long for a line.

    They are left as they are if two of them would be the same then.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    room = max(SHORTEST, WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1))
    names = {row[0]: _cut(row[0], room) for row in rows}
    distinct = len(set(names.values())) == len(names)
    return tuple((names[row[0]] if distinct else row[0], *row[1:]) for row in rows)


def _cut(name: str, most: int) -> str:
    """A name of at most so many characters: its beginning, three dots, its end."""
    if len(name) <= most:
        return name
    end = (most - 3) // 2
    return f"{name[: most - 3 - end]}...{name[-end:]}"


def _groups(task: Task, encoded: Encoded) -> Iterator[Part]:
    """Each group and right form, with the rows of its examples as truth values."""
    examples = encoded.examples
    for number, name in enumerate(encoded.groups):
        for correct, form in ((0, task.directions[0]), (1, task.directions[1]), (-1, "")):
            rows = (examples.group == number) & (examples.correct == correct)
            if rows.any():
                yield name, form, rows


def _with_small_ones_together(parts: list[Part]) -> list[Part]:
    """The groups, of which those of few pairs become one a form where the table would be long."""
    if len(parts) <= LONGEST_TABLE:
        return parts
    shown, small = [], {}
    for part in parts:
        if part[2].sum() < SMALL:
            small.setdefault(part[1], []).append(part)
        else:
            shown.append(part)
    for form, those in small.items():
        whole = np.any([rows for *_, rows in those], axis=0)
        shown.append((f"small ({len(those)})", form, whole))
    return shown


def _group_cells(correct: np.ndarray, odds: np.ndarray, known: bool) -> tuple[str, ...]:
    """The numbers in the row of a group; ``known``: whether the task has right forms."""
    pairs = str(len(correct))
    flips = (str(int((odds <= 0).sum())), str(int((odds > 0).sum())))
    if not known:
        return (pairs, f"{odds.mean():.2f}", *flips)
    margin = np.where(correct == 0, odds, -odds)[correct >= 0]
    if not len(margin):
        return (pairs, "", "", *flips)
    low, high = wilson(int((margin > 0).sum()), len(margin)).scaled(100.0)
    rate = f"{100 * (margin > 0).mean():.1f}% ({low:.0f}-{high:.0f})"
    return (pairs, rate, f"{margin.mean():.2f}", *flips)


def advice(task: Task, encoded: Encoded, odds: np.ndarray, vocabulary: Words) -> list[str]:
    """Problems of the data that make a search difficult, each with advice.

    Args:
        task: with all pairs.
        encoded: the pairs that were kept.
        odds: see `group_table`.
        vocabulary: of the model.
    """
    return [
        *_about_directions(task, odds),
        *_about_rates(task, encoded, odds),
        *_about_sentences(task),
        *(_about_capitals(task, vocabulary.index) if vocabulary.unit == "words" else ()),
    ]


def _about_directions(task: Task, odds: np.ndarray) -> Iterator[str]:
    """Directions to which too few pairs can be flipped."""
    for number, name in enumerate(task.directions):
        pairs, other = int(((odds > 0) == number).sum()), task.directions[1 - number]
        if pairs < FEW:
            start = f"only {count(pairs, 'pair')}" if pairs else "no pair"
            where = "in all others" if pairs else "everywhere"
            reason = f", because the model already prefers the {name} form {where}"
            yield (
                f"{start} can be flipped to {name}{reason * (pairs < len(odds))}. Add sentences "
                f"after which it prefers the {other} form."
            )


def _about_rates(task: Task, encoded: Encoded, odds: np.ndarray) -> Iterator[str]:
    """Groups in which the model is right by chance, or less often."""
    below, unsure, chance = [], [], []
    small, right, known = set(), 0, 0
    for name, form, rows in _groups(task, encoded):
        correct = encoded.examples.correct[rows][0]
        if not form:
            continue
        hits, pairs = int(((odds[rows] < 0) == correct).sum()), int(rows.sum())
        right, known = right + hits, known + pairs
        low, high = wilson(hits, pairs).scaled(100.0)
        line = (
            f"{name}, {form}: the model is right on {100 * hits / pairs:.0f}% of the pairs "
            f"({low:.0f}-{high:.0f}%), "
        )
        if pairs < SMALL:
            small.add(name)
        elif high < 50:
            below.append(
                f"{line}less often than by chance. It doesn't lack the phenomenon: something else "
                "decides, such as a nearer noun (attraction) or a preference for one form. Keep "
                "these lines."
            )
        elif low <= 50 and high - low > WIDE:
            unsure.append(f"{line}which may be chance. Add pairs of this kind to know.")
        elif low <= 50 or hits < KNOWN * pairs:
            chance.append(
                f"{line}about as often as by chance, so it hardly knows the phenomenon there. "
                "Leave these lines out, or use another model."
            )
    for lines in (below, unsure, chance):
        yield from lines[:MOST_GROUPS]
        if lines[MOST_GROUPS:]:
            others = count(len(lines) - MOST_GROUPS, "more group")
            yield f"The same can be said of {others}; see the table."
    if small:
        yield (
            f"{count(len(small), 'group')} of fewer than {SMALL} pairs with the same right form: "
            "their rates say little."
        )
    if known and wilson(right, known).high < 0.5:
        yield (
            f"Over all pairs the model is right on {100 * right / known:.0f}% only. Make sure that "
            "the columns of the two forms aren't swapped."
        )


def _about_sentences(task: Task) -> Iterator[str]:
    """Sentences that go on for too long."""
    for what, numbers, remark in (
        (
            "sentences that end with one of their own two forms",
            [number for number, s in enumerate(task.stimuli) if s.words[-1] in s.pair],
            "A sentence has to end before the target word.",
        ),
        (
            f"sentences with {END_OF_SENTENCE} inside",
            [number for number, s in enumerate(task.stimuli) if END_OF_SENTENCE in s.words],
            f"The model reads {END_OF_SENTENCE} before each sentence already; --context none "
            "leaves that out.",
        ),
    ):
        if numbers:
            where = place(task, numbers[0])
            line = f", the first in line {where}" if where else ""
            yield f"{what}: {len(numbers)}{line}. {remark}"


def _about_capitals(task: Task, known: Collection[str]) -> Iterator[str]:
    """Files in lower case for a model that distinguishes capitals, and the other way round."""
    first = Counter(stimulus.words[0] for stimulus in task.stimuli)
    lower = {word: number for word, number in first.items() if word[:1].islower()}
    capital = sum(number for word, number in lower.items() if word.capitalize() in known)
    if sum(lower.values()) >= MOST_LOWER * len(task.stimuli) and 2 * capital > len(task.stimuli):
        word = next(word for word in lower if word.capitalize() in known)
        yield (
            f"sentences begin with a word in lower case, such as '{word}', but the model knows "
            f"'{word.capitalize()}' too, which begins the sentences that it was trained on. Write "
            "first words with a capital (jaxmask import has --case)."
        )
    if not any(word != word.lower() for word in known):
        words = {word for s in task.stimuli for word in (*s.words, *s.pair)}
        upper = sorted(w for w in words if w not in known and w.lower() in known)
        if upper:
            yield (
                f"the model knows words in lower case only, and the file has capitals, such as "
                f"'{upper[0]}'. Write all words in lower case (python -m "
                "experiments.import_pairs has --case)."
            )
