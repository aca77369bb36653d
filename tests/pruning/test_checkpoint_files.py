"""Files that are checkpoints, files that are not, and files that would do harm."""

import argparse
import collections
import datetime
import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import save

from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning.checkpoint_files import read_checkpoint
from prunecheck.pruning.foreign_checkpoints import fit_checkpoint
from prunecheck.pruning.pickled_values import STAND_INS
from prunecheck.pruning.tickets import copy_weights


class Evil:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.file}",)


def saved(content: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def refused(path: Path) -> str:
    with pytest.raises(InputError) as raised:
        read_checkpoint(path, "--resume")
    text = str(raised.value)
    assert text.count("\n") == 0
    assert text.endswith(".")
    return text


def state() -> dict[str, torch.Tensor]:
    return dict(build_model("resnet8", 10, seed=2, width=4).state_dict())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("counters", [True, False])
def test_checkpoints_of_all_times_are_read(tmp_path: Path, zipped: bool, prefix: str, counters: bool) -> None:
    """Of torch 0.3.1 and after, from one GPU or several."""
    model = build_model("resnet8", 10, seed=1, width=4)
    given = {prefix + n: t for n, t in state().items() if counters or not n.endswith("num_batches_tracked")}
    path = tmp_path / "checkpoint.pth.tar"
    torch.save({"epoch": 3, "state_dict": given}, path, _use_new_zipfile_serialization=zipped)
    found = fit_checkpoint(read_checkpoint(path), model, path, "resnet8").weights
    assert found
    assert list(found) == list(model.state_dict())
    assert all(torch.equal(found[name], tensor) for name, tensor in state().items())
    assert not torch.equal(found["fc.weight"], copy_weights(model)["fc.weight"])


@pytest.mark.parametrize("zipped", [True, False])
def test_numbers_of_numpy_are_read_as_numbers(tmp_path: Path, zipped: bool) -> None:
    content = {
        "acc": numpy.float64(93.5),
        "loss": numpy.float32(0.25),
        "epoch": numpy.int64(-7),
        "best": numpy.bool_(True),
        "big": numpy.float64(0.1).astype(">f8"),
        "rows": numpy.arange(6, dtype=numpy.int16).reshape(2, 3),
        "columns": numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),
        "name": numpy.str_("text"),
        "args": argparse.Namespace(lr=0.1, path=Path("a"), day=datetime.date(2020, 1, 1)),
        "counts": collections.defaultdict(list, {"a": [1]}),
        "model": state(),
    }
    path = tmp_path / "file.pth"
    path.write_bytes(saved(content, _use_new_zipfile_serialization=zipped))
    found = read_checkpoint(path)
    assert {name: found[name] for name in ("acc", "loss", "epoch", "best", "big")} == {
        "acc": 93.5,
        "loss": 0.25,
        "epoch": -7,
        "best": True,
        "big": 0.1,
    }
    assert type(found["epoch"]) is int
    assert torch.equal(found["rows"].to_tensor(), torch.arange(6, dtype=torch.int16).view(2, 3))
    assert torch.equal(found["columns"].to_tensor(), torch.arange(6, dtype=torch.float64).view(2, 3))
    assert found["counts"] == {"a": [1]}
    assert torch.equal(found["model"]["fc.weight"], state()["fc.weight"])
    assert not set(STAND_INS) & set(torch.serialization.get_safe_globals())


@pytest.mark.parametrize("form", ["zipped", "old", "pickle-0", "pickle-2", "pickle-4"])
def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path: Path, form: str) -> None:
    path, trace = tmp_path / "evil.pth.tar", tmp_path / "trace"
    content = {"state_dict": Evil(trace)}
    if form.startswith("pickle"):
        path.write_bytes(pickle.dumps(content, protocol=int(form[-1])))
    else:
        path.write_bytes(saved(content, _use_new_zipfile_serialization=form == "zipped"))
    text = refused(path)
    assert "wants to run code (posix.system), which is refused: where you trust it, save its state_dict alone" in text
    assert not trace.exists()


class Hidden:
    """Runs code by what stands in for harmless classes, if those would run any."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return argparse.Namespace, (), Evil(self.file)


def test_code_inside_of_what_is_passed_over_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth.tar"
    path.write_bytes(saved({"args": Hidden(tmp_path / "trace"), "model": state()}))
    assert "wants to run code (posix.system)" in refused(path)
    assert not (tmp_path / "trace").exists()


@pytest.mark.filterwarnings("error")
def test_a_whole_network_is_code(tmp_path: Path) -> None:
    path = tmp_path / "network.pth"
    path.write_bytes(saved(build_model("resnet8", 10)))
    assert "wants to run code (prunecheck.models.resnet.ResNet)" in refused(path)


@pytest.mark.parametrize("kept", [10, 63, 1000, -100, -1])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_cut_file_is_refused(tmp_path: Path, kept: int, zipped: bool) -> None:
    path = tmp_path / "cut.pth.tar"
    path.write_bytes(saved({"state_dict": state()}, _use_new_zipfile_serialization=zipped)[:kept])
    assert "cut.pth.tar cannot be read as a checkpoint: it is damaged" in refused(path)


def archive(names: list[str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name in names:
            zipped.writestr(name, "hello")
    return file.getvalue()


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archived:
        archived.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    return file.getvalue()


def script() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), file)
    return file.getvalue()


KINDS = {
    "text": (b"hello world\n", "it is a text and not a file of weights"),
    "page": (b"<!DOCTYPE html><html>", "it is a web page"),
    "json": (b'{"a": 1}', "it is a JSON text"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "it is a pointer of Git LFS"),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(20), "it is compressed by gzip"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "it is an HDF5 file (Keras)"),
    "npy": (b"\x93NUMPY\x01\x00" + bytes(50), "it is an array of numpy"),
    "zip": (archive(["a.txt"]), "it is a zip archive of other files"),
    "half zip": (archive(["a.txt"])[:30], "it is damaged or cut short"),
    "tar": (tar(), "it is a tar archive"),
    "zeros": (bytes(1000), "it is damaged, or not written by torch.save"),
    "noise": (bytes(range(128, 256)), "it is damaged, or not written by torch.save"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path: Path, kind: str) -> None:
    content, words = KINDS[kind]
    (tmp_path / "file.pt").write_bytes(content)
    assert f"file.pt cannot be read as a checkpoint: {words}" in refused(tmp_path / "file.pt")


@pytest.mark.filterwarnings("ignore")
def test_compiled_scripts_are_code(tmp_path: Path) -> None:
    (tmp_path / "file.pt").write_bytes(script())
    assert "it is a TorchScript archive, which is code" in refused(tmp_path / "file.pt")


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "file.pt").touch()
    assert refused(tmp_path / "file.pt").endswith(
        "is empty: give a file that torch.save, safetensors or numpy.savez wrote."
    )


def npz(compressed: bool = False, **arrays: Any) -> bytes:
    file = io.BytesIO()
    (numpy.savez_compressed if compressed else numpy.savez)(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_of_numpy_are_read_as_they_are(tmp_path: Path, compressed: bool) -> None:
    whole = numpy.arange(24, dtype=">f4").reshape(2, 3, 4)
    path = tmp_path / "file.npz"
    path.write_bytes(npz(compressed, **{"a": whole, "t": whole.T, "masks/conv": whole > 5, "scalar": numpy.int8(3)}))
    found = read_checkpoint(path)
    assert list(found) == ["a", "t", "masks", "scalar"]
    expected = torch.arange(24.0).reshape(2, 3, 4)
    assert torch.equal(found["a"], expected)
    assert torch.equal(found["t"], expected.permute(2, 1, 0))
    assert torch.equal(found["masks"]["conv"], expected > 5)
    assert torch.equal(found["scalar"], torch.tensor(3, dtype=torch.int8))


def with_shape(shape: tuple[int, ...], content: bytes) -> bytes:
    """An archive with one array, whose header says what is not so."""
    member, file = io.BytesIO(), io.BytesIO()
    numpy.lib.format.write_array_header_1_0(member, {"descr": "|b1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("conv.npy", member.getvalue() + content)
    return file.getvalue()


REFUSED_ARRAYS: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "objects": (lambda folder: npz(conv=numpy.array([Evil(folder / "harm")])), "has objects of Python in conv, which"),
    "texts": (lambda folder: npz(conv=numpy.array(["a"])), "has an array conv of type <U1, and not of numbers"),
    "columns": (lambda folder: npz(conv=numpy.zeros(2, "i4,f4")), "has an array conv of type"),
    "extended": (lambda folder: npz(conv=numpy.ones(2, numpy.longdouble)), "has an array conv of type float128, which"),
    "no names": (lambda folder: npz(arr_0=numpy.ones(2), arr_1=numpy.ones(2)), "has arrays without names (arr_0, ...)"),
    "too short": (lambda folder: with_shape((1 << 60,), b"1"), "has an array conv with other bytes than its header"),
    "too long": (lambda folder: with_shape((1,), b"11"), "has an array conv with other bytes than its header says"),
    "negative": (lambda folder: with_shape((-2, -1), b"11"), "cannot be read as an npz file: it is damaged"),
    "no header": (lambda folder: archive(["conv.npy"]), "cannot be read as an npz file: it is damaged"),
    "cut": (lambda folder: npz(conv=numpy.ones(99)).replace(b"\xf0?", b"\xf1?"), "cannot be read as an npz file"),
}


@pytest.mark.parametrize("kind", REFUSED_ARRAYS)
def test_arrays_that_are_no_numbers_or_lie_are_refused(tmp_path: Path, kind: str) -> None:
    make, words = REFUSED_ARRAYS[kind]
    (tmp_path / "file.npz").write_bytes(make(tmp_path))
    assert refused(tmp_path / "file.npz").startswith(f"{tmp_path / 'file.npz'} {words}")
    assert not (tmp_path / "harm").exists()


def test_an_archive_that_unpacks_to_more_than_the_memory_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.npz"
    path.write_bytes(npz(compressed=True, conv=numpy.zeros(1 << 20, bool)))
    monkeypatch.setattr("prunecheck.process_limits.available_memory", lambda: 1 << 20)
    assert "of memory are needed" in refused(path)


@pytest.mark.parametrize("kept", [-1, 100, 20])
def test_damaged_safetensors_are_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(save(state())[:kept])
    assert "cannot be read as a safetensors file" in refused(path)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    for name, words in {
        ".": "is a folder",
        "pipe": "is not a regular file",
        "zeros": "is not a regular file",
        "none": "does not exist",
        "loop": "cannot be opened (",
        "x" * 300: "cannot be opened (File name too long)",
    }.items():
        text = refused(tmp_path / name)
        assert text.startswith(f"--resume {tmp_path / name} {words}")
        assert text.endswith("give the path of a checkpoint.")
