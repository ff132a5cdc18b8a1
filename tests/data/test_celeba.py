"""CelebA's folder, its prepared copy and tensorflow-datasets, against Pillow, numpy.loadtxt and each other."""

import concurrent.futures
import errno
import json
import os
import pathlib
import shutil
import sys
import zipfile

import celeba_folder
import numpy as np
import pytest
import requirements
from PIL import Image

from tf_jmvae import images
from tf_jmvae.data.celeba import arrays as celeba_arrays
from tf_jmvae.data.celeba import arrays as faces
from tf_jmvae.data.celeba import dataset as celeba

CELEBA_FOLDER = pathlib.Path(__file__).resolve().parents[2].parent / "shared" / "data" / "celeba"
COUNT = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tiny CelebA, its attributes and partitions."""
    folder = tmp_path_factory.mktemp("celeba")
    return folder, *celeba_folder.make(folder, COUNT)


@pytest.fixture
def folder(made, tmp_path):
    """A copy to damage."""
    return pathlib.Path(shutil.copytree(made[0], tmp_path / "celeba"))


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def read(folder, cache):
    def read(data_dir=folder, **options):
        return celeba.read(data_dir, **{"image_size": 16, "cache_dir": cache, "verbose": 0} | options)

    return read


@pytest.fixture
def no_image_is_read(monkeypatch):
    def refuse(source):
        raise AssertionError(f"{source} was read")

    return lambda: monkeypatch.setattr(images, "open_rgb", refuse)


def _expected_pixels(path, size):
    """By NumPy and Pillow: the 148 x 148 pixels in the middle of 178 x 218."""
    with Image.open(path) as image:
        middle = np.asarray(image)[35:183, 15:163]
    return np.asarray(Image.fromarray(middle).resize((size, size), Image.Resampling.LANCZOS))


def _image(folder, number):
    return folder / "img_align_celeba" / f"{number:06d}.jpg"


def _edit(path, line, change):
    lines = path.read_text().split("\n")
    lines[line - 1] = change(lines[line - 1])
    path.write_text("\n".join(lines))


def _assert_same(first, second):
    for name in ("images", "attributes", "partition"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.report == second.report


# What is read


def test_pixels_attributes_and_partitions_are_those_of_the_folder(made, cache):
    folder, attributes, partition = made
    result = celeba.read(folder, image_size=32, cache_dir=cache, verbose=0)
    expected = [_expected_pixels(_image(folder, number), 32) for number in range(1, COUNT + 1)]
    np.testing.assert_array_equal(result.images, expected)
    np.testing.assert_array_equal(result.attributes, attributes)
    np.testing.assert_array_equal(result.partition, partition)
    assert [array.dtype for array in (result.images, result.attributes, result.partition)] == [np.uint8, "i1", "i1"]
    assert isinstance(result.images, np.memmap)
    assert result.report == {
        "listed": COUNT,
        "missing": 0,
        "missing_names": [],
        "unpaired": 0,
        "prepared": COUNT,
        "broken": [],
        "faces_found": None,
        "crop": "center",
        "image_size": 32,
    }


def test_the_columns_are_read_by_name(folder, read):
    expected = read().attributes
    path = folder / "list_attr_celeba.txt"
    count, header, *rows = path.read_text().splitlines()
    order = np.random.default_rng(3).permutation(40)
    shuffled = [" ".join(np.array(header.split())[order])]
    shuffled += [" ".join([row.split()[0], *np.array(row.split()[1:])[order]]) for row in rows]
    path.write_text("\n".join([count, *shuffled]) + "\n")
    np.testing.assert_array_equal(read().attributes, expected)


def test_the_names_are_those_of_tensorflow_datasets():
    from tensorflow_datasets.datasets.celeb_a import celeb_a_dataset_builder

    assert tuple(celeb_a_dataset_builder.ATTR_HEADINGS) == celeba.ATTRIBUTES


@pytest.mark.parametrize("where", ["as downloaded", "flat"])
def test_other_places_of_the_files_are_known(folder, read, where):
    expected = read()
    moves = {
        "as downloaded": {
            "list_attr_celeba.txt": "Anno/list_attr_celeba.txt",
            "list_eval_partition.txt": "Eval/list_eval_partition.txt",
            "img_align_celeba": "Img/img_align_celeba",
        },
        "flat": {f"img_align_celeba/{name}": name for name in celeba_folder.names(COUNT)},
    }
    for source, target in moves[where].items():
        (folder / target).parent.mkdir(exist_ok=True)
        (folder / source).rename(folder / target)
    _assert_same(read(), expected)


def _as_kaggle(folder):
    """Both lists with commas and names of the columns, without the number of rows."""
    for name, header in (("list_attr_celeba", None), ("list_eval_partition", "image_id,partition")):
        lines = (folder / f"{name}.txt").read_text().splitlines()
        if header is None:
            header, lines = "image_id," + ",".join(lines[1].split()), lines[2:]
        rows = [",".join(line.split()) for line in lines]
        (folder / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")
        (folder / f"{name}.txt").unlink()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_kaggles_lists_are_read(folder, read, encoding):
    wanted = read()
    _as_kaggle(folder)
    for path in folder.glob("*.csv"):
        path.write_text(path.read_text(), encoding=encoding)
    found = read()
    for name in ("images", "attributes", "partition"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("list_attr_celeba.csv", "Bald,", "", r"list_attr_celeba\.csv, line 1: expected the names of CelebA's 40"),
        ("list_attr_celeba.csv", "000002.jpg,", "000002.jpg,1,", r"line 3: expected the image's name and 40 values"),
        (
            "list_eval_partition.csv",
            "000002.jpg,0",
            "000002.jpg,7",
            r"line 3: expected an image's name and 0 \(train\)",
        ),
    ],
)
def test_a_wrong_line_of_kaggles_lists_is_named(folder, read, name, old, new, message):
    _as_kaggle(folder)
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read()


def test_the_face_crop_leaves_out_and_counts_images_without_a_face(made, read, capsys):
    result = read(crop="face", verbose=1)
    found = {number: faces.crop_face(Image.open(_image(made[0], number))) for number in range(1, COUNT + 1)}
    found = {number: face for number, face in found.items() if face is not None}
    assert 0 < len(found) < COUNT
    assert result.report["faces_found"] == result.report["prepared"] == len(found)
    expected = [face.resize((16, 16), Image.Resampling.LANCZOS) for face in found.values()]
    np.testing.assert_array_equal(result.images, np.stack([np.asarray(face) for face in expected]))
    rows = np.array(list(found)) - 1
    np.testing.assert_array_equal(result.attributes, made[1][rows])
    np.testing.assert_array_equal(result.partition, made[2][rows])
    assert f"left out: {COUNT - len(found)} without a face" in capsys.readouterr().out


def test_the_face_crop_without_opencv_leaves_nothing(read, cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r'pip install "tf-jmvae\[faces\]"'):
        read(crop="face")
    assert list(cache.iterdir()) == []


def test_verbose_0_is_silent(read, capsys):
    read()
    assert capsys.readouterr() == ("", "")


# What is missing or broken


@pytest.fixture
def broken_folder(folder):
    """Images 2 (cut in half), 5 (empty) and 9 (no image) are broken, 12 is missing."""
    half = _image(folder, 2).read_bytes()
    _image(folder, 2).write_bytes(half[: len(half) // 2])
    _image(folder, 5).write_bytes(b"")
    _image(folder, 9).write_text("<html>404 Not Found</html>")
    _image(folder, 12).unlink()
    return folder


BROKEN = ["000002.jpg", "000005.jpg", "000009.jpg"]


def test_broken_and_missing_images_are_named_and_left_out(broken_folder, made, read, capsys):
    result = read(verbose=1)
    kept = np.delete(np.arange(COUNT), [1, 4, 8, 11])
    expected = [_expected_pixels(_image(broken_folder, number + 1), 16) for number in kept]
    np.testing.assert_array_equal(result.images, expected)
    np.testing.assert_array_equal(result.attributes, made[1][kept])
    np.testing.assert_array_equal(result.partition, made[2][kept])
    assert result.report["broken"] == BROKEN
    assert (result.report["missing"], result.report["missing_names"]) == (1, ["000012.jpg"])
    assert (result.report["listed"], result.report["prepared"]) == (COUNT, COUNT - 4)
    printed = "36 images; left out: 1 missing (000012.jpg), 3 broken (000002.jpg, 000005.jpg, 000009.jpg)."
    assert printed in capsys.readouterr().out
    read(verbose=1)
    assert printed in capsys.readouterr().out  # from the prepared copy as well


@pytest.mark.usefixtures("broken_folder")
def test_strict_admits_no_broken_image_prepared_or_not(read, cache):
    with pytest.raises(ValueError, match=r"000002\.jpg is broken: .*000002\.jpg is damaged or truncated"):
        read(strict=True)
    assert list(cache.iterdir()) == []
    read()
    with pytest.raises(ValueError, match=r"3 broken \(000002\.jpg, 000005\.jpg, 000009\.jpg\); strict allows none"):
        read(strict=True)


def test_strict_admits_missing_images(folder, read):
    _image(folder, 3).unlink()
    assert read(strict=True).report["missing"] == 1


def test_it_is_an_error_if_no_image_is_there_or_whole(folder, read, cache):
    for number in range(2, COUNT + 1):
        _image(folder, number).unlink()
    _image(folder, 1).write_bytes(b"no image")
    with pytest.raises(ValueError, match="none of 1 images is left: 1 are broken, 0 have no face"):
        read()
    _image(folder, 1).rename(_image(folder, 999))
    with pytest.raises(FileNotFoundError, match=r"None of the 40 images in both lists of .*, which has 1 others"):
        read()
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "list_eval_partition.txt", "img_align_celeba"])
def test_what_the_folder_lacks_is_named(folder, read, name):
    (folder / name).rename(folder / "elsewhere")
    with pytest.raises(FileNotFoundError, match=rf"celeba lacks {name}.*Expected list_attr_celeba\.txt"):
        read()


def test_a_zip_that_is_not_unpacked_is_pointed_out(folder, read):
    shutil.rmtree(folder / "img_align_celeba")
    (folder / "Img").mkdir()
    (folder / "Img" / "img_align_celeba.zip").touch()
    with pytest.raises(FileNotFoundError, match=r"lacks img_align_celeba.*Unpack Img/img_align_celeba\.zip first"):
        read()


def test_an_image_in_one_list_only_is_ignored_and_counted(folder, read, made, capsys):
    path = folder / "list_eval_partition.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n000777.jpg 2\n")
    result = read(verbose=1)
    np.testing.assert_array_equal(result.attributes, made[1][:-1])
    assert (result.report["listed"], result.report["unpaired"]) == (COUNT - 1, 2)
    assert "left out: 2 in one list only" in capsys.readouterr().out


# The lists


@pytest.mark.parametrize(
    ("name", "line", "change", "message"),
    [
        ("attr", 1, lambda text: "<html>", r"line 1: expected the number of rows; got '<html>'"),
        ("attr", 1, lambda text: "41", r"line 1 says 41 rows, but there are 40"),
        (
            "attr",
            2,
            lambda text: text.replace("Male", "Man"),
            r"line 2: .*got 40 names, unknown: 'Man', missing: 'Male'",
        ),
        ("attr", 2, lambda text: text + " Male", r"line 2: expected .* each once; got 41 names"),
        ("attr", 5, lambda text: text[:60], r"line 5: expected the image's name and 40 values; got \d+ columns: '0000"),
        ("attr", 6, lambda text: text + " 1", r"line 6: .*got 42 columns"),
        ("attr", 4, lambda text: text[:-2] + " 0", r"line 4: expected -1 or 1 for Young; got '0'"),
        ("attr", 4, lambda text: text.replace("000002", "000001"), r"line 4: 000001\.jpg is listed a second time"),
        ("attr", 4, lambda text: "../" + text, r"line 4: expected the name of an image, without a folder; got '\.\./0"),
        ("partition", 7, lambda text: text[:-1] + "3", r"line 7: expected .*2 \(test\); got '000007\.jpg 3'"),
        ("partition", 1, lambda text: text.split()[0], r"line 1: expected .*got '000001\.jpg'"),
        ("partition", 2, lambda text: "000001.jpg 0", r"line 2: 000001\.jpg is listed a second time"),
    ],
)
def test_a_wrong_line_is_named(folder, read, cache, name, line, change, message):
    path = folder / {"attr": "list_attr_celeba.txt", "partition": "list_eval_partition.txt"}[name]
    _edit(path, line, change)
    with pytest.raises(ValueError, match=f"{path.name}(, |: ){message}"):
        read()
    assert list(cache.iterdir()) == []


def test_a_list_that_is_no_text_is_named(folder, read):
    (folder / "list_eval_partition.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"list_eval_partition\.txt is not a text file .*Fetch it again"):
        read()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": "centre"}, "crop must be one of 'center', 'face'; got 'centre'"),
        ({"image_size": 0}, "image_size must be a whole number of 1 or more; got 0"),
    ],
)
def test_a_wrong_option_is_refused(read, options, message):
    with pytest.raises(ValueError, match=message):
        read(**options)


# The prepared copy


def test_no_image_is_read_a_second_time(read, cache, no_image_is_read):
    first = read()
    no_image_is_read()
    _assert_same(read(), first)
    assert [path.name.rsplit("-", 1)[0] for path in cache.iterdir()] == ["celeba-16-center"]


def test_another_size_crop_list_or_image_is_prepared_anew(folder, read, cache):
    read()
    read(image_size=8)
    read(crop="face")
    assert len(list(cache.iterdir())) == 3
    _edit(folder / "list_eval_partition.txt", 1, lambda text: "000001.jpg 2")
    assert read().partition[0] == 2
    with _image(folder, 1).open("ab") as file:
        file.write(b"\0")
    read()
    _image(folder, 1).unlink()
    assert read().report["missing"] == 1
    assert len(list(cache.iterdir())) == 6


@pytest.mark.parametrize("damage", ["missing", "truncated", "shape", "report", "no report"])
def test_a_damaged_copy_is_prepared_anew(read, cache, damage):
    first = read()
    (copy,) = cache.iterdir()
    expected = {name: np.array(getattr(first, name)) for name in ("images", "attributes", "partition")}
    report = first.report
    del first
    if damage == "missing":
        (copy / "partition.npy").unlink()
    elif damage == "truncated":
        os.truncate(copy / "images.npy", 5000)
    elif damage == "shape":
        np.save(copy / "attributes.npy", np.ones((3, 40), np.int8))
    elif damage == "report":
        (copy / "info.json").write_text("{")
    else:
        (copy / "info.json").write_text(json.dumps({"crop": "center"}))
    result = read()
    for name, array in expected.items():
        np.testing.assert_array_equal(getattr(result, name), array)
    assert result.report == report
    assert list(cache.iterdir()) == [copy]


def test_where_the_copy_is_kept(read, tmp_path, monkeypatch):
    monkeypatch.setattr(pathlib.Path, "home", lambda: tmp_path / "home")
    monkeypatch.delenv("TF_JMVAE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    read(cache_dir=None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    read(cache_dir=None)
    monkeypatch.setenv("TF_JMVAE_CACHE", str(tmp_path / "own"))
    read(cache_dir=None)
    for folder in ("home/.cache/tf_jmvae", "xdg/tf_jmvae", "own"):
        assert len(list((tmp_path / folder).glob("celeba-16-center-*"))) == 1


def test_two_at_once_both_get_the_data_and_leave_one_copy(read, cache):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first, second = (future.result() for future in [pool.submit(read), pool.submit(read)])
    _assert_same(first, second)
    assert len(list(cache.iterdir())) == 1


def test_the_copy_of_a_faster_process_is_used(read, cache, monkeypatch):
    """While one prepares, another does the same and finishes."""
    write, copies = celeba.write, []

    def slow_write(folder, *arguments):
        monkeypatch.setattr(celeba, "write", write)
        copies.append(read())
        write(folder, *arguments)

    monkeypatch.setattr(celeba, "write", slow_write)
    result = read()
    _assert_same(result, copies[0])
    assert pathlib.Path(result.images.filename).samefile(copies[0].images.filename)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_full_disk_leaves_nothing_and_names_the_folder(read, cache, monkeypatch, code):
    def full(file, shape):
        if shape[0] == COUNT:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(celeba_arrays, "_write_header", full)
    with pytest.raises(OSError, match=rf"could not be written to {cache} \({os.strerror(code)}\)") as caught:
        read()
    assert caught.value.errno == code
    assert list(cache.iterdir()) == []
    monkeypatch.undo()
    assert len(read().images) == COUNT


def test_a_cache_dir_that_is_a_file_is_named(read, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"could not be written to .*file .*TF_JMVAE_CACHE"):
        read(cache_dir=tmp_path / "file")


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_disk_that_really_is_full_is_an_error_and_no_crash(read, cache, monkeypatch):
    """/dev/full takes nothing: what is written to it fails as on a full disk, in the middle of the images."""
    original = pathlib.Path.open

    def opened(path, *arguments, **options):
        return original(pathlib.Path("/dev/full") if path.name == "images.npy" else path, *arguments, **options)

    monkeypatch.setattr(pathlib.Path, "open", opened)
    with pytest.raises(OSError, match="No space left on device"):
        read()
    assert list(cache.iterdir()) == []


# tensorflow-datasets


@pytest.fixture
def downloads(made, tmp_path, monkeypatch):
    """The real builder of tensorflow-datasets, whose downloads are the tiny folder's files."""
    import tensorflow_datasets as tfds

    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path / "tfds"))
    tfds.disable_progress_bar()
    folder, local = made[0], tmp_path / "downloads"
    local.mkdir()
    names = celeba_folder.names(COUNT)
    with zipfile.ZipFile(local / "img_align_celeba.zip", "w") as archive:
        for name in names:
            archive.write(folder / "img_align_celeba" / name, f"img_align_celeba/{name}")
    points = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
    landmarks = [str(COUNT), points, *(f"{name} {' '.join(['1'] * 10)}" for name in names)]
    (local / "landmarks.txt").write_text("\n".join(landmarks) + "\n")
    (local / "identity.txt").write_text("\n".join(f"{name} 1" for name in names) + "\n")
    files = {
        "img_align_celeba": local / "img_align_celeba.zip",
        "list_eval_partition": folder / "list_eval_partition.txt",
        "list_attr_celeba": folder / "list_attr_celeba.txt",
        "landmarks_celeba": local / "landmarks.txt",
        "identity_celeba": local / "identity.txt",
    }
    monkeypatch.setattr(
        tfds.download.DownloadManager, "download", lambda self, urls: {name: str(files[name]) for name in urls}
    )
    return files


@pytest.mark.usefixtures("downloads")
def test_tensorflow_datasets_gives_the_same_examples_as_the_folder(read, cache, no_image_is_read):
    def examples(result):
        return sorted(
            (int(part), image.tobytes(), row.tobytes())
            for part, image, row in zip(result.partition, result.images, result.attributes, strict=True)
        )

    result = read(None)
    assert examples(result) == examples(read())
    assert result.report == read().report
    no_image_is_read()
    _assert_same(read(None), result)
    assert len(list(cache.iterdir())) == 2


def test_a_broken_image_of_tensorflow_datasets_is_named_by_its_place(downloads, folder, read):
    with zipfile.ZipFile(downloads["img_align_celeba"], "w") as archive:
        for name in celeba_folder.names(COUNT):
            content = (folder / "img_align_celeba" / name).read_bytes()
            archive.writestr(name, content[:2000] if name == "000001.jpg" else content)
    report = read(None).report
    assert report["prepared"] == COUNT - 1
    assert len(report["broken"]) == 1
    assert report["broken"][0].startswith("celeb_a-train.tfrecord-00000-of-00001__")


@pytest.mark.usefixtures("downloads")
def test_without_a_network_the_error_says_what_to_do(read, cache, monkeypatch):
    import tensorflow_datasets as tfds

    def refuse(self, urls):
        raise ConnectionError("no network")

    monkeypatch.setattr(tfds.download.DownloadManager, "download", refuse)
    with pytest.raises(OSError, match=r"could not prepare CelebA \(ConnectionError: no network\).*pass a folder that"):
        read(None)
    assert not cache.exists()


# The real CelebA


@pytest.fixture(scope="module")
def real_folder(tmp_path_factory):
    """Every 360th image of CelebA's subset: 40 of them, by links, with their rows of the lists."""
    if not (CELEBA_FOLDER / "list_attr_celeba.txt").is_file():
        requirements.skip("celeba", f"CelebA is not in {CELEBA_FOLDER}")
    folder = tmp_path_factory.mktemp("real")
    (folder / "img_align_celeba").mkdir()
    _, header, *rows = (CELEBA_FOLDER / "list_attr_celeba.txt").read_text().splitlines()
    rows = rows[::360]
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(len(rows)), header, *rows]) + "\n")
    shutil.copy(CELEBA_FOLDER / "list_eval_partition.txt", folder)
    for row in rows:
        name = row.split()[0]
        (folder / "img_align_celeba" / name).symlink_to(CELEBA_FOLDER / "img_align_celeba" / name)
    return folder


def test_real_images_and_attributes_are_those_of_pillow_and_numpy(real_folder, read):
    result = read(real_folder, image_size=64)
    table = np.loadtxt(real_folder / "list_attr_celeba.txt", dtype=str, skiprows=2)
    np.testing.assert_array_equal(result.attributes, table[:, 1:].astype(int))
    header = (real_folder / "list_attr_celeba.txt").read_text().split("\n")[1].split()
    assert tuple(header) == celeba.ATTRIBUTES
    expected = [_expected_pixels(real_folder / "img_align_celeba" / name, 64) for name in table[:, 0]]
    np.testing.assert_array_equal(result.images, expected)
    partition = dict(np.loadtxt(CELEBA_FOLDER / "list_eval_partition.txt", dtype=str))
    assert [str(part) for part in result.partition] == [partition[name] for name in table[:, 0]]
    assert result.report["prepared"] == len(table) == 40


def test_a_face_is_found_in_most_real_images(real_folder, read):
    report = read(real_folder, crop="face").report
    assert 32 <= report["faces_found"] <= 40
