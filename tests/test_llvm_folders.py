"""The cache folder is private or refused; files in it appear whole or not at all."""

import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from llvm._folders import CacheFolderError, cache_dir, open_atomically, write_atomically


@pytest.fixture
def base(tmp_path, monkeypatch):
    base = tmp_path / "cache"
    monkeypatch.setenv("ENZYME_SHT_CACHE", str(base))
    return base


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_made_private_under_any_umask(base):
    old = os.umask(0)
    try:
        folder = cache_dir("compiled", "ab")
    finally:
        os.umask(old)
    assert folder == base / "compiled" / "ab"
    assert [mode(p) for p in (base, folder.parent, folder)] == [0o700] * 3


def test_where_it_is(tmp_path, monkeypatch):
    monkeypatch.delenv("ENZYME_SHT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "enzyme-sht"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the XDG specification: ignore it
    monkeypatch.setenv("HOME", str(tmp_path))
    for platform, place in (("linux", ".cache"), ("darwin", "Library/Caches")):
        monkeypatch.setattr(sys, "platform", platform)
        assert cache_dir() == tmp_path / place / "enzyme-sht"


@pytest.mark.parametrize("bits", [0o770, 0o707])
def test_writable_by_others_is_refused(base, bits):
    cache_dir("driver").chmod(bits)
    with pytest.raises(CacheFolderError, match="written by others.*chmod 700"):
        cache_dir("driver")


def test_symbolic_link_is_refused(base, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    cache_dir()
    (base / "driver").symlink_to(elsewhere)
    with pytest.raises(CacheFolderError, match="symbolic link"):
        cache_dir("driver")


def test_somebody_elses_is_refused(base, monkeypatch):
    cache_dir("driver")
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(CacheFolderError, match=f"belongs to user {owner}"):
        cache_dir("driver")


def test_open_parent_is_refused_unless_sticky(tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv("ENZYME_SHT_CACHE", str(shared / "mine"))
    shared.chmod(0o777)
    with pytest.raises(CacheFolderError, match="everybody may write"):
        cache_dir()
    shared.chmod(0o1777)
    assert cache_dir() == shared / "mine"


def test_a_file_in_the_way_is_named(base):
    base.write_text("not a folder")
    with pytest.raises(CacheFolderError, match="Point ENZYME_SHT_CACHE"):
        cache_dir("driver")


@pytest.mark.parametrize("part", ["", "..", "a/b", "/etc"])
def test_parts_are_plain_names(base, part):
    with pytest.raises(ValueError, match="plain folder names"):
        cache_dir(part)


@pytest.mark.parametrize("bits", [0o600, 0o700])
def test_write_sets_content_and_mode(tmp_path, bits):
    path = tmp_path / "entry"
    path.write_bytes(b"old")
    write_atomically(path, b"new", mode=bits)
    assert path.read_bytes() == b"new"
    assert mode(path) == bits
    assert list(tmp_path.iterdir()) == [path]


def test_failure_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "entry"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), open_atomically(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_readers_never_see_a_part(tmp_path):
    path = Path(tmp_path / "entry")
    contents = [bytes([k]) * 200_000 for k in range(4)]
    write_atomically(path, contents[0])

    def write(data):
        for _ in range(20):
            write_atomically(path, data)

    writers = [threading.Thread(target=write, args=(data,)) for data in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in contents
    for writer in writers:
        writer.join()
