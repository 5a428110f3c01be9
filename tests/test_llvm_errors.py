"""The errors carry their attributes, and survive pickling."""

import pickle
from pathlib import Path

import pytest

from llvm._errors import (
    AutodiffError,
    EnzymeNotFoundError,
    EnzymeVersionError,
    NoDerivativeError,
    ToolchainError,
)

ERRORS = [
    AutodiffError("no", stage="lower", function="f", symbol="sin"),
    NoDerivativeError("no", stage="differentiate", symbol="fftw_execute"),
    EnzymeNotFoundError("ENZYME_PLUGIN is wrong.", function="f"),
    EnzymeVersionError(Path("LLVMEnzyme-21.so"), 21, 22, stage="differentiate"),
    ToolchainError("it failed", stderr="error: all of it", stage="optimise"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_pickle_keeps_everything(error):
    error.add_note("from grad(f)(1.0)")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.__dict__ == error.__dict__
    assert isinstance(copy, AutodiffError)


def test_attributes_default_to_none():
    error = ToolchainError("it failed")
    assert (error.stage, error.function, error.symbol, error.stderr) == (None, None, None, "")


def test_not_found_names_both_commands():
    for error in (EnzymeNotFoundError(), EnzymeNotFoundError("ENZYME_DRIVER is wrong.")):
        assert "python -m llvm install-enzyme" in str(error)
        assert "make enzyme" in str(error)


def test_version_error_has_both_numbers():
    error = EnzymeVersionError(Path("LLVMEnzyme-21.so"), 21, 22)
    assert "LLVM 22" in str(error)
    assert "Got LLVM 21" in str(error)
    assert (error.found, error.needed) == (21, 22)
