"""Archives that somebody sent: what is unpacked, and what is refused before it costs anything."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sessions_app.importers.bounds import Bounds
from sessions_app.importers.errors import ImportSourceError
from sessions_app.unpacking import UnsafeArchive, archive_format, inner_path, unpack

BOUNDS = Bounds(unpacked_bytes=1_000_000, files=50)
Pack = Callable[[Path, dict[str, bytes]], Path]


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return path


def tar_gzipped(path: Path, files: dict[str, bytes]) -> Path:
    return tarred(path, files, "w:gz")


def unpacked(archive: Path, bounds: Bounds = BOUNDS) -> Path:
    into = archive.parent / "into"
    into.mkdir()
    return unpack(archive, into, bounds, lambda _fraction, _text: None)


every_format = pytest.mark.parametrize("pack", [zipped, tarred, tar_gzipped])


@every_format
def test_it_works(tmp_path: Path, pack: Pack) -> None:
    # The name says nothing: the content does.
    archive = pack(tmp_path / "race.bin", {"race/a.csv": b"a", "race/car=7/b.csv": b"b" * 1000})
    folder = unpacked(archive)
    assert folder.name == "race"
    assert (folder / "a.csv").read_bytes() == b"a"
    assert (folder / "car=7" / "b.csv").read_bytes() == b"b" * 1000


@every_format
def test_loose_files_stay_side_by_side(tmp_path: Path, pack: Pack) -> None:
    folder = unpacked(pack(tmp_path / "x", {"a.csv": b"a", "mapping.yaml": b"m"}))
    assert sorted(p.name for p in folder.iterdir()) == ["a.csv", "mapping.yaml"]


@every_format
@pytest.mark.parametrize(
    "name", ["../evil.csv", "a/../../evil.csv", "/etc/evil.csv", "..\\evil.csv", "a\x1b[2J.csv"]
)
def test_no_path_leaves_its_folder(tmp_path: Path, pack: Pack, name: str) -> None:
    archive = pack(tmp_path / "x", {"a.csv": b"a", name: b"evil"})
    with pytest.raises(UnsafeArchive) as refusal:
        unpacked(archive)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.rglob("*evil*"))


@every_format
def test_a_bomb_is_refused_while_it_unpacks(tmp_path: Path, pack: Pack) -> None:
    archive = pack(tmp_path / "bomb", {"zeros.csv": bytes(20_000_000)})
    with pytest.raises(ImportSourceError, match=r"more than 1 MB.*IMPORT_UNPACKED_MB"):
        unpacked(archive)
    assert sum(p.stat().st_size for p in (tmp_path / "into").rglob("*") if p.is_file()) <= 1_000_000


def test_what_a_zip_says_of_its_sizes_is_not_believed(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "liar.zip", {"zeros.csv": bytes(20_000_000)})
    data = archive.read_bytes()
    said, small = (20_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    assert data.count(said) == 2
    archive.write_bytes(data.replace(said, small))
    with pytest.raises(ImportSourceError):
        unpacked(archive)
    assert sum(p.stat().st_size for p in (tmp_path / "into").rglob("*") if p.is_file()) <= 1_000_000


@every_format
def test_too_many_files(tmp_path: Path, pack: Pack) -> None:
    archive = pack(tmp_path / "many", {f"{i}.csv": b"" for i in range(51)})
    with pytest.raises(UnsafeArchive, match="more than 50 files"):
        unpacked(archive)


@every_format
def test_too_deep(tmp_path: Path, pack: Pack) -> None:
    archive = pack(tmp_path / "deep", {"a/" * 9 + "b.csv": b""})
    with pytest.raises(UnsafeArchive, match="more than 8 folders within each other"):
        unpacked(archive)


@every_format
def test_a_name_comes_once(tmp_path: Path, pack: Pack) -> None:
    archive = pack(tmp_path / "twice", {"a": b"a", "a/b.csv": b"b"})
    with pytest.raises(UnsafeArchive, match="comes twice"):
        unpacked(archive)


def test_links_in_a_zip(tmp_path: Path) -> None:
    archive = tmp_path / "link.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        link = zipfile.ZipInfo("a.csv")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, "/etc/passwd")
    with pytest.raises(UnsafeArchive, match="a link or a special file"):
        unpacked(archive)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_pipes_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    archive = tmp_path / "link.tar"
    with tarfile.open(archive, "w") as packed:
        about = tarfile.TarInfo("a.csv")
        about.type, about.linkname = kind, "/etc/passwd"
        packed.addfile(about)
    with pytest.raises(UnsafeArchive, match="a link or a special file"):
        unpacked(archive)


def test_an_encrypted_zip(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "secret.zip", {"a.csv": b"a"})
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    archive.write_bytes(bytes(data))
    with pytest.raises(UnsafeArchive, match="without a password"):
        unpacked(archive)


@every_format
def test_half_an_archive(tmp_path: Path, pack: Pack) -> None:
    archive = pack(tmp_path / "half", {"a.csv": bytes(range(256)) * 100, "b.csv": b"b" * 5000})
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) // 2] if pack is not tarred else data[:20_000])
    with pytest.raises(UnsafeArchive, match="expected a whole zip, tar"):
        unpacked(archive)


def test_what_macos_adds_is_passed_over(tmp_path: Path) -> None:
    files = {"race/a.csv": b"a", "__MACOSX/race/._a.csv": b"x", "race/.DS_Store": b"x"}
    folder = unpacked(zipped(tmp_path / "mac.zip", files))
    assert [p.name for p in folder.iterdir()] == ["a.csv"]


def test_what_is_no_archive(tmp_path: Path) -> None:
    for name, content in (("a.csv", b"x,y\n1,2"), ("empty", b""), ("a.csv.gz", b"\x1f\x8bnot")):
        (tmp_path / name).write_bytes(content)
        assert archive_format(tmp_path / name) is None


def test_paths() -> None:
    assert str(inner_path("race/./a.csv")) == "race/a.csv"
    assert inner_path("race/.hidden/a.csv") is None
    for name in ("", ".", "a" * 300, "é" * 200, "a/\ud800", "C:\\a.csv"):
        with pytest.raises(UnsafeArchive):
            inner_path(name)
