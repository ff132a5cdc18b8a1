"""Image, recording and label of a digit: the split, what is paired with what, the copy, and what is refused."""

import collections
import pathlib

import mnist_folder
import numpy as np
import pytest
import requirements
import spoken_folder

import tf_jmvae as tj
from tf_jmvae.data import digits, spoken_digits
from tf_jmvae.data.log_mel import log_mel
from tf_jmvae.distribute.replicas import Shards
from tf_jmvae.training import presets
from tf_jmvae.training.build import build_model

SIZES = (120, 40)
FSDD = pathlib.Path(__file__).resolve().parents[2].parent / "shared/data/fsdd"


@pytest.fixture
def folder(tmp_path):
    """Recordings of tones, by speaker."""
    spoken_folder.write_all(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def few_digits(monkeypatch, tmp_path):
    """A small MNIST, and a cache of its own."""

    def split(size, seed):
        images = np.random.default_rng(seed).random((size, 28, 28, 1)).astype(np.float32)
        return images, np.arange(size) % 10

    splits = tuple(split(size, seed) for seed, size in enumerate(SIZES))
    monkeypatch.setattr(digits, "read", lambda data_dir=None: splits)
    monkeypatch.setenv("TF_JMVAE_CACHE", str(tmp_path / "cache"))
    return splits


def _load(folder, **options):
    return tj.data.load("spoken-digits", data_dir=folder, **options)


def _epoch(source, number, batch_size=50, **options):
    """The batches of one epoch, joined."""
    batches = list(source.train_batches(batch_size, epochs=range(number, number + 1), **options).as_numpy_iterator())
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _digits(sound):
    """Which digit's tone is the loudest in each spectrogram, `[N]`."""
    return (31 - sound[..., 0].sum(axis=2).argmax(axis=1)) // 3


def test_a_row_has_an_image_a_sound_and_the_label_of_both(folder, few_digits):
    source = _load(folder)
    for part, (_, labels) in zip((source.train, source.test), few_digits, strict=True):
        assert {name: values.shape[1:] for name, values in part.items()} == {
            "image": (28, 28, 1), "sound": (32, 32, 1), "w": (10,),
        }  # fmt: skip
        np.testing.assert_array_equal(part["w"], np.eye(10)[labels])
        np.testing.assert_array_equal(_digits(part["sound"]), labels)
    np.testing.assert_array_equal(source.train["image"], few_digits[0][0])
    assert set(np.unique(source.test["image"])) == {0, 1}
    assert (source.binarize, source.class_names) == (("image",), tuple("0123456789"))


@pytest.mark.parametrize("split", ["train", "test"])
def test_takes_0_to_4_are_the_test_sets_and_each_is_used_as_often(folder, split):
    takes = [take for take in spoken_folder.TAKES if (take <= 4) == (split == "test")]
    expected = {
        log_mel(spoken_folder.tone(d, s, take)).tobytes(): 0
        for d in range(10)
        for s in spoken_folder.SPEAKERS
        for take in takes
    }
    counted = collections.Counter(sound.tobytes() for sound in getattr(_load(folder), split)["sound"])
    assert set(counted) == set(expected)
    size = SIZES[split == "test"] // len(expected)
    assert set(counted.values()) == {size}


def test_sounds_are_paired_with_images_of_their_digit_anew_in_every_epoch_and_not_in_test(folder):
    source = _load(folder)
    seen = []
    for number in range(3):
        epoch = _epoch(source, number)
        np.testing.assert_array_equal(_digits(epoch["sound"]), epoch["w"].argmax(axis=-1))
        by_image = np.argsort(source.train["image"][:, 0, 0, 0])
        assert sorted(map(bytes, epoch["sound"])) == sorted(map(bytes, source.train["sound"][by_image]))
        seen.append(epoch)
    lengths = [(epoch["sound"] > 0).any(axis=1).sum(axis=(1, 2)) for epoch in seen]
    assert all((one != other).any() for one, other in ((lengths[0], lengths[1]), (lengths[1], lengths[2])))
    tests = [next(iter(source.test_batches())) for _ in range(2)]
    np.testing.assert_array_equal(tests[0]["sound"], tests[1]["sound"])
    np.testing.assert_array_equal(tests[0]["sound"], source.test["sound"])


def test_a_row_meets_every_recording_of_its_digit(folder):
    """In training the image of a row is binarised afresh, so rows are told by an order that no epoch shuffles."""
    source = _load(folder)
    batches = tj.data.from_arrays(
        {"row": np.arange(SIZES[0]), "sound": source.train["sound"]}, redraw=source.redraw, epochs=range(60)
    )
    met = collections.defaultdict(set)
    for batch in batches.as_numpy_iterator():
        for row, sound in zip(batch["row"], batch["sound"], strict=True):
            met[int(row)].add(sound.tobytes())
    assert {len(sounds) for sounds in met.values()} == {6}  # two speakers' three takes


def test_equal_seeds_give_equal_pairs_and_workers_make_up_the_batch(folder):
    one, same, other = (_load(folder, seed=seed) for seed in (1, 1, 2))
    for name in ("sound", "image"):
        np.testing.assert_array_equal(one.test[name], same.test[name])
        np.testing.assert_array_equal(_epoch(one, 3, seed=5)[name], _epoch(same, 3, seed=5)[name])
    assert (one.test["sound"] != other.test["sound"]).any()
    assert (_epoch(one, 3, seed=5)["sound"] != _epoch(one, 3, seed=6)["sound"]).any()
    epoch = range(1)
    whole = [batch["sound"] for batch in one.train_batches(50, epochs=epoch).as_numpy_iterator()]
    workers = (one.train_batches(50, epochs=epoch, shards=Shards(range(k, k + 1), 2)) for k in range(2))
    for batch, *parts in zip(
        whole, *([part["sound"] for part in own.as_numpy_iterator()] for own in workers), strict=True
    ):
        np.testing.assert_array_equal(batch, np.concatenate(parts))


def test_options_that_leave_out_rows_or_labels_keep_the_pairs_right(folder):
    epoch = _epoch(_load(folder, train_size=70, missing={"sound": 0.5, "image": 0.2}), 1)
    held = ~np.isnan(epoch["sound"]).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(_digits(epoch["sound"][held]), epoch["w"][held].argmax(axis=-1))
    dropped = _load(folder, missing={"sound": 0.5}, incomplete="drop")
    assert len(dropped.redraw["sound"]) == len(dropped.train["sound"]) == SIZES[0] // 2
    without_labels = dropped.only(["image", "sound"])
    assert list(_epoch(without_labels, 0)) == ["image", "sound"]
    assert dropped.only(["image", "w"]).redraw == {}


def test_the_copy_is_made_once_and_again_where_it_is_damaged_and_has_the_same_bytes(folder, tmp_path, monkeypatch):
    made, spectrogram = [], spoken_digits.log_mel
    monkeypatch.setattr(spoken_digits, "log_mel", lambda samples: made.append(1) or spectrogram(samples))
    before = _load(folder)
    (copy,) = (tmp_path / "cache").iterdir()
    content = (copy / "sound.npy").read_bytes()
    _load(folder)
    assert len(made) == 100
    (copy / "sound.npy").write_bytes(content[:1000])
    after = _load(folder)
    assert len(made) == 200
    assert (copy / "sound.npy").read_bytes() == content
    np.testing.assert_array_equal(before.test["sound"], after.test["sound"])
    (folder / "ann").rename(folder / "deeper")  # the copy is of what is recorded, not of where
    _load(folder)
    assert len(made) == 200
    spoken_folder.write(folder / "deeper/3_ann_5.wav", spoken_folder.tone(3, "bob", 20))
    assert (_load(folder).train["sound"] != before.train["sound"]).any()
    assert len(made) == 300
    monkeypatch.setattr(spoken_digits, "SETTINGS", "of a later version")
    _load(folder)
    assert len(made) == 400


@pytest.mark.parametrize("place", ["", "mnist"])
def test_mnist_is_read_beside_the_recordings_and_else_downloaded(folder, few_digits, monkeypatch, place):
    places = []
    monkeypatch.setattr(digits, "read", lambda data_dir: places.append(data_dir) or few_digits)
    _load(folder)
    (folder / place).mkdir(exist_ok=True)
    (folder / place / "t10k-labels-idx1-ubyte.gz").touch()
    _load(folder)
    assert places == [None, folder / place]


def test_a_data_dir_is_needed():
    with pytest.raises(ValueError, match=r"spoken-digits needs a data dir: a folder with .*Jakobovski.*MNIST's files"):
        tj.data.load("spoken-digits")


def test_recordings_that_are_not_there_are_named(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match=r"No recordings in .*empty\. Expected a folder with the recordings of"):
        _load(tmp_path / "empty")
    for path in folder.rglob("7_*_[04].wav"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no takes 0 to 4, which are the test set, of the digits 7\."):
        _load(folder)
    for digit in (3, 7):
        for path in folder.rglob(f"{digit}_*.wav"):
            path.unlink()
        spoken_folder.write(folder / f"{digit}_ann_0.wav", spoken_folder.tone(digit, "ann", 0))
    with pytest.raises(
        FileNotFoundError, match=r"no takes 5 and above, which are the training set, of the digits 3, 7\."
    ):
        _load(folder)


@pytest.mark.parametrize("name", ["seven_jackson_5.wav", "7_5.wav", "7_jackson_x.wav", "._7_ann_5.wav", "77_ann_5.wav"])
def test_a_name_that_is_none_is_refused(folder, name):
    spoken_folder.write(folder / name, spoken_folder.tone(7, "ann", 5))
    with pytest.raises(ValueError, match=rf"must be named DIGIT_SPEAKER_TAKE\.wav, .* got {name}\. Rename them"):
        _load(folder)


def test_many_wrong_names_are_counted(folder):
    for number in range(8):
        (folder / f"music{number}.wav").touch()
    with pytest.raises(ValueError, match=r"got music0\.wav, .*, music4\.wav and 3 more\. Rename"):
        _load(folder)


def test_a_recording_that_is_there_twice_is_refused(folder):
    spoken_folder.write(folder / "copy/7_ann_5.wav", spoken_folder.tone(7, "ann", 5))
    with pytest.raises(ValueError, match=r"present twice: .*ann.7_ann_5\.wav and .*copy.7_ann_5\.wav\. Move one"):
        _load(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 16_000}, "got 16000 of 16 bits, 1 channel"),
        ({"channels": 2}, "got 8000 of 16 bits, 2 channels"),
        ({"width": 1}, "got 8000 of 8 bits, 1 channel"),
    ],
)
def test_a_recording_of_another_form_is_refused(folder, options, message):
    spoken_folder.write(folder / "ann/7_ann_5.wav", np.ones(1600), **options)
    with pytest.raises(
        ValueError, match=rf"7_ann_5\.wav: expected 8000 samples per second of 16 bits, mono; {message}\."
    ):
        _load(folder)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda content: b"", OSError, r"7_ann_5\.wav is damaged, or not a PCM WAV file \(it ends too early\)"),
        (lambda content: content[:20], OSError, r"7_ann_5\.wav is damaged"),
        (lambda content: b"\x89PNG" + content, OSError, r"7_ann_5\.wav is damaged.* RIFF"),
        (lambda content: content[:20] + b"\x03" + content[21:], OSError, r"7_ann_5\.wav is damaged.*unknown format: 3"),
        (lambda content: content[:-100], OSError, r"7_ann_5\.wav should have 2100 samples, but has 2050\. Fetch it"),
        (lambda content: content[:44], OSError, r"7_ann_5\.wav should have 2100 samples, but has 0\."),
        (
            lambda content: content[:44] + bytes(4200),
            ValueError,
            r"7_ann_5\.wav cannot be used\. Silence in the first 0\.64",
        ),
    ],
    ids=["empty", "cut in the header", "no RIFF", "floats", "cut", "cut after the header", "silent"],
)
def test_a_damaged_recording_is_named(folder, damage, error, message):
    path = folder / "ann/7_ann_5.wav"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(error, match=message):
        _load(folder)


def test_a_recording_of_no_samples_is_named(folder):
    spoken_folder.write(folder / "ann/7_ann_5.wav", [])
    with pytest.raises(OSError, match=r"7_ann_5\.wav has no samples\. Fetch it again"):
        _load(folder)


def test_the_small_preset_trains_and_answers(folder):
    config = presets.load("spoken-digits-jmvae-kl-small")
    model = build_model(config.model)
    source = _load(folder).only(config.model.modalities)
    assert list(model.modalities) == list(source.train)
    model.compile("adam", run_eagerly=True)
    history = model.fit(source.train_batches(40, epochs=range(1)), verbose=0, steps_per_epoch=1).history
    assert np.isfinite(history["loss"][-1])
    made = model.generate({"w": source.test["w"][:2]}, seed=1)
    pixels = model.pixels("sound", made["sound"]).numpy()
    assert (pixels.shape, pixels.dtype) == ((2, 32, 32, 1), np.uint8)


@pytest.fixture
def real(monkeypatch):
    if not any(FSDD.rglob("*.wav")):
        requirements.skip("fsdd", f"the recordings of the Free Spoken Digit Dataset are not in {FSDD}")
    mnist_folder.require()
    monkeypatch.undo()
    return FSDD.parent


def test_the_published_recordings_are_2700_and_300_of_six_speakers(real, tmp_path, monkeypatch):
    found = spoken_digits._found(real)
    assert collections.Counter(speaker for _, speaker, _ in found) == dict.fromkeys({key[1] for key in found}, 500)
    assert sorted(found) == [(d, s, t) for d in range(10) for s in sorted({key[1] for key in found}) for t in range(50)]
    monkeypatch.setenv("TF_JMVAE_CACHE", str(tmp_path))
    source = _load(real)
    assert [len(set(map(bytes, part["sound"]))) for part in (source.train, source.test)] == [2700, 300]
    assert [len(part["w"]) for part in (source.train, source.test)] == [60_000, 10_000]
