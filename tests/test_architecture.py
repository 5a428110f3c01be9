"""Imports point one way, and each outside library is reached through the files that wrap it."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {"enzyme_rules": set(), "llvm": {"enzyme_rules"}, "sht": {"enzyme_rules", "llvm"}}
OURS = {*MAY_IMPORT, "tests", "scripts"}

# Who may import what, as beginnings of paths. `llvm` is what wraps llvmlite; the files outside of
# it hold @intrinsics, which are written with llvmlite's builder.
WRAPPERS = {
    "llvmlite": ("llvm/_", "enzyme_rules/_c_function.py", "sht/_simd"),
    "cupy": ("enzyme_rules/_cupy.py",),
    "jax": ("sht/interop/_jax.py",),
    "torch": ("sht/interop/_torch.py",),
}


# A rule cannot be tested without being used: `test_rule` imports the toolchain, when it is called.
EXEMPT = {"enzyme_rules/testing.py": {"llvm"}}


def imports(path):
    """Yield the first name of every absolute import of a file, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


FILES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports(path):
    file = path.relative_to(ROOT).as_posix()
    package = file.split("/")[0]
    found = set(imports(path))
    assert found & OURS <= MAY_IMPORT[package] | {package} | EXEMPT.get(file, set())
    assert [name for name in found & set(WRAPPERS) if not file.startswith(WRAPPERS[name])] == []


def test_every_package_is_seen():
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(MAY_IMPORT)


def test_only_the_packages_are_shipped():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    include = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert include == [f"{package}*" for package in sorted(MAY_IMPORT)]


def test_exemptions_are_used_on_call_only():
    for file, names in EXEMPT.items():
        body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
        at_import = {
            name
            for node in body
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in names
            if name in ast.unparse(node)
        }
        assert at_import == set()
        assert names <= set(imports(ROOT / file))


def test_import_sht_is_light():
    """No optional library and no part of Enzyme comes with the plain transform."""
    heavy = ["jax", "torch", "cupy", "llvm._enzyme", "llvm._install", "llvm._build"]
    code = f"import sys, sht; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
