"""A few sentences in the files in which the released model's outputs were published."""

import pickle

import numpy as np

NOUNPP = [
    "The boy near the car greets",
    "The boys near the car greet",
    "The athlete behind the bikes criticizes",
    "The women beside the bike understand",
]
NOUNPP_FORMS = [
    ("greets", "greet"),
    ("greet", "greets"),
    ("criticizes", "criticize"),
    ("understand", "understands"),
]
# Line of generated.text, place of the word, right and wrong form, type.
GENERATED = [
    ("The happy discharge I saw offers <eos>", 5, "affirms", "affirm", "generated"),
    ('Cats " that sleep and unheard-of <eos>', 3, "sleep", "sleeps", "original"),
    ("The boy <unk> <eos>", 2, "greets", "greet", "generated"),
    ("boys and cats near unheard-of boys sleep <eos>", 6, "sleep", "sleeps", "original"),
    ("The car affirms <eos>", 2, "affirms", "affirm", "generated"),
]
OUT_OF_VOCABULARY = "unheard-of"
WORDS = sorted(
    {word for sentence in NOUNPP for word in sentence.split()}
    | {word for pair in NOUNPP_FORMS for word in pair}
    | {word for line, *_ in GENERATED for word in line.split()}
    | {form for _, _, *forms, _ in GENERATED for form in forms}
    | {"In", "service", ",", "the", "aircraft", "is", "<unk>", "<eos>"} - {OUT_OF_VOCABULARY}
)
WORDS.remove(OUT_OF_VOCABULARY)


def nounpp_content(log_probs) -> dict:
    """What is pickled in ``nounpp.abl``."""
    right, wrong = np.asarray(log_probs, np.float64).reshape(-1, 2).T[:, :, None].copy()
    return {
        "log_p_targets_correct": right,
        "log_p_targets_wrong": wrong,
        "score_on_task": np.sum(right > wrong),
        "sentences": [sentence.split() for sentence in NOUNPP],
        "num_sentences": len(NOUNPP),
        "nattr": [-999] * len(NOUNPP),
        "verb_pos": [5] * len(NOUNPP),
    }


def write(folder, nounpp, generated) -> None:
    """Writes the four files, with the log-probabilities of each (right, wrong) pair."""
    (folder / "nounpp.abl").write_bytes(pickle.dumps(nounpp_content(nounpp), protocol=4))
    rows = ["form\tclass\ttype\tsent\thidden650"]
    for (line, _, *forms, kind), values in zip(GENERATED, generated, strict=True):
        quoted = '"' + line.replace('"', '""') + '"' if '"' in line else line
        for form, verdict, value in zip(forms, ("correct", "wrong"), values, strict=True):
            rows.append(f"{form}\t{verdict}\t{kind}\t{quoted}\t{value:.6g}")
    for name, lines in {
        "best_model.tab": rows,
        "generated.text": [line for line, *_ in GENERATED],
        "generated.eval": [str(place) for _, place, *_ in GENERATED],
    }.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
