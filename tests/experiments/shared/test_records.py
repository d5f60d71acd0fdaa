"""Results kept in files of their own."""

import pytest

from experiments.shared import records
from jaxmask.files.run_folder import RunFolderError


def test_kept_results_are_of_the_same_settings(tmp_path):
    file = tmp_path / "a" / "kept.json"
    settings = {"alpha": 0.5, "seed": 0}
    assert records.read(file, settings) is None
    records.write(file, settings, {"units": [1, 2]})
    assert records.read(file, settings) == {"units": [1, 2]}
    with pytest.raises(
        RunFolderError, match=r"settings; alpha: 0\.5 there, 0\.4 now; choose another --out$"
    ):
        records.read(file, {**settings, "alpha": 0.4})
    file.write_text("[]")
    with pytest.raises(RunFolderError, match="expected results"):
        records.read(file, settings)
