"""Safe writing: either the old file or the new one, and every refusal in plain words."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stormcell.errors import OutputError
from stormcell.io.writing import atomic_path, check_writable, make_folder, write_bytes, write_text


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def write_half_and_fail(path: Path, error: BaseException | type[BaseException]) -> None:
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_bytes(b"half")
        raise error


def write_while_another_run_writes(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"mine")
        path.write_bytes(b"of another run")


def test_a_new_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "image.ome.tif"
    with atomic_path(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith("image.ome.tif"), "writers choose by the ending"
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert names_in(tmp_path) == ["image.ome.tif"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, ZeroDivisionError, MemoryError])
def test_an_interrupted_block_leaves_the_old_file(tmp_path, interruption):
    target = tmp_path / "table.csv"
    target.write_bytes(b"old")
    with pytest.raises(interruption):
        write_half_and_fail(target, interruption)
    assert target.read_bytes() == b"old"
    assert names_in(tmp_path) == ["table.csv"]


def test_a_killed_process_leaves_the_old_file(tmp_path):
    target = tmp_path / "table.csv"
    target.write_bytes(b"old")
    code = (
        "import sys, time\n"
        "from stormcell.io.writing import atomic_path\n"
        "with atomic_path(sys.argv[1], overwrite=True) as temporary:\n"
        "    temporary.write_bytes(b'half'); print('written', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline().strip() == b"written"
        process.kill()
    assert target.read_bytes() == b"old"
    write_bytes(target, b"new", overwrite=True)
    assert target.read_bytes() == b"new", "what the killed run left behind is not in the way"


def test_an_existing_file_is_refused_before_the_block_runs(tmp_path):
    target = tmp_path / "table.csv"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match=r"table.csv exists; pass --overwrite"), atomic_path(target):
        pytest.fail("the block ran")
    with pytest.raises(OutputError, match="exists; pass --overwrite"):
        check_writable(target)
    check_writable(target, overwrite=True)
    assert target.read_bytes() == b"old"
    assert names_in(tmp_path) == ["table.csv"]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    target = tmp_path / "table.csv"
    with pytest.raises(OutputError, match="exists"):
        write_while_another_run_writes(target)
    assert target.read_bytes() == b"of another run"
    assert names_in(tmp_path) == ["table.csv"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"the folder .*nowhere does not exist"):
        check_writable(tmp_path / "nowhere" / "table.csv")


def test_a_folder_as_target_is_refused(tmp_path):
    with pytest.raises(OutputError, match="is a folder; name a file in it"):
        check_writable(tmp_path, overwrite=True)


def test_a_file_as_folder_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="does not exist"):
        check_writable(tmp_path / "file" / "table.csv")
    with pytest.raises(OutputError, match="is or lies under a file"):
        make_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="is or lies under a file"):
        make_folder(tmp_path / "file" / "below")


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no device files on this system")
def test_a_device_is_never_replaced():
    with pytest.raises(OutputError, match="not an ordinary file"):
        check_writable("/dev/null", overwrite=True)


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"too long|cannot write"):
        write_bytes(tmp_path / ("n" * 300), b"")
    assert names_in(tmp_path) == []


def test_a_long_name_that_the_disc_takes_is_written(tmp_path):
    target = tmp_path / ("n" * 240 + ".csv")
    write_bytes(target, b"x")
    assert target.read_bytes() == b"x"


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="links need a right on Windows")
def test_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_bytes(link, b"new", overwrite=True)
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, "no permission to write"),
        (errno.EROFS, "no permission to write"),
        (errno.ENOSPC, "no space left to write"),
        (errno.EIO, "cannot write .*: input/output error"),
    ],
)
def test_what_the_disc_says_is_said_in_plain_words(tmp_path, monkeypatch, code, words):
    def refuse(self, *arguments, **options):
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(OutputError, match=words):
        check_writable(tmp_path / "table.csv")


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("Unable to flush (No space left on device)")],
)
def test_a_disc_that_fills_up_while_writing(tmp_path, error):
    with pytest.raises(OutputError, match="no space left to write"):
        write_half_and_fail(tmp_path / "a.csv", error)
    assert names_in(tmp_path) == []


def test_errors_about_other_files_are_not_mistaken_for_writing(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.csv"):
        (tmp_path / "input.tif").read_bytes()
    with pytest.raises(RuntimeError, match="of another kind"):
        write_half_and_fail(tmp_path / "a.csv", RuntimeError("of another kind"))


def test_text_is_the_same_on_every_system(tmp_path):
    write_text(tmp_path / "a.txt", "1 µm\nnext\n")
    assert (tmp_path / "a.txt").read_bytes() == b"1 \xc2\xb5m\nnext\n"


def test_folders_are_made_with_those_above_and_kept(tmp_path):
    folder = make_folder(tmp_path / "a" / "b")
    write_text(folder / "kept.txt", "kept")
    assert make_folder(folder) == folder
    assert names_in(folder) == ["kept.txt"]
