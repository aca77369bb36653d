from pathlib import Path

import numpy
import pytest
import torch

from prunecheck.data import Batches, Sequences, TokenDataset, TokenShape, calibration_sequences, load_dataset
from prunecheck.data.datasets import forget_datasets
from prunecheck.data.readers.text import divided_by_name, python_sources
from prunecheck.data.token_datasets import SIZES
from prunecheck.data.transforms import as_spec_says
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning.scoring import checked_batch


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A text of 2,000 bytes, each number from 0 to 199 ten times in a row."""
    file = tmp_path / "text.txt"
    file.write_bytes(bytes(number for number in range(200) for _ in range(10)))
    return file


def tokens_of(path: str) -> TokenDataset:
    forget_datasets()
    dataset = load_dataset(path)
    assert isinstance(dataset, TokenDataset)
    return dataset


def test_the_parts_of_a_text_follow_each_other_and_each_token_is_followed_by_its_label(text: Path) -> None:
    dataset = as_spec_says(tokens_of(f"text:{text}"), None, None, None, None, 16)
    assert isinstance(dataset, TokenDataset)
    parts = [dataset.streams[part] for part in ("train", "calibration", "test")]
    assert b"".join(part.tobytes() for part in parts) == text.read_bytes() + b"\n"
    assert [len(part) for part in parts] == [1600, 200, 201]
    assert dataset.image_shape == TokenShape(16, 256)
    assert len(dataset.train) == 99
    assert dataset.train.pixels.tobytes() == parts[0].tobytes()[: 99 * 16]
    assert dataset.train.labels.tobytes() == parts[0].tobytes()[1 : 99 * 16 + 1]


def test_batches_are_of_tokens_and_of_the_tokens_after_them_in_one_dimension(text: Path) -> None:
    dataset = as_spec_says(tokens_of(f"text:{text}"), None, None, 20, 5, 16)
    batches = Batches(dataset.train, dataset, 8)
    seen = list(batches.epoch(0, 0))
    assert [tuple(x.shape) for x, _ in seen] == [(8, 16), (8, 16), (4, 16)]
    assert {x.dtype for x, _ in seen} | {y.dtype for _, y in seen} == {torch.int64}
    for x, y in seen:
        assert torch.equal(checked_batch((x, y))[1], y)
        assert torch.equal(x[:, 1:], y.view(len(x), 16)[:, :-1])
    again = torch.cat([x for x, _ in seen])
    assert sorted(map(tuple, again.tolist())) == sorted(map(tuple, dataset.train.pixels.tolist()))
    assert torch.equal(batches.all_labels(), torch.cat([y for _, y in batches.in_order()]))


def test_files_of_a_folder_are_divided_whole_by_their_names(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.txt" for number in range(20)]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number + 65]) * 300)
    parts = divided_by_name(files, tmp_path)
    assert sorted(file for part in parts.values() for file in part) == sorted(files)
    assert {part: len(listed) for part, listed in parts.items()} == {"train": 16, "calibration": 2, "test": 2}
    assert divided_by_name(files[::-1], tmp_path) == parts
    dataset = tokens_of(f"text:{tmp_path}")
    seen = {part: set(dataset.streams[part].tolist()) - {10} for part in parts}
    assert {part: {int(file.stem) + 65 for file in listed} for part, listed in parts.items()} == seen


def test_a_folder_with_parts_has_them(tmp_path: Path) -> None:
    for letter, part in zip("abc", ("train", "calibration", "test"), strict=True):
        (tmp_path / part).mkdir()
        (tmp_path / part / "text.txt").write_text(letter * 500)
    streams = tokens_of(f"text:{tmp_path}").streams
    assert {part: chr(stream[0]) for part, stream in streams.items()} == {"train": "a", "calibration": "b", "test": "c"}


def test_token_arrays_know_their_vocabulary_and_come_through_whole(tmp_path: Path) -> None:
    tokens = numpy.random.default_rng(0).integers(0, 50_000, 4000)
    numpy.save(tmp_path / "tokens.npy", tokens)
    tokens.astype("<u2").tofile(tmp_path / "tokens.bin")
    of_npy, of_bin = (tokens_of(f"tokens:{tmp_path / name}") for name in ("tokens.npy", "tokens.bin"))
    assert of_npy.num_classes == int(tokens.max()) + 1
    assert of_npy.fingerprint == of_bin.fingerprint
    x, y = next(Batches(of_npy.test, of_npy, 4).in_order())
    assert torch.equal(x[0], torch.from_numpy(tokens[3600 : 3600 + 128]))
    assert torch.equal(y[:128], torch.from_numpy(tokens[3601 : 3601 + 128]))


def test_the_source_of_python_is_known_by_its_content_and_none_of_it_is_in_two_parts() -> None:
    first = load_dataset("python-source")
    assert isinstance(first, TokenDataset)
    streams = python_sources(SIZES)
    assert {part: len(stream) for part, stream in streams.items()} == SIZES
    assert all(numpy.array_equal(streams[part], first.streams[part]) for part in streams)
    other = python_sources(SIZES | {"train": 1000})
    changed = first.of_length(None)
    assert changed.fingerprint == first.fingerprint
    assert len(other["train"]) == 1000
    beginning = streams["test"][:2000].tobytes()
    assert beginning not in streams["train"].tobytes()
    assert beginning not in streams["calibration"].tobytes()


def test_calibration_sequences_are_drawn_by_the_seed_from_the_calibration_part_alone(text: Path) -> None:
    dataset = as_spec_says(tokens_of(f"text:{text}"), None, None, None, None, 16)
    drawn = calibration_sequences(dataset, 40, 3)
    assert drawn.pixels.shape == (40, 16)
    assert numpy.array_equal(drawn.pixels, calibration_sequences(dataset, 40, 3).pixels)
    assert not numpy.array_equal(drawn.pixels, calibration_sequences(dataset, 40, 4).pixels)
    assert set(numpy.unique(drawn.windows)) <= set(range(160, 180))
    # More of the same seed begin with the same, so that a dose is a part of a larger one.
    assert numpy.array_equal(drawn.pixels[:10], calibration_sequences(dataset, 10, 3).pixels)


def test_sequences_are_their_windows() -> None:
    windows = numpy.arange(30, dtype=numpy.uint8).reshape(3, 10)
    assert numpy.array_equal(Sequences.of_windows(windows).windows, windows)


def test_images_have_no_calibration_part() -> None:
    with pytest.raises(InputError, match="digits holds images, and calibration data are tokens"):
        calibration_sequences(load_dataset("digits"), 4, 0)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("short.txt", b"x" * 600, "too few for one sequence of 128"),
        (
            "tiny.txt",
            b"x" * 11,
            "has 1 token, too few for a sequence of any length .* and 128 are usual: give a longer",
        ),
        ("float.npy", numpy.zeros(500), "float64 of shape"),
        ("square.npy", numpy.zeros((50, 50), int), r"of shape \(50, 50\)"),
        ("negative.npy", numpy.arange(-5, 4000), "tokens from -5 to"),
        ("damaged.npy", b"no array", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(
    name: str, content: bytes | numpy.ndarray, sentence: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        numpy.save(file, content)
    with pytest.raises(InputError, match=sentence):
        as_spec_says(tokens_of(f"{'text' if name.endswith('.txt') else 'tokens'}:{file}"), None, None, None, None)


def test_a_short_text_is_cut_into_shorter_sequences(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_bytes(b"x" * 600)
    short = as_spec_says(tokens_of(f"text:{tmp_path / 'short.txt'}"), None, None, None, None, 16)
    assert [len(short.train), len(short.test)] == [29, 3]


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a file nor a folder"):
        tokens_of(f"text:{tmp_path / 'nothing'}")
    with pytest.raises(InputError, match=r"is not an \.npy or \.bin file"):
        tokens_of(f"tokens:{tmp_path / 'nothing.npy'}")
    with pytest.raises(InputError, match=r"has no train\.npy"):
        tokens_of(f"tokens:{tmp_path}")
    (tmp_path / "one.txt").write_text("a")
    with pytest.raises(InputError, match="1 files with something in them"):
        tokens_of(f"text:{tmp_path}")


def test_words_about_images_are_refused_for_tokens_and_the_other_way_round(text: Path) -> None:
    dataset, digits = tokens_of(f"text:{text}"), load_dataset("digits")
    with pytest.raises(InputError, match="augment is about images"):
        as_spec_says(dataset, "flip", None, None, None)
    with pytest.raises(InputError, match="normalize is about images"):
        as_spec_says(dataset, None, "none", None, None)
    with pytest.raises(InputError, match="sequence_length is about tokens"):
        as_spec_says(digits, None, None, None, None, 16)
    with pytest.raises(InputError, match="has 12 training sequences of 128 tokens, and train_images asks for 13"):
        as_spec_says(dataset, None, None, 13, None)


def test_a_token_that_comes_later_changes_no_logits_before_it() -> None:
    model = build_model("byte-transformer", 50, 1, width=32, sequence_length=12).eval()
    tokens = torch.randint(50, (2, 12), generator=torch.Generator().manual_seed(0))
    other = tokens.clone()
    other[:, 7] = (other[:, 7] + 1) % 50
    with torch.no_grad():
        first, second = model(tokens), model(other)
    assert first.shape == (2, 12, 50)
    assert torch.equal(first[:, :7], second[:, :7])
    assert not torch.allclose(first[:, 7:], second[:, 7:])
