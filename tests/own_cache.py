"""A cache folder of a test's own, with the Enzyme of this machine, which is in the usual one."""

from llvm._enzyme import find_enzyme


def use_own_cache(monkeypatch, folder):
    """Let the cache be ``folder / "cache"``; that path, and the variable that names the Enzyme."""
    enzyme = find_enzyme()
    variable = "ENZYME_PLUGIN" if enzyme.kind == "plugin" else "ENZYME_DRIVER"
    monkeypatch.setenv(variable, str(enzyme.path))
    monkeypatch.setenv("ENZYME_SHT_CACHE", str(folder / "cache"))
    return folder / "cache", variable
