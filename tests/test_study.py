"""The study of optimisation runs, and says what is refused and what is wrong."""

import importlib.util
import json
import sys

import numpy as np
import pytest

from tests.script_runs import ROOT, run

SCRIPT = ROOT / "scripts" / "study_optimisation.py"


def test_study(tmp_path):
    saved, drawn = tmp_path / "run.json", tmp_path / "ratios.png"
    kernels, variants = ["matvec", "huber"], ["without noalias", "no activity analysis"]
    sizes = ["--scale", "0.05", "--rounds", "2"]
    chosen = ["--kernels", *kernels, "--variants", *variants, *sizes]
    done = run(SCRIPT.name, tmp_path, *chosen, "--save", saved, "--plot", drawn)
    assert done.returncode == 0, done.stderr
    results = json.loads(saved.read_text(encoding="utf-8"))["results"]
    assert set(results) == set(kernels)
    for kernel, rows in results.items():
        assert list(rows) == ["default", *variants]
        timed = [rows["default"], rows["without noalias"]]
        assert all(0 < row["low"] <= row["ratio"] <= row["high"] for row in timed)
        assert all(row["compile_seconds"] > 0 for row in timed)
        assert timed[0]["kept"] < timed[1]["kept"]
        assert rows["no activity analysis"]["problem"].startswith("refused: Enzyme cannot")
        assert f"\n{kernel} (" in done.stdout
    side = 26
    assert results["matvec"]["default"]["kept"] == 8 * side
    assert results["huber"]["default"]["kept"] == 0
    assert drawn.read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    spec = importlib.util.spec_from_file_location("study_optimisation", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_wrong_gradients_are_rows(study, monkeypatch):
    checked = study.checked
    monkeypatch.setattr(study, "checked", lambda kernel, found: checked(kernel, found) * 1.001)
    kernel = next(k for k in study.kernels(0.001) if k.name == "logistic")
    rows = study.study(kernel, ["default", "after: O1"], 1)
    assert [row.problem for row in rows.values()] == ["wrong: the error is 1.0e-03"] * 2
    assert list(study.table(rows))[1].startswith("default                   wrong: the error is")


def test_a_wrong_default_ends_it(study):
    kernel = next(k for k in study.kernels(0.001) if k.name == "huber")
    with pytest.raises(SystemExit, match="huber: forward mode gives"):
        study.checked(kernel, np.ones(kernel.arguments[0].size + 1))
