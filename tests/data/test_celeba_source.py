"""CelebA by `data.load`: splits, images as bytes, attributes by name, options."""

import dataclasses

import celeba_folder
import numpy as np
import pytest

from tf_jmvae import data
from tf_jmvae.data.celeba import dataset as celeba
from tf_jmvae.specs import Preprocessing

COUNT, SIZE = 40, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("celeba")
    celeba_folder.make(folder, COUNT)
    return folder


@pytest.fixture(autouse=True)
def _own_cache(folder, monkeypatch):
    monkeypatch.setenv("TF_JMVAE_CACHE", str(folder / "cache"))


@pytest.fixture
def prepared(folder):
    return celeba.read(folder, image_size=SIZE, verbose=0)


def _load(folder, **options):
    return data.load("celeba", data_dir=folder, image_size=SIZE, **options)


def test_images_of_both_splits_are_bytes_and_say_how_they_were_made(folder, prepared):
    source = _load(folder)
    for split, part in ((source.train, 0), (source.test, 2)):
        assert split["x"].dtype == np.uint8
        np.testing.assert_array_equal(split["x"], prepared.images[prepared.partition == part])
    assert source.preprocessing == {"x": Preprocessing(crop=(148, 178), range=(0, 255))}
    assert _load(folder, crop="center").preprocessing == source.preprocessing


def test_attributes_are_those_of_each_split_in_the_order_of_their_names(folder, prepared):
    source = _load(folder)
    assert source.class_names == celeba.ATTRIBUTES
    for split, part in ((source.train, 0), (source.test, 2)):
        np.testing.assert_array_equal(split["w"], prepared.attributes[prepared.partition == part])
        assert set(np.unique(split["w"])) == {-1, 1}
    assert source.report["prepared"] == COUNT


def test_without_a_test_split_the_validation_split_is_held_out(folder, prepared, tmp_path):
    part = tmp_path / "part"
    attributes, partition = celeba_folder.make(part, 10)
    celeba_folder.write_lists(part, celeba_folder.names(10), attributes, np.minimum(partition, 1))
    source = _load(part)
    assert (len(source.train["w"]), len(source.test["w"])) == (6, 4)
    np.testing.assert_array_equal(source.test["w"], attributes[6:])


def test_without_held_out_images_it_says_what_the_list_lacks(folder, tmp_path):
    part = tmp_path / "part"
    attributes, partition = celeba_folder.make(part, 5)
    celeba_folder.write_lists(part, celeba_folder.names(5), attributes, 0 * partition)
    with pytest.raises(ValueError, match=r"must name training images \(0\) and validation .* found 5 and 0"):
        _load(part)


def test_training_batches_are_raw_and_mirrored_where_it_is_wanted(folder):
    plain, mirrored = (_load(folder, mirror=mirror) for mirror in (False, True))
    assert (plain.mirror, mirrored.mirror) == ((), ("x",))
    batches = [next(iter(source.train_batches(COUNT, seed=1))) for source in (plain, mirrored)]
    np.testing.assert_array_equal(batches[0]["w"], batches[1]["w"])
    assert batches[0]["w"].dtype == batches[0]["x"].dtype == np.float32
    ordered = [
        np.sort(np.asarray(images, np.float32), axis=0) for images in (batches[0]["x"], _load(folder).train["x"])
    ]
    np.testing.assert_array_equal(*ordered)
    differs = (batches[0]["x"].numpy() != batches[1]["x"].numpy()).any(axis=(1, 2, 3))
    assert 0.1 < differs.mean() < 0.9


def test_train_size_takes_the_first_examples_and_leaves_test_images(folder):
    whole, part = _load(folder), _load(folder, train_size=5)
    np.testing.assert_array_equal(part.train["x"], whole.train["x"][:5])
    np.testing.assert_array_equal(part.test["x"], whole.test["x"])
    with pytest.raises(ValueError, match=r"train_size must lie between 1 and 28 for 'celeba'; got 29"):
        _load(folder, train_size=29)


def test_only_attributes_leaves_nothing_of_the_images(folder):
    source = _load(folder, mirror=True).only(["w"])
    assert (list(source.train), source.mirror, source.preprocessing) == (["w"], (), {})


@pytest.mark.parametrize("option", [{"image_size": 8}, {"crop": "center"}, {"mirror": True}, {"strict": True}], ids=str)
def test_options_of_celeba_are_refused_for_other_datasets(option):
    with pytest.raises(ValueError, match=rf"{next(iter(option))}: not an option of 'digits', which has none"):
        data.load("digits", **option)


def test_training_images_stay_on_the_disk_and_give_the_same_batches_as_in_memory(folder):
    source = _load(folder, mirror=True)
    assert isinstance(source.train["x"], np.memmap)
    copy = dataclasses.replace(source, train={**source.train, "x": np.array(source.train["x"])})
    for mapped, held in zip(source.train_batches(8), copy.train_batches(8), strict=True):
        np.testing.assert_array_equal(mapped["x"], held["x"])
