"""BLiMP says where its sentences decide; this is taken where the sentences say the same."""

import json

from jaxmask.files.importers import pairs
from jaxmask.files.importers.contrasts import Spelling
from jaxmask.files.importers.formats import OTHER_BEGINNING


def test_what_blimp_says_of_a_sentence_is_checked(tmp_path):
    def row(good, bad, prefix, right, wrong):
        return {"sentence_good": good, "sentence_bad": bad, "UID": "agreement",
                "one_prefix_method": True, "one_prefix_prefix": prefix,
                "one_prefix_word_good": right, "one_prefix_word_bad": wrong}  # fmt: skip

    rows = (
        row("The guests were late.", "The guests was late.", "The guests", "were", "was"),
        row("The cars were late.", "The car was late.", "The cars", "were", "was"),
        row("The boats sink.", "The boats sinks.", "The boats", "sank", "sinks"),
        row("The boats", "The boats", "The boats", "sink", "sinks"),
        row(None, "The trees falls.", "The trees", "fall", "falls"),
        row("The birds sing today.", "The birds sings.", "The birds", "sing", "sings"),
    )
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for spelling in (Spelling(), Spelling("attached"), Spelling("attached", "lower")):
        found = pairs.read(file, spelling=spelling)
        assert [s.pair for s in found.task.stimuli] == [("was", "were"), ("sings", "sing")]
        assert found.task.left_out == ((OTHER_BEGINNING, 4),)
