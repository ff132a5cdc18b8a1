"""Five views of a digit: what is in a row, and that a copy is made once and repeats."""

import numpy as np
import pytest
from PIL import Image

import tf_jmvae as tj
from tf_jmvae.data import digits, five_digits
from tf_jmvae.training import presets
from tf_jmvae.training.build import build_model

SIZES = (60, 20)


@pytest.fixture
def few_digits(monkeypatch, tmp_path):
    """A small MNIST whose images can be told apart, and a cache of its own."""

    def split(size, seed):
        random = np.random.default_rng(seed)
        labels = np.arange(size) % 10
        images = np.where(random.random((size, 28, 28, 1)) < 0.3, 0.9, 0.1).astype(np.float32)
        return images, labels

    splits = tuple(split(size, seed) for seed, size in enumerate(SIZES))
    monkeypatch.setattr(digits, "read", lambda data_dir=None: splits)
    monkeypatch.setenv("TF_JMVAE_CACHE", str(tmp_path / "cache"))
    return splits


def test_every_view_shows_an_image_of_the_rows_class_on_a_crop_of_its_picture(few_digits):
    source = tj.data.load("five-digits")
    assert list(source.train) == [*five_digits.PICTURES, "w"]
    for part, (images, labels) in zip((source.train, source.test), few_digits, strict=True):
        np.testing.assert_array_equal(part["w"].argmax(-1), labels)
        for view, picture in five_digits._pictures().items():
            drawn, used = np.asarray(part[view]), []
            assert (drawn.dtype, drawn.shape) == (np.uint8, (len(labels), 28, 28, 3))
            windows = np.lib.stride_tricks.sliding_window_view(picture, (28, 28), axis=(0, 1))
            for row in range(0, len(labels), 7):
                candidates = list(np.flatnonzero(labels == labels[row]))
                fits = []
                for i in candidates:  # undo the drawing: what is left must be somewhere in the picture
                    plain = np.where(images[i] > 0.5, 255 - drawn[row], drawn[row])
                    corner = (windows[:, :, :, 0, 0] == plain[0, 0]).all(axis=-1)
                    places = np.argwhere(corner)
                    if any((picture[top : top + 28, left : left + 28] == plain).all() for top, left in places):
                        fits.append(i)
                assert len(fits) == 1
                used += fits
            assert len(set(used)) == len(used)


def test_the_digits_of_a_row_are_different_images(few_digits):
    source = tj.data.load("five-digits")
    one, other = (np.asarray(source.train[view], int) for view in ("astronaut", "coffee"))
    assert not np.array_equal(one, other)
    orders = {
        five_digits._drawn(*few_digits[0], np.zeros((28, 28, 3), np.uint8), np.random.default_rng(s)).tobytes()
        for s in range(5)
    }
    assert len(orders) == 5


def test_each_image_is_used_once_in_each_view(few_digits):
    images, labels = few_digits[0]
    drawn = five_digits._drawn(images, labels, np.zeros((28, 28, 3), np.uint8), np.random.default_rng(0))
    shown = drawn[..., 0].reshape(len(labels), -1) > 0
    expected = (images > 0.5).reshape(len(labels), -1)
    assert sorted(map(bytes, shown)) == sorted(map(bytes, expected))


def test_a_seed_repeats_every_byte_and_another_gives_others(few_digits, tmp_path, monkeypatch):
    def load(cache, seed):
        monkeypatch.setenv("TF_JMVAE_CACHE", str(tmp_path / cache))
        source = tj.data.load("five-digits", seed=seed)
        return {name: np.array(values) for name, values in {**source.train, **source.test}.items()}

    one, same, other = load("a", 1), load("b", 1), load("a", 2)
    for view in five_digits.PICTURES:
        np.testing.assert_array_equal(one[view], same[view])
        assert not np.array_equal(one[view], other[view])


def test_a_copy_is_made_once_and_again_where_it_is_damaged(few_digits, tmp_path, monkeypatch):
    made, drawn = [], five_digits._drawn
    monkeypatch.setattr(five_digits, "_drawn", lambda *arguments: made.append(1) or drawn(*arguments))
    before = np.array(tj.data.load("five-digits").test["hubble"])
    tj.data.load("five-digits")
    assert len(made) == 10
    (folder,) = (tmp_path / "cache").iterdir()
    (folder / "test-hubble.npy").write_bytes(b"")
    np.testing.assert_array_equal(tj.data.load("five-digits").test["hubble"], before)
    assert len(made) == 20


@pytest.mark.parametrize("preset", ["five-digits-jmvae-kl", "five-digits-jmvae-kl-small"])
def test_the_presets_train_and_answer(few_digits, preset):
    config = presets.load(preset)
    model = build_model(config.model)
    source = tj.data.load(config.data.dataset).only(config.model.modalities)
    assert list(model.modalities) == list(five_digits.PICTURES)
    model.compile(tj.optimizers.FusedAdam())
    history = model.fit(source.train_batches(20, epochs=range(1)), verbose=0, steps_per_epoch=1).history
    assert np.isfinite(history["loss"][-1])
    image = model.pixels(
        "coffee",
        model.generate({"tissue": model.read({"tissue": source.test["tissue"][:2]})["tissue"]}, seed=1)["coffee"],
    )
    assert image.shape == (2, 28, 28, 3)
    assert Image.fromarray(np.asarray(image[0])).size == (28, 28)
