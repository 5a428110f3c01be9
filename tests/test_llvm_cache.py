"""Compiled derivatives on disk: found again, never wrong, private, whole."""

import os
import stat
import subprocess
import sys
import types as python_types
from collections import namedtuple
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba import typeof

import enzyme_rules
import llvm._cache as cache
from llvm import _arena_runtime, grad
from llvm._arena_runtime import provide_arena
from llvm._enzyme import Enzyme, find_enzyme
from llvm._fingerprint import fingerprint
from llvm._request import Mode, Question
from tests.own_cache import use_own_cache

ROOT = Path(__file__).resolve().parent.parent
X = np.array([1.0, 2.0, 3.0])


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A cache folder of its own, with the Enzyme of this machine."""
    provide_arena()  # the first gradient that allocates would put it there
    return use_own_cache(monkeypatch, tmp_path)[0]


@pytest.fixture
def runs(monkeypatch):
    """Every run of Enzyme that differentiates; before it, its program may set loops in order."""
    found = []
    run = Enzyme.run_and_listen

    def counted(self, ir, *args, **more):
        if "@__enzyme_autodiff_derivative" in ir or "@__enzyme_fwddiff_derivative" in ir:
            found.append(1)
        return run(self, ir, *args, **more)

    monkeypatch.setattr(Enzyme, "run_and_listen", counted)
    return found


def key(function, *arguments, mode=Mode.REVERSE, varying=None, version="1"):
    varying = varying or (True,) * len(arguments)
    question = Question(mode, tuple(map(typeof, arguments)), varying)
    return fingerprint(function, question, version)


# The key: it changes with everything that the machine code depends on.

FACTOR = 2.0
helpers: Any = python_types.ModuleType("helpers_of_the_cache_test")


def made(factor: Any = 3.0, power: Any = 2, inner: Any = 1.0, default: Any = 1.0) -> Any:
    """A function of the same name and code, closing over different things."""

    @numba.njit
    def callee(x):
        return x**power

    @numba.njit
    def f(x, a=default):
        return factor * callee(x) * inner + a

    return f


def made_otherwise():
    @numba.njit
    def callee(x):
        return x**2.0

    @numba.njit
    def f(x, a=1.0):
        return 3.0 + callee(x) * 1.0 + a

    return f


@numba.njit
def reads_global(x):
    return FACTOR * x


@numba.njit
def calls_member(x):
    return helpers.inner.scale(x)


def helper(factor):
    @numba.njit
    def scale(x):
        return factor * x

    inner: Any = python_types.ModuleType("helpers_of_the_cache_test.inner")
    inner.scale = scale
    return inner


def test_the_same_has_the_same_key():
    assert key(made(), 1.0) == key(made(), 1.0)
    assert key(made(), 1.0) is not None


@pytest.mark.parametrize(
    "other",
    [
        lambda: key(made_otherwise(), 1.0),
        lambda: key(made(factor=4.0), 1.0),
        lambda: key(made(factor=3), 1.0),
        lambda: key(made(power=3), 1.0),
        lambda: key(made(inner=np.array([1.0])), 1.0),
        lambda: key(made(default=2.0), 1.0),
        lambda: key(made(), np.float32(1.0)),
        lambda: key(made(), 1.0, mode=Mode.FORWARD),
        lambda: key(made(), 1.0, 2.0, varying=(True, False)),
        lambda: key(made(), 1.0, version="2"),
        lambda: key(numba.njit(fastmath=True)(made().py_func), 1.0),
    ],
    ids="code closure dtype callee array default types mode varying enzyme options".split(),
)
def test_another_key(other):
    assert other() != key(made(), 1.0)


def test_key_follows_globals_and_members_of_modules(monkeypatch):
    first = key(reads_global, 1.0)
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert key(reads_global, 1.0) != first
    helpers.inner = helper(1.0)
    first = key(calls_member, 1.0)
    assert first is not None
    helpers.inner = helper(2.0)
    assert key(calls_member, 1.0) != first


def test_key_follows_rules():
    @numba.njit
    def twice_into(y, x):
        y[:] = 2 * x

    @numba.njit
    def adjoint(y, x):
        x += 2 * y

    first = key(twice_into, X, X)
    rule = enzyme_rules.register(enzyme_rules.LinearRule(twice_into, adjoint=adjoint))
    second = key(twice_into, X, X)
    enzyme_rules.unregister(enzyme_rules.LinearRule(twice_into, adjoint=adjoint))
    assert rule is twice_into
    assert first != second
    assert key(twice_into, X, X) == first
    inactive = enzyme_rules.Inactive("some_symbol_of_the_cache_test")
    enzyme_rules.register(inactive)
    assert key(twice_into, X, X) != first
    enzyme_rules.unregister(inactive)


def test_key_follows_the_order_of_fields():
    """Two named tuples of one name: in the types, they look the same."""

    @numba.njit
    def f(p):
        return p.a

    first, second = namedtuple("P", "a b"), namedtuple("P", "b a")
    p, q = first(1.0, 2.0), second(1.0, 2.0)
    assert str(typeof(p)) == str(typeof(q))
    assert key(f, p) != key(f, q)


def test_key_follows_functions_that_are_arguments():
    @numba.njit
    def f(g, x):
        return g(x)

    keys = {key(f, made(factor=k), 1.0, varying=(False, True)) for k in (1.0, 2.0, 1.0)}
    assert len(keys) == 2


def test_what_cannot_be_told_has_no_key():
    """An object of unknown meaning in a closure: compiled anew in each process, never mistaken."""
    thing = {"a": 1}

    @numba.njit
    def f(x):
        return x * len(thing)

    assert key(f, 1.0) is None


# The files.


def fresh():
    """The gradient of a function new to this process, with a key that does not change."""

    @numba.njit
    def f(x):
        return (x**3).sum()

    return grad(f)


def entries(folder):
    return list((folder / "compiled").glob("*.bin"))


def test_found_again(empty_cache, runs):
    np.testing.assert_array_equal(fresh()(X), 3 * X**2)
    np.testing.assert_array_equal(fresh()(X), 3 * X**2)
    assert len(runs) == len(entries(empty_cache)) == 1


def test_private(empty_cache):
    fresh()(X)
    (entry,) = entries(empty_cache)
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    for folder in (empty_cache, entry.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(entry.parent.iterdir()) == [entry]  # no temporary file stays


def test_what_all_gradients_call_is_kept_too(empty_cache, monkeypatch):
    compiled = []
    original = _arena_runtime.run_pipeline

    def run_pipeline(*arguments, **options):
        compiled.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(_arena_runtime, "run_pipeline", run_pipeline)
    code = _arena_runtime._machine_code()
    assert _arena_runtime._machine_code() == code
    assert len(compiled) == 1
    (entry,) = entries(empty_cache)
    entry.write_bytes(entry.read_bytes()[:-1])
    assert _arena_runtime._machine_code() == code
    assert len(compiled) == 2
    assert cache.read(entry.stem) is not None


def truncated(data):
    return data[: len(data) // 2]


def another_digest(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def another_format(data):
    return data.replace(b"object 1", b"object 0")


def not_json(data):
    start = len(cache._MAGIC) + cache._DIGEST
    length = int.from_bytes(data[start : start + 8], "little")
    body = data[start : start + 8] + b"{" * length + data[start + 8 + length :]
    return cache._MAGIC + cache.hashlib.sha256(body).digest() + body


def facts_missing(data):
    return cache._encode(cache.Entry({"varying": [True]}, b"code"))


def empty(data):
    return b""


def rubbish(data):
    return np.random.default_rng(0).bytes(len(data))


@pytest.mark.parametrize(
    "damage",
    [truncated, another_digest, another_format, not_json, facts_missing, empty, rubbish],
)
def test_damaged_entry_is_rebuilt(empty_cache, runs, damage):
    fresh()(X)
    (entry,) = entries(empty_cache)
    before = entry.read_bytes()
    entry.write_bytes(damage(before))
    np.testing.assert_array_equal(fresh()(X), 3 * X**2)
    assert len(runs) == 2
    np.testing.assert_array_equal(fresh()(X), 3 * X**2)
    assert len(runs) == 2


def test_folder_that_cannot_be_written(empty_cache, monkeypatch):
    monkeypatch.setenv("ENZYME_SHT_CACHE", "/dev/null/cache")
    with pytest.warns(RuntimeWarning, match="could not be kept.*works.*ENZYME_SHT_CACHE"):
        np.testing.assert_array_equal(fresh()(X), 3 * X**2)


def test_full_disk(empty_cache, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write_atomically", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        np.testing.assert_array_equal(fresh()(X), 3 * X**2)


# Other processes.

PROGRAM = """
import sys, threading, time
import numba
start = time.perf_counter()
import numpy as np
from llvm import grad
from tests.own_cache import use_own_cache

@numba.njit
def f(x):
    total = 0.0
    for v in x:
        total += np.sin(v) * v
    return total

found = []
def run():
    found.append(grad(f)(np.array([0.5, 2.0])).tolist())
threads = [threading.Thread(target=run) for _ in range(int(sys.argv[1]))]
for t in threads: t.start()
for t in threads: t.join()
print(round(time.perf_counter() - start, 3), found)
"""


def start(program, *arguments, driver=None):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if driver:
        environment["ENZYME_DRIVER"] = str(driver)
        environment.pop("ENZYME_PLUGIN", None)
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(program), *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert err == ""
    seconds, found = out.split(" ", 1)
    return float(seconds), found


def test_second_process_does_not_run_enzyme(empty_cache, tmp_path):
    enzyme = find_enzyme()
    if enzyme.kind != "driver":
        pytest.skip("the Enzyme here is a plugin, which is loaded by opt")
    log = tmp_path / "log"
    wrapper = tmp_path / "driver"
    wrapper.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] || echo run >> {log}\nexec {enzyme.path} "$@"\n'
    )
    wrapper.chmod(0o700)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    cold, first = finish(start(program, 1, driver=wrapper))
    runs = log.read_text()
    assert "run" in runs
    warm, second = finish(start(program, 1, driver=wrapper))
    assert first == second
    assert log.read_text() == runs
    print(f"first gradient beyond importing numba: {cold} s cold, {warm} s from the cache")


KEY = """
import importlib, sys
import sht
for name in sys.argv[1:]: importlib.import_module(name)
from llvm._fingerprint import fingerprint
from llvm._request import Question
from llvm._request import Mode
print(fingerprint(sht.synthesis_into, Question(Mode.PRIMAL, (), ()), "1"))
"""


def test_key_does_not_depend_on_what_is_loaded(tmp_path):
    """What compiles loads more of these packages than what finds all in the cache."""
    program = tmp_path / "program.py"
    program.write_text(KEY)
    keys = set()
    for more in ((), ("sht._device", "llvm._ptx", "enzyme_rules.linalg")):
        out, err = start(program, *more).communicate(timeout=300)
        assert err == ""
        keys.add(out)
    assert len(keys) == 1
    assert keys != {"None\n"}


def test_many_processes_one_empty_cache(empty_cache, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    processes = [start(program, 3) for _ in range(4)]
    found = {finish(process)[1] for process in processes}
    assert len(found) == 1
    assert len(entries(empty_cache)) == 1
    assert [p.suffix for p in (empty_cache / "compiled").iterdir()] == [".bin"]


def test_function_of_no_module():
    """What `exec` makes in a bare namespace."""
    namespace = {}
    exec("def f(x):\n    return x * x * x", namespace)  # noqa: S102
    assert namespace["f"].__module__ is None
    assert grad(numba.njit(namespace["f"]))(2.0) == 12.0
