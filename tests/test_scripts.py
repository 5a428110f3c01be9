"""The benchmark and the demo run from anywhere and say what they should; no time is judged."""

import json
import re
import statistics

import pytest

from tests.script_runs import run


def test_benchmark(tmp_path):
    # One run for both options, since Numba compiles the losses anew in each.
    before = {"machine": "another", "threads": 1, "results": {"T31": {"synthesis": [1e-6, 3e-6]}}}
    (tmp_path / "before.json").write_text(json.dumps(before), encoding="utf-8")
    saved = tmp_path / "run.json"
    options = ["--sizes", 7, 31, "--rounds", 2, "--save", saved, "--compare", "before.json"]
    done = run("bench_gradient.py", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    assert "threads=1 for everybody, 2 rounds" in done.stdout
    assert "T7, 12 x 24" in done.stdout
    assert "x primal" in done.stdout
    assert "x synthesis" in done.stdout
    kept = json.loads(saved.read_text(encoding="utf-8"))
    assert kept["threads"] == 1
    assert {"python", "numba", "enzyme"} <= set(kept["versions"])
    assert set(kept["results"]) == {"T7", "T7, others", "T31", "T31, others"}
    for title, times in kept["results"].items():
        wanted = {"synthesis", "adjoint_analysis", "misfit, gradient"}
        if "others" in title:
            wanted = {"float32 synthesis", "octahedral analysis", "spin 2 synthesis"}
            wanted |= {"8 fields synthesis", "32 fields analysis"}
        assert wanted <= set(times)
        assert all(len(rounds) == 2 and min(rounds) > 0 for rounds in times.values())
    _, changes = done.stdout.split("Against the run on another, threads=1 (now ÷ then):\n")
    [change] = re.findall(r"^ *T31 +synthesis +(\d+\.\d\d)$", changes, re.M)
    want = statistics.median(kept["results"]["T31"]["synthesis"]) / 2e-6
    assert abs(float(change) - want) <= 0.0051
    assert before.keys() <= kept.keys()  # what it saves it can compare with


@pytest.mark.parametrize("options", [["--rounds", "0"], ["--threads", "0"], ["--sizes", "0"]])
def test_benchmark_refuses_nonsense(tmp_path, options):
    done = run("bench_gradient.py", tmp_path, *options)
    assert done.returncode == 2
    assert "must be at least 1" in done.stderr


def test_benchmark_of_stages(tmp_path):
    saved, drawn = tmp_path / "run.json", tmp_path / "stages.png"
    options = ["--sizes", 7, 31, "--rounds", 2, "--save", saved, "--plot", drawn]
    done = run("bench_stages.py", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    rows = json.loads(saved.read_text(encoding="utf-8"))["results"]
    assert set(rows) == {"7", "31"}
    for row in rows.values():
        assert min(row["times"].values()) > 0
        assert 0 < row["rates"]["Legendre"] < row["rates"]["peak"]
    assert "^" in done.stdout
    assert drawn.stat().st_size > 1000


@pytest.mark.slow
def test_benchmark_of_the_start(tmp_path):
    saved = tmp_path / "run.json"
    done = run("bench_start.py", tmp_path, "--rounds", 1, "--empty", 1, "--save", saved)
    assert done.returncode == 0, done.stderr
    results = json.loads(saved.read_text(encoding="utf-8"))["results"]
    assert set(results) == {"empty", "filled"}
    for times in results.values():
        assert {"import sht", "first synthesis", "first gradient of a loss"} <= set(times)
        assert all(len(rounds) == 1 and min(rounds) > 0 for rounds in times.values())


def test_benchmark_of_peers_says_what_is_missing(tmp_path):
    """They are not among what the project is developed with."""
    done = run("bench_differentiable.py", tmp_path, "--rounds", 1)
    assert done.returncode == 0, done.stderr
    for peer in ("torch_harmonics", "s2fft", "dinosaur"):
        assert f"{peer} is not installed: left out." in done.stdout or f"than {peer}" in done.stdout


@pytest.mark.slow
def test_demo(tmp_path):
    done = run("demo_magnetic_field.py", tmp_path, "--output", tmp_path / "map.png")
    assert done.returncode == 0, done.stderr
    for word in ("dot test", "finite differences", "times", "root mean square error"):
        assert word in done.stdout
    assert "L-BFGS" in done.stderr  # the progress bar
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["map.png"]
