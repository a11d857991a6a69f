"""A user opens weight files: good ones of all formats, damaged ones, wrong ones and hostile ones."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beside import NEEDED, SHARED
from limner import checkpoint
from limner.errors import CheckpointError

REAL = SHARED / "models" / "rtmdet_nano_coco-person.pth"


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")


@pytest.fixture(params=["zip", "legacy"])
def save(request: pytest.FixtureRequest, torch: Any, tmp_path: Path) -> Callable[..., Path]:
    """Save as torch does, in the format of today and in the one before 1.6."""

    def write(content: object, **kwargs: object) -> Path:
        path = tmp_path / "weights.pth"
        torch.save(content, path, _use_new_zipfile_serialization=request.param == "zip", **kwargs)
        return path

    return write


@pytest.fixture
def saved(torch: Any, tmp_path: Path) -> Path:
    """A checkpoint of today's format."""
    path = tmp_path / "saved.pth"
    torch.save({"state_dict": {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.zeros(2)}}, path)
    return path


def repacked(path: Path, change: Callable[[str, bytes], bytes | None], **kwargs: Any) -> Path:
    """Write a checkpoint's archive anew with changed members."""
    target = path.with_name("repacked.pth")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", **kwargs) as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                with new.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                    member.write(data)
    return target


# -- good files


def test_every_dtype_arrives_as_torch_wrote_it(torch: Any, save: Callable[..., Path]) -> None:
    names = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64"
    tensors = {name: torch.tensor([[0, 1, 2], [3, -4, 5]]).to(getattr(torch, name)) for name in names.split()}
    found = checkpoint.load(save(tensors)).state_dict
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        expected = (tensor.float() if name == "bfloat16" else tensor).numpy()
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


def test_unsigned_dtypes_of_newer_torch(torch: Any, save: Callable[..., Path]) -> None:
    if not hasattr(torch, "uint16"):
        pytest.skip("this torch has no uint16")
    found = checkpoint.load(save({"x": torch.tensor([1, 65535]).to(torch.uint16)})).state_dict["x"]
    assert found.dtype == np.uint16
    assert found.tolist() == [1, 65535]


def test_views_keep_their_strides_and_share_their_storage(torch: Any, save: Callable[..., Path]) -> None:
    base = torch.arange(24.0)
    tensors = {
        "base": base,
        "transposed": base.reshape(4, 6).t(),
        "slice": base[5:20:3],
        "channels_last": base.reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
        "expanded": base[:1].expand(7, 1),
        "scalar": base[3],
        "empty": torch.zeros(0, 5),
    }
    found = checkpoint.load(save(tensors)).state_dict
    for name, tensor in tensors.items():
        assert found[name].shape == tuple(tensor.shape)
        np.testing.assert_array_equal(found[name], tensor.numpy())
    assert np.shares_memory(found["base"], found["transposed"])


def test_the_arrays_can_go_back_to_torch_and_never_change_the_file(torch: Any, save: Callable[..., Path]) -> None:
    path = save({"x": torch.ones(1000)})
    before = path.read_bytes()
    found = checkpoint.load(path).state_dict["x"]
    torch.from_numpy(found).zero_()  # warns, which is an error here, where an array cannot be written to
    assert found.sum() == 0
    del found
    assert path.read_bytes() == before


def test_parameters_and_whole_state_dicts_of_modules(torch: Any, save: Callable[..., Path]) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    found = checkpoint.load(save({**module.state_dict(), "extra": torch.nn.Parameter(torch.ones(2))})).state_dict
    assert set(found) == {*module.state_dict(), "extra"}
    np.testing.assert_array_equal(found["0.weight"], module[0].weight.detach().numpy())
    fromstate = checkpoint.load(save(module.state_dict())).state_dict  # carries _metadata, which a dict has not
    np.testing.assert_array_equal(fromstate["1.running_var"], np.ones(4))


def test_a_training_checkpoint_with_everything_around_the_weights(torch: Any, save: Callable[..., Path]) -> None:
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    meta = {
        "epoch": 3,
        "when": np.float64(1.5),
        "dataset_meta": {
            "dataset_name": "cofw",
            "CLASSES": ("face",),
            "sigmas": np.arange(4, dtype=np.float32),
            "colors": np.asfortranarray(np.arange(6).reshape(2, 3)),
            "dtype": torch.float32,
        },
        "path": Path("somewhere"),
        "many": {1, 2},
    }
    found = checkpoint.load(save({"meta": meta, "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}))
    assert set(found.state_dict) == {"weight", "bias"}
    assert found.meta["epoch"] == 3
    assert found.meta["when"] == 1.5
    assert found.meta["many"] == {1, 2}
    assert isinstance(found.meta["path"], checkpoint.InertObject)
    assert "Path" in repr(found.meta["path"])
    assert found.dataset_meta["dataset_name"] == "cofw"
    assert found.dataset_meta["classes"] == ("face",)
    np.testing.assert_array_equal(found.dataset_meta["sigmas"], [0, 1, 2, 3])
    np.testing.assert_array_equal(found.dataset_meta["colors"], [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_protocols(torch: Any, save: Callable[..., Path], protocol: int) -> None:
    path = save({"state_dict": {"x": torch.ones(3)}, "meta": {"a": np.arange(3)}}, pickle_protocol=protocol)
    found = checkpoint.load(path)
    assert found.state_dict["x"].tolist() == [1, 1, 1]
    assert found.meta["a"].tolist() == [0, 1, 2]


def test_old_checkpoints_name_their_classes_in_the_meta(torch: Any, save: Callable[..., Path]) -> None:
    old = checkpoint.load(save({"state_dict": {"x": torch.ones(1)}, "meta": {"CLASSES": ("person",)}}))
    assert old.dataset_meta == {"classes": ("person",)}
    assert checkpoint.load(save({"x": torch.ones(1)})).dataset_meta == {}


def test_which_weights_are_taken_and_what_they_are_called(torch: Any, save: Callable[..., Path]) -> None:
    one, two = torch.ones(1), torch.full((1,), 2.0)
    both = checkpoint.load(save({"ema_state_dict": {"module.x": two}, "state_dict": {"x": one}}))
    assert both.state_dict["x"].tolist() == [1]
    averaged = checkpoint.load(save({"ema_state_dict": {"steps": one, "module.x": two}})).state_dict
    assert {key: value.tolist() for key, value in averaged.items()} == {"x": [2]}
    parallel = checkpoint.load(save({"state_dict": {"module.x": one, "module.y": two}}))
    assert set(parallel.state_dict) == {"x", "y"}
    mixed = checkpoint.load(save({"module.x": one, "y": two}))
    assert set(mixed.state_dict) == {"module.x", "y"}


def test_compressed_and_big_archives(saved: Path) -> None:
    expected = checkpoint.load(saved).state_dict
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        target = saved.with_name("again.pth")
        with zipfile.ZipFile(saved) as old, zipfile.ZipFile(target, "w", compression) as new:
            for name in old.namelist():
                with new.open(name, "w", force_zip64=True) as member:
                    member.write(old.read(name))
        found = checkpoint.load(target).state_dict
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value)
            assert found[key].flags.writeable


def test_files_of_big_endian_machines(saved: Path) -> None:
    def change(name: str, data: bytes) -> bytes:
        if name.endswith("/byteorder"):
            return b"big"
        return np.frombuffer(data, "<f4").astype(">f4").tobytes() if "/data/" in name and len(data) % 4 == 0 else data

    found = checkpoint.load(repacked(saved, change)).state_dict["a.weight"]
    assert found.dtype.isnative
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_files_without_checksums(torch: Any, tmp_path: Path) -> None:
    options = pytest.importorskip("torch.serialization", reason="needs torch: pip install -e .[test]")
    if not hasattr(options, "set_crc32_options"):
        pytest.skip("this torch always writes checksums")
    options.set_crc32_options(False)
    try:
        torch.save({"x": torch.ones(2)}, tmp_path / "x.pth")
    finally:
        options.set_crc32_options(True)
    assert checkpoint.load(tmp_path / "x.pth").state_dict["x"].tolist() == [1, 1]


@pytest.mark.skipif(not REAL.exists(), reason=NEEDED)
def test_a_real_detector_equals_what_torch_reads(torch: Any) -> None:
    expected = torch.load(REAL, map_location="cpu", weights_only=True)
    expected = expected.get("state_dict", expected)
    found = checkpoint.load(str(REAL)).state_dict
    assert list(found) == list(expected)
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.numpy().dtype
        np.testing.assert_array_equal(found[key], tensor.numpy())
    checkpoint.check_fit(found, {key: tuple(tensor.shape) for key, tensor in expected.items()}, name=REAL.name)


# -- files that limner refuses


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><title>404</title>", "web page"),
        (b"\n <html><head>", "web page"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
        (b"epoch,loss\n1,0.5\n", "text file that begins with 'epoch,loss'"),
        (struct.pack("<Q", 20) + b'{"x":{"dtype":"F32"}}' + bytes(40), "safetensors"),
        (b"\x08\x07\x12\x07pytorch\x1a\x052.1.0:", "ONNX"),
        (b"a" + bytes(256) + b"ustar\x0000", "tar archive"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x00\x01\x02\x03\xff", "00 01 02 03"),
        (pickle.dumps({"a": 1}), "pickle file that torch.save did not write"),
        (b"\x80\x02this is no pickle at all", "damaged"),
        (b"PK\x03\x04" + bytes(100), "cut off or damaged"),
    ],
)
def test_other_files_are_told_by_what_they_are(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.pth") as error:
        checkpoint.load(path)
    assert what in str(error.value)
    assert "\n" not in str(error.value)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no checkpoint 'missing\.pth'"):
        checkpoint.load("missing.pth")
    with pytest.raises(CheckpointError, match="folder"):
        checkpoint.load(tmp_path)


def test_an_archive_that_is_no_checkpoint(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", a=np.zeros(3))
    with pytest.raises(CheckpointError, match=r"zip archive without the data\.pkl"):
        checkpoint.load(tmp_path / "arrays.npz")


def test_every_cut_of_a_download_is_an_error(torch: Any, save: Callable[..., Path]) -> None:
    path = save({"state_dict": {"x": torch.arange(100.0)}})
    whole = path.read_bytes()
    for length in range(1, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"weights\.pth"):
            checkpoint.load(path)


def test_a_flipped_bit_in_the_weights_is_found(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    place = content.index(np.arange(6, dtype="<f4").tobytes())
    content[place + 5] ^= 1
    saved.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged: its part 'saved/data/0'"):
        checkpoint.load(saved)


def test_a_missing_part(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="data/1' is missing"):
        checkpoint.load(repacked(saved, lambda name, data: None if name.endswith("data/1") else data))


def test_a_tensor_that_reaches_beyond_its_data(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=r"'a\.weight' does not fit its data"):
        checkpoint.load(repacked(saved, lambda name, data: data[:20] if name.endswith("data/0") else data))


def test_quantised_and_sparse_tensors_are_named(torch: Any, save: Callable[..., Path]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer torch discourages both kinds
        unusual = {
            "head.sparse": torch.sparse_coo_tensor(torch.tensor([[0], [1]]), torch.ones(1), (2, 2)),
            "head.quantised": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint32),
            "head.float8": torch.zeros(3).to(torch.float8_e4m3fn),
        }
    for key, tensor in unusual.items():
        with pytest.raises(CheckpointError, match=rf"'{key}' is of a type that limner does not read"):
            checkpoint.load(save({"fine": torch.ones(1), key: tensor}))


def test_files_without_weights(torch: Any, save: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match=r"holds a \S*Linear in place of weights"):
        checkpoint.load(save(torch.nn.Linear(1, 1)))
    with pytest.raises(CheckpointError, match="holds no weights: there is no state_dict in it, but epoch, lr"):
        checkpoint.load(save({"epoch": 1, "lr": 0.1}))
    with pytest.raises(CheckpointError, match="holds a list"):
        checkpoint.load(save([torch.ones(1)]))


def test_a_torchscript_model(torch: Any, tmp_path: Path) -> None:
    path = tmp_path / "scripted.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", pickle.dumps({}))
        archive.writestr("m/constants.pkl", pickle.dumps(()))
    with pytest.raises(CheckpointError, match="TorchScript"):
        checkpoint.load(path)


# -- hostile files


class Runs:
    """An object whose pickle asks for a call."""

    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("where", ["meta", "deep", "key", "weight"])
@pytest.mark.parametrize("which", range(4))
def test_a_checkpoint_that_would_run_code_is_refused(
    torch: Any, save: Callable[..., Path], tmp_path: Path, where: str, which: int
) -> None:
    marker = tmp_path / "ran"
    evil = [
        Runs(os.system, f"touch {marker}"),
        Runs(eval, f"open({str(marker)!r}, 'w')"),
        Runs(exec, f"open({str(marker)!r}, 'w')"),
        Runs(os.mkdir, str(marker)),
    ][which]
    weights = {"x": torch.ones(2)}
    content = {
        "meta": {"state_dict": weights, "meta": {"evil": [evil]}},
        "deep": {"state_dict": weights, "optimizer": [{"a": OrderedDict(b=evil)}]},
        "key": {"state_dict": weights, evil: 1},
        "weight": {"state_dict": {**weights, "evil": evil}},
    }[where]
    with pytest.raises(CheckpointError, match=r"tries to run '\S*(system|eval|exec|mkdir)'"):
        checkpoint.load(save(content))
    assert not marker.exists()


def test_what_is_refused_would_have_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    pickle.loads(pickle.dumps(Runs(os.mkdir, str(marker))))
    assert marker.exists()


def test_classes_that_nobody_knows_are_left_inert(torch: Any, save: Callable[..., Path]) -> None:
    odd = Runs(OrderedDict.fromkeys, ("a",))
    assert checkpoint.load(save({"state_dict": {"x": torch.ones(2)}, "meta": {"odd": odd}})).state_dict["x"].sum() == 2


def archive(tmp_path: Path, table: bytes) -> Path:
    """Write a checkpoint whose pickle is given byte by byte."""
    path = tmp_path / "crafted.pth"
    with zipfile.ZipFile(path, "w") as crafted:
        crafted.writestr("m/data.pkl", table)
        crafted.writestr("m/data/0", np.arange(4, dtype="<f4").tobytes())
    return path


TENSOR = (  # tensor of 2 x 2 in storage 0
    b"ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQ"
    b"I0\n(I2\nI2\nt(I2\nI1\nt\x89ccollections\nOrderedDict\n)RtR"
)


def test_a_pickle_cannot_change_what_the_reader_does(tmp_path: Path) -> None:
    # state for the function that makes tensors, and for the types it is given
    for target in (b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n", b"csome\nThing\n)R"):
        table = b"\x80\x02}S'state_dict'\n}S'x'\n" + TENSOR + b"ssS'meta'\n" + target
        path = archive(tmp_path, table + b"(N}S'__defaults__'\n(I1\ntsS'call'\nI0\nstbs.")
        with contextlib.suppress(CheckpointError):
            checkpoint.load(path)
        good = checkpoint.load(archive(tmp_path, b"\x80\x02}S'x'\n" + TENSOR + b"s."))
        assert good.state_dict["x"].tolist() == [[0, 1], [2, 3]]


def test_tables_that_lie(tmp_path: Path) -> None:
    for old, new in [
        (b"I2\nI2\nt", b"I2\nI3\nt"),  # more elements than there are
        (b"(I2\nI1\nt", b"(I-2\nI1\nt"),
        (b"QI0\n", b"QI-1\n"),
        (b"QI0\n", b"QI99999999999999999999999\n"),
        (b"I2\nI2\nt", b"S'a'\nI2\nt"),
        (b"ctorch\nFloatStorage\n", b"S'O'\n"),  # numpy would take the bytes for addresses of objects
        (b"ctorch\nFloatStorage\n", b"S'f4,O'\n"),
        (b"S'storage'", b"S'module!'"),
    ]:
        assert old in TENSOR
        path = archive(tmp_path, b"\x80\x02}S'x'\n" + TENSOR.replace(old, new) + b"s.")
        with pytest.raises(CheckpointError, match=r"crafted\.pth"):
            checkpoint.load(path)


def test_small_pickles_that_ask_for_much_memory(tmp_path: Path) -> None:
    tables = [
        b"\x80\x02]r\xff\xff\xff\x7f.",  # a memo of two thousand million entries
        b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b".",  # a bytearray
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b".",  # a bytes object
        b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b".",  # a frame
        b"\x80\x02\x82\x01.",  # an extension code
        b"\x80\x02" + b"(" * 10000 + b"t" * 9999 + b".",  # nesting
    ]
    for table in tables:
        with pytest.raises(CheckpointError):
            checkpoint.load(archive(tmp_path, table))


# -- weights against the network of a config

WANTED: dict[str, tuple[int, ...]] = {
    "backbone.conv.weight": (8, 3, 3, 3),
    "backbone.bn.weight": (8,),
    "backbone.bn.num_batches_tracked": (),
    "head.final_layer.weight": (106, 8, 7, 7),
    "head.final_layer.bias": (106,),
}


def weights(**changes: tuple[int, ...] | None) -> dict[str, np.ndarray]:
    shapes = {**WANTED, **{key.replace("__", "."): shape for key, shape in changes.items()}}
    return {key: np.zeros(shape, np.float32) for key, shape in shapes.items() if shape is not None}


def test_weights_that_fit() -> None:
    checkpoint.check_fit(weights(), WANTED, name="a.pth")
    checkpoint.check_fit(
        weights(backbone__bn__num_batches_tracked=None, other__num_batches_tracked=()), WANTED, name="a.pth"
    )


def test_a_head_for_another_number_of_keypoints() -> None:
    found = weights(head__final_layer__weight=(98, 8, 7, 7), head__final_layer__bias=(98,))
    with pytest.raises(CheckpointError, match=r"a\.pth does not fit its config") as error:
        checkpoint.check_fit(found, WANTED, name="a.pth")
    assert "head.final_layer.bias is [98] where [106] is needed" in str(error.value)
    assert "98 keypoints or classes, and the config describes 106" in str(error.value)


def test_another_size_of_the_network() -> None:
    with pytest.raises(CheckpointError, match="another size of this network"):
        checkpoint.check_fit(weights(backbone__bn__weight=(16,)), WANTED, name="a.pth")


def test_the_checkpoint_of_another_model() -> None:
    found = {f"layers.{i}": np.zeros(1) for i in range(9)}
    with pytest.raises(CheckpointError, match="another model") as error:
        checkpoint.check_fit(found, WANTED, name="a.pth")
    assert "4 keys are missing" in str(error.value)
    assert "9 keys are not part of the network (layers.0, layers.1, layers.2, layers.3, layers.4, ...)" in str(
        error.value
    )


def test_a_prefix_too_many_or_too_few() -> None:
    with pytest.raises(CheckpointError, match=r"Its keys begin with 'model\.'"):
        checkpoint.check_fit({f"model.{k}": v for k, v in weights().items()}, WANTED, name="a.pth")
    inner = {k.removeprefix("backbone."): v for k, v in weights().items() if k.startswith("backbone.")}
    with pytest.raises(CheckpointError, match=r"The network's keys begin with 'backbone\.'"):
        checkpoint.check_fit(inner, WANTED, name="a.pth")


def test_a_variant_with_more_or_fewer_parts() -> None:
    with pytest.raises(CheckpointError, match="lacks parts of the network"):
        checkpoint.check_fit(weights(backbone__bn__weight=None), WANTED, name="a.pth")
    with pytest.raises(CheckpointError, match="has parts beyond the network"):
        checkpoint.check_fit(weights(neck__conv__weight=(3,)), WANTED, name="a.pth")


def test_reading_a_checkpoint_needs_no_torch() -> None:
    source = io.StringIO()
    for file in Path(checkpoint.__file__).parent.glob("*.py"):
        source.write(file.read_text(encoding="utf-8"))
    assert "import torch" not in source.getvalue()
