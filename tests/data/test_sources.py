"""Datasets by name, against scikit-learn's own arrays and an independent reading of MNIST's files."""

import gzip

import mnist_folder
import numpy as np
import pytest
from sklearn.datasets import load_digits

from tf_jmvae import data
from tf_jmvae.data import digits as digits_module

MNIST_FOLDER, MNIST_FILES = mnist_folder.FOLDER, mnist_folder.FILES


def _as_multiset(images, labels):
    """Every example as bytes, sorted; `images` are uint8."""
    return sorted(image.tobytes() + bytes([label]) for image, label in zip(images, labels, strict=True))


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def test_digits_are_those_of_scikit_learn_each_in_one_split_only(digits):
    original = load_digits()
    splits = [digits.train, digits.test]
    assert [len(split["x"]) for split in splits] == [1437, 360]
    images = np.concatenate([split["x"] for split in splits])[..., 0] * 16
    labels = np.concatenate([split["w"] for split in splits]).argmax(-1)
    assert _as_multiset(images.astype(np.uint8), labels) == _as_multiset(
        original.images.astype(np.uint8), original.target
    )
    np.testing.assert_array_equal(images, images.astype(np.uint8))


def test_digits_have_grey_images_and_one_hot_labels(digits):
    for split, size in ((digits.train, 1437), (digits.test, 360)):
        assert split["x"].shape == (size, 8, 8, 1)
        assert split["x"].min() == 0
        assert split["x"].max() == 1
        np.testing.assert_array_equal(split["w"], np.eye(10)[split["w"].argmax(-1)])
        assert split["x"].dtype == np.float32
    assert digits.binarize == ()
    assert digits.class_names == tuple("0123456789")


def test_digits_are_split_in_the_same_way_every_time(digits):
    again = data.load("digits")
    np.testing.assert_array_equal(again.train["x"], digits.train["x"])
    np.testing.assert_array_equal(again.test["w"], digits.test["w"])


def test_every_digit_is_in_both_splits_in_its_share(digits):
    for split in (digits.train, digits.test):
        np.testing.assert_allclose(split["w"].mean(axis=0), 0.1, atol=0.04)


def test_only_selects_and_orders_the_modalities(digits):
    source = data.Source(digits.train, digits.test, binarize=("x",), class_names=digits.class_names)
    swapped = source.only(["w", "x"])
    assert list(swapped.train) == list(swapped.test) == ["w", "x"]
    assert swapped.binarize == ("x",)
    labels = source.only(["w"])
    assert list(labels.train) == list(labels.test) == ["w"]
    assert labels.binarize == ()
    np.testing.assert_array_equal(labels.test["w"], digits.test["w"])
    assert list(source.train) == ["x", "w"]


def test_only_names_what_is_missing_and_what_there_is(digits):
    with pytest.raises(ValueError, match=r"modalities \['x', 'w'\], but not \['caption'\]"):
        digits.only(["x", "caption"])


@pytest.mark.parametrize("batch_size", [1, 128, 479, 1437, 5000])
def test_num_batches_is_the_number_of_batches_in_a_pass(digits, batch_size):
    batches = digits.train_batches(batch_size)
    counted = sum(1 for _ in batches) if batch_size > 1 else 1437
    assert digits.num_batches(batch_size) == counted == batches.cardinality()


def test_train_batches_shuffle_the_training_examples(digits):
    joined = np.concatenate([batch["w"] for batch in digits.train_batches(500, seed=1).as_numpy_iterator()])
    assert (joined != digits.train["w"]).any()
    np.testing.assert_array_equal(joined.sum(axis=0), digits.train["w"].sum(axis=0))


def test_test_batches_are_the_test_examples_in_order_every_time(digits):
    batches = digits.test_batches(100)
    for _ in range(2):
        joined = np.concatenate([batch["x"] for batch in batches.as_numpy_iterator()])
        np.testing.assert_array_equal(joined, digits.test["x"])


@pytest.mark.parametrize("train_size", [1, 100, 1437])
def test_train_size_takes_the_first_training_examples_and_leaves_the_test_set(digits, train_size):
    smaller = data.load("digits", train_size=train_size)
    for name in ("x", "w"):
        np.testing.assert_array_equal(smaller.train[name], digits.train[name][:train_size])
        np.testing.assert_array_equal(smaller.test[name], digits.test[name])


@pytest.mark.parametrize("train_size", [1438, 10**6])
def test_train_size_must_be_had(train_size):
    with pytest.raises(ValueError, match=f"between 1 and 1437 for 'digits'; got {train_size}"):
        data.load("digits", train_size=train_size)


def test_an_unknown_dataset_lists_the_known_ones():
    with pytest.raises(
        ValueError,
        match=r"Unknown dataset 'cifar'\. Expected one of 'celeba', 'digits', 'five-digits', 'mnist', 'spoken-digits'",
    ):
        data.load("cifar")


@pytest.fixture
def damaged_folder(tmp_path):
    """A copy of the MNIST folder, and whichever file is named put aside to be replaced."""
    mnist_folder.require()

    def copied(without):
        for name in MNIST_FILES:
            if name != without:
                (tmp_path / name).symlink_to(MNIST_FOLDER / name)
        return tmp_path

    return copied


def test_a_missing_file_is_named(damaged_folder):
    folder = damaged_folder(without="t10k-labels-idx1-ubyte.gz")
    with pytest.raises(FileNotFoundError, match=r"lacks t10k-labels-idx1-ubyte\. Expected the four original files"):
        data.load("mnist", data_dir=folder)


def test_a_folder_that_does_not_exist_lacks_every_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere lacks train-images.*, train-labels.*, t10k-images.*, t10k"):
        data.load("mnist", data_dir=tmp_path / "nowhere")


def test_a_truncated_file_is_named(damaged_folder):
    name = "t10k-images-idx3-ubyte.gz"
    folder = damaged_folder(without=name)
    (folder / name).write_bytes((MNIST_FOLDER / name).read_bytes()[:100_000])
    with pytest.raises(OSError, match=f"{name} is damaged or truncated .*Fetch it again"):
        data.load("mnist", data_dir=folder)


def test_a_file_that_is_no_gzip_is_named(damaged_folder):
    name = "train-labels-idx1-ubyte.gz"
    folder = damaged_folder(without=name)
    (folder / name).write_text("<html>404 Not Found</html>")
    with pytest.raises(OSError, match=f"{name} is damaged or truncated .*Fetch it again"):
        data.load("mnist", data_dir=folder)


def test_a_file_of_the_wrong_size_is_named(damaged_folder):
    name = "t10k-labels-idx1-ubyte.gz"
    folder = damaged_folder(without=name)
    content = gzip.decompress((MNIST_FOLDER / name).read_bytes())
    (folder / name).write_bytes(gzip.compress(content[:-1]))
    with pytest.raises(OSError, match=f"{name} should unpack to 10008 bytes, but has 10007"):
        data.load("mnist", data_dir=folder)


@pytest.fixture(scope="module")
def original_mnist():
    """`(images, labels)` of both splits, read without the package."""
    mnist_folder.require()

    def read(split):
        images, labels = (
            np.frombuffer(gzip.decompress((MNIST_FOLDER / f"{split}-{kind}-ubyte.gz").read_bytes()), np.uint8)
            for kind in ("images-idx3", "labels-idx1")
        )
        return images[16:].reshape(-1, 28, 28), labels[8:]

    return read("train"), read("t10k")


@pytest.fixture(scope="module")
def mnist():
    mnist_folder.require()
    return data.load("mnist", data_dir=MNIST_FOLDER)


@pytest.fixture(scope="module")
def mnist_of_the_paper(mnist):
    return data.load("mnist", data_dir=MNIST_FOLDER, train_size=50_000)


def test_mnist_training_examples_are_those_of_the_files(mnist, original_mnist):
    images, labels = mnist.train["x"], mnist.train["w"].argmax(-1)
    assert images.shape == (60_000, 28, 28, 1)
    assert images.dtype == np.float32
    as_bytes = np.rint(images * 255).astype(np.uint8)
    np.testing.assert_array_equal(images, as_bytes.astype(np.float32) / 255)
    np.testing.assert_array_equal(as_bytes[..., 0], original_mnist[0][0])
    np.testing.assert_array_equal(labels, original_mnist[0][1])
    np.testing.assert_array_equal(mnist.train["w"], np.eye(10)[labels])
    assert mnist.binarize == ("x",)


def test_mnist_test_set_is_binary_with_the_grey_values_as_probabilities(mnist, original_mnist):
    images, labels = original_mnist[1]
    assert mnist.test["x"].shape == (10_000, 28, 28, 1)
    assert set(np.unique(mnist.test["x"])) == {0.0, 1.0}
    np.testing.assert_array_equal(mnist.test["w"].sum(axis=0), np.bincount(labels))
    for digit in range(10):
        grey = images[labels == digit] / 255.0
        ones = mnist.test["x"][mnist.test["w"][:, digit] == 1].sum(axis=(0, 3))
        deviation = np.sqrt((grey * (1 - grey)).sum(axis=0))
        np.testing.assert_array_less(np.abs(ones - grey.sum(axis=0)), 6 * deviation + 1)


def test_mnist_of_the_paper_has_the_first_50000_training_examples(mnist, mnist_of_the_paper):
    for name, array in mnist_of_the_paper.train.items():
        assert len(array) == 50_000
        np.testing.assert_array_equal(array, mnist.train[name][:50_000])


def test_mnist_test_set_is_the_same_at_every_load(mnist, mnist_of_the_paper):
    for name, array in mnist_of_the_paper.test.items():
        np.testing.assert_array_equal(array, mnist.test[name])


def test_mnist_train_batches_are_binarised_and_labelled(mnist):
    batch = next(iter(mnist.train_batches(1000)))
    assert set(np.unique(batch["x"])) == {0.0, 1.0}
    np.testing.assert_array_equal(batch["w"].numpy().sum(axis=-1), np.ones(1000))


def test_mnist_as_tensorflow_datasets_has_it_is_the_same_examples_in_another_order(mnist, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        mnist_folder.keep_in(mnist_folder.prepare(tmp_path_factory), patch)
        prepared = data.load("mnist")
    for name in ("train", "test"):
        found, wanted = getattr(prepared, name), getattr(mnist, name)
        np.testing.assert_array_equal(found["w"].sum(axis=0), wanted["w"].sum(axis=0))
    images, labels = (np.rint(split["x"] * 255).astype(np.uint8) for split in (prepared.train, mnist.train))
    examples = [
        _as_multiset(images, source.train["w"].argmax(-1)) for images, source in ((images, prepared), (labels, mnist))
    ]
    assert examples[0] == examples[1]


def _unpacked(folder, original, rename=lambda name: name):
    """The original files, small enough to be written anew, under other names."""
    for name in MNIST_FILES:
        path = folder / rename(name.removesuffix(".gz"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.decompress((MNIST_FOLDER / name).read_bytes()))


LAYOUTS = {
    "unpacked": lambda name: name,
    "torchvision": lambda name: f"MNIST/raw/{name}",
    "kaggle": lambda name: name.replace("-idx", ".idx"),
    "kaggle's folders": lambda name: f"{name}/{name}",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mnist_is_read_as_people_have_it_and_nothing_is_written(tmp_path, original_mnist, layout):
    _unpacked(tmp_path, original_mnist, LAYOUTS[layout])
    before = sorted(tmp_path.rglob("*"))
    (train, train_labels), (test, test_labels) = digits_module.read(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    for found, wanted in ((train, original_mnist[0][0]), (test, original_mnist[1][0])):
        np.testing.assert_array_equal(np.rint(found[..., 0] * 255), wanted)
    np.testing.assert_array_equal(train_labels, original_mnist[0][1])
    np.testing.assert_array_equal(test_labels, original_mnist[1][1])


def _archive(path, original, **changes):
    (x_train, y_train), (x_test, y_test) = original
    np.savez(path, **{"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test, **changes})


@pytest.mark.parametrize("by", ["folder", "file"])
def test_mnist_is_read_from_keras_archive(tmp_path, original_mnist, by):
    _archive(tmp_path / "mnist.npz", original_mnist)
    (train, labels), _ = digits_module.read(tmp_path if by == "folder" else tmp_path / "mnist.npz")
    np.testing.assert_array_equal(np.rint(train[..., 0] * 255), original_mnist[0][0])
    np.testing.assert_array_equal(labels, original_mnist[0][1])


def test_an_archive_that_is_not_mnists_is_named(tmp_path, original_mnist):
    _archive(tmp_path / "mnist.npz", original_mnist, y_test=np.zeros(3, np.uint8))
    with pytest.raises(OSError, match=r"mnist\.npz holds arrays of shapes .*\(3,\)\], not MNIST's"):
        digits_module.read(tmp_path)
    (tmp_path / "mnist.npz").write_bytes(b"PK no archive")
    with pytest.raises(OSError, match=r"mnist\.npz is damaged, or lacks one of x_train"):
        digits_module.read(tmp_path)


def test_a_file_of_another_dataset_of_the_same_size_is_named(damaged_folder):
    name = "t10k-labels-idx1-ubyte"
    folder = damaged_folder(without=f"{name}.gz")
    content = gzip.decompress((MNIST_FOLDER / f"{name}.gz").read_bytes())
    (folder / name).write_bytes(b"\0\0\x0d" + content[3:])
    with pytest.raises(OSError, match=f"{name} does not begin like MNIST's file of 10000 bytes"):
        data.load("mnist", data_dir=folder)


def test_only_rows_keeps_the_classes_of_what_is_redrawn_with_their_rows():
    train = {"image": np.arange(4), "sound": np.arange(4), "w": np.eye(2)[[0, 1, 0, 1]]}
    source = data.Source(train, {"w": np.eye(2)}, redraw={"sound": np.array([0, 1, 0, 1])})
    kept = source.only_rows(np.array([True, False, True, True]))
    assert kept.redraw["sound"].tolist() == [0, 0, 1]
    assert kept.train["image"].tolist() == [0, 2, 3]
    assert kept.test is source.test
    assert source.only_rows(test=np.array([False, True])).test["w"].tolist() == [[0.0, 1.0]]
