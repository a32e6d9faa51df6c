"""`make minute`, which the README promises on any machine: in float32 where there is no bfloat16, and it says so."""

import numpy as np
import pytest
import verify
from PIL import Image

from moe_lib import Digits, mnist


def test_it_runs_without_bfloat16(monkeypatch, tmp_path, capsys):
    verify.experiments()  # they import one another's protocol by name
    import one_minute

    few = tuple(Digits(part.images[:n], part.labels[:n]) for part, n in zip(mnist(), (250, 50), strict=True))
    monkeypatch.setattr(one_minute, "digits", lambda prepared: few)
    small = {"starts": 1, "start_images": 250, "epochs": 1, "images": "deskewed and scaled"}
    monkeypatch.setattr(one_minute, "DESKEWED", small)
    for module in ("moe_lib.training", "moe_lib.records.experiment"):
        monkeypatch.setattr(f"{module}.has_bf16", lambda device: False)
    monkeypatch.chdir(tmp_path)
    races, race = [], one_minute.race
    monkeypatch.setattr(one_minute, "race", lambda *settings: races.append(race(*settings)) or races[-1])
    with pytest.warns(UserWarning, match="no bfloat16 of its own: computing in float32"):
        one_minute.show(3)
    assert capsys.readouterr().out.count("of the test images sorted, no label used; see one_minute.png") == 2
    picture = np.array(Image.open(tmp_path / "one_minute.png"))
    assert picture.shape == (2 * 28, 280), "a row after the start and one after the epoch"
    monkeypatch.setattr(one_minute, "race", lambda config, seed: races[0])
    run = one_minute.EXPERIMENT.repeat(small, 3)
    assert run["precision"] == "fp32"
    before, after = run["metrics"]["seconds_by_epoch"]
    assert 0 < before < after == run["seconds"]
    assert all(0 < accuracy <= 1 for accuracy in run["metrics"]["accuracy"])
