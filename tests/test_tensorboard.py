"""TensorBoard's files, read back by TensorBoard's own reader."""

import io
import json
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image
from small_models import set_seeds, small_batch, small_modalities
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.projector import ProjectorConfig

import tf_jmvae as tj
from tf_jmvae.callbacks import TensorBoard
from tf_jmvae.callbacks.tensorboard.callback import event_files

EPOCHS = 3
NAMES = ("red", "green", "blue")


def _model(names="xw", kind=tj.JMVAEKL, run_eagerly=True, **options):
    set_seeds(1)
    model = kind(small_modalities(names), 2, **options)
    model.compile(tj.optimizers.FusedAdam(0.01), run_eagerly=run_eagerly)
    return model


def _fit(model, callbacks, first=0, last=EPOCHS, names="xw"):
    batch = small_batch(names)
    options = {"initial_epoch": first, "epochs": last, "batch_size": 12, "verbose": 0}
    return model.fit(batch, validation_data=(small_batch(names, seed=1),), callbacks=callbacks, **options).history


def _board(folder, names="xw", **options):
    return TensorBoard(folder, small_batch(names, seed=1), class_names=NAMES, pictures_every=2, num_points=7, **options)


def _read(folder):
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return events


def _scalars(folder, tag):
    return {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in _read(folder).Tensors(tag)}


def _steps(folder, tag):
    return [event.step for event in _read(folder).Tensors(tag)]


def _picture(event):
    _, _, encoded = tf.make_ndarray(event.tensor_proto)
    return np.asarray(Image.open(io.BytesIO(encoded)))


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A folder of logs, the model and its history."""
    folder = tmp_path_factory.mktemp("logs")
    model = _model(run_eagerly=False)
    return folder, model, _fit(model, [_board(folder)])


def test_every_term_has_one_chart_with_a_curve_of_training_and_one_of_validation(logged):
    folder, _, history = logged
    terms = {name for name in history if not name.startswith("val_")}
    for run, prefix in (("train", ""), ("validation", "val_")):
        tags = {tag for tag in _read(folder / run).Tags()["tensors"] if tag.startswith("epoch_")}
        assert tags - {"epoch_learning_rate"} == {f"epoch_{name}" for name in terms}
        for name in terms:
            expected = dict(enumerate(history[prefix + name]))
            assert _scalars(folder / run, f"epoch_{name}") == pytest.approx(expected, rel=1e-6)


def test_each_modality_is_drawn_from_each_other_at_the_first_the_chosen_and_the_last_epoch(logged):
    folder, model, _ = logged
    events = _read(folder / "validation")
    pictures = {tag for tag in events.Tags()["tensors"] if tag.startswith("pictures/")}
    assert pictures == {"pictures/x_from_w", "pictures/w_from_x"}
    for tag in pictures:
        assert _steps(folder / "validation", tag) == [0, 1, 2]
    drawn = _picture(events.Tensors("pictures/x_from_w")[-1])
    mean = model.generate({"w": np.eye(3, dtype=np.float32)}, latent="mean", seed=0)["x"].numpy()
    factor, gap = 21, 6  # 4 pixels enlarged to 84
    for column, image in enumerate(mean[..., 0]):
        left = gap + column * (84 + gap)
        tile = drawn[gap + 15 : gap + 15 + 84, left : left + 84, 0]
        expected = np.round(255 * (1 - image)).repeat(factor, 0).repeat(factor, 1)
        np.testing.assert_allclose(tile, expected, atol=1)


def test_labels_are_written_as_words_with_the_truth_beside_them(logged):
    folder, model, _ = logged
    data = small_batch(seed=1)
    probabilities = model.generate({"x": data["x"][:10]}, latent="mean", seed=0)["w"].numpy()
    text = tf.make_ndarray(_read(folder / "validation").Tensors("words/w_from_x")[-1].tensor_proto).item()
    rows = re.findall(r"^\| \d+ \| (\w+) \| (\w+) \((\d+)%\) \|$", text.decode(), re.MULTILINE)
    assert [row[0] for row in rows] == [NAMES[entry] for entry in data["w"][:10].argmax(-1)]
    assert [row[1] for row in rows] == [NAMES[entry] for entry in probabilities.argmax(-1)]
    assert [int(row[2]) for row in rows] == pytest.approx(100 * probabilities.max(-1), abs=0.51)


def test_the_projector_has_latents_labels_and_pictures(logged):
    folder, model, _ = logged
    data = {name: values[:7] for name, values in small_batch(seed=1).items()}
    folder = folder / "validation"
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    latents = np.loadtxt(folder / embedding.tensor_path, delimiter="\t")
    np.testing.assert_allclose(latents, model.posterior(data).mean(), rtol=1e-3)
    labels = (folder / embedding.metadata_path).read_text().splitlines()
    assert labels == [NAMES[entry] for entry in data["w"].argmax(-1)]
    sprite = np.asarray(Image.open(folder / embedding.sprite.image_path))
    width, height = embedding.sprite.single_image_dim
    assert (width, height) == (4, 4)
    for number, image in enumerate(data["x"]):
        row, column = divmod(number, 3)  # 7 pictures in a square of 3 x 3
        tile = sprite[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4, 0]
        np.testing.assert_array_equal(tile, 255 * (1 - image[..., 0]))


def test_the_graph_leads_from_the_modalities_to_the_terms(logged):
    folder, _, history = logged
    graph = _read(folder / "train").Graph()
    names = {node.name for node in graph.node}
    terms = {name for name in history if name.startswith(("kl_", "log_p_"))}
    assert names >= {"x", "w", "seed"} | terms


def test_a_run_that_was_interrupted_has_each_epoch_once_and_the_curves_of_its_history(tmp_path):
    checkpoint = tj.callbacks.Checkpoint(tmp_path / "checkpoint")

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:  # logged, and not in the checkpoint
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fit(_model(), [_board(tmp_path / "logs"), Interrupt(), checkpoint])
    for file in event_files(tmp_path / "logs"):  # as a kill in the middle of a write leaves them
        with file.open("ab") as stream:
            stream.write(b"\x17\x00\x00")
    model = _model()
    checkpoint = tj.callbacks.Checkpoint(tmp_path / "checkpoint")
    done = checkpoint.restore(model)
    assert done == 1
    _fit(model, [_board(tmp_path / "logs"), checkpoint], first=done)
    recorded = json.loads((tmp_path / "checkpoint" / f"epoch-{EPOCHS}.history.json").read_text())
    for name in ("elbo", "kl_prior", "val_elbo"):
        folder = tmp_path / "logs" / ("validation" if name.startswith("val_") else "train")
        tag = f"epoch_{name.removeprefix('val_')}"
        assert _steps(folder, tag) == [0, 1, 2]
        assert list(_scalars(folder, tag).values()) == pytest.approx(recorded[name], rel=1e-6)
    assert _steps(tmp_path / "logs" / "validation", "pictures/x_from_w") == [0, 1, 2]
    graphs = 0
    for file in event_files(tmp_path / "logs"):
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            graphs += tf.compat.v1.Event.FromString(record).HasField("graph_def")
    assert graphs == 1


def test_files_of_others_are_left_alone(tmp_path):
    others = [tmp_path / part / "events.out.tfevents.1.host" for part in ("", "a/train", "train/deep", "train")]
    for file in others:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"of another training")
    batch = small_batch()
    board = TensorBoard(tmp_path, write_graph=False)
    _model().fit(batch, epochs=1, verbose=0, callbacks=[board])
    assert all(file.read_bytes() == b"of another training" for file in others)  # it begins, and deletes nothing
    _model().fit(batch, initial_epoch=1, epochs=2, verbose=0, callbacks=[board])
    assert [file.is_file() for file in others] == [True, True, True, False]  # it goes on in `train`
    assert sorted(_steps(tmp_path / "train", "epoch_elbo")) == [0, 1]


@pytest.mark.parametrize("moment", ["on_train_begin", "_log_generated"])
def test_a_failure_to_write_warns_once_and_training_goes_on(tmp_path, monkeypatch, moment):
    board = _board(tmp_path / "logs", write_graph=False)
    if moment == "on_train_begin":
        (tmp_path / "logs").write_text("a file where the folder should be")
    else:
        monkeypatch.setattr(board, moment, lambda epoch: pathlib.Path(tmp_path / "absent" / "file").write_text(""))
    with pytest.warns(UserWarning, match="TensorBoard's files cannot be written in .*logs") as caught:
        history = _fit(_model(), [board])
    assert [warning.category for warning in caught].count(UserWarning) == 1
    assert len(history["elbo"]) == EPOCHS


@pytest.mark.parametrize(
    ("names", "kind", "options", "expected"),
    [
        ("x", tj.VAE, {}, {"pictures/x_from_x"}),
        ("xw", tj.CVAE, {"target": "x"}, {"pictures/x_from_w"}),
        ("xw", tj.CMMA, {"target": "w"}, {"pictures/w_from_x", "words/w_from_x"}),
        ("xcv", tj.JMVAE, {}, {f"pictures/{a}_from_{b}" for a, b in ("xc", "xv", "cx", "vx")}),
    ],
)
def test_one_modality_one_direction_and_three_modalities(tmp_path, names, kind, options, expected):
    _fit(_model(names, kind, **options), [_board(tmp_path, names, write_graph=False)], last=1, names=names)
    tags = set(_read(tmp_path / "validation").Tags()["tensors"])
    assert expected <= tags
    if names == "xcv":
        assert "words/c_from_v" in tags
        assert "pictures/c_from_v" not in tags
    else:
        assert {tag for tag in tags if not tag.startswith("epoch_")} == expected


def test_attributes_are_columns_of_yes_and_no_and_captions(tmp_path):
    modalities = small_modalities()
    entries = ("Smiling", "Wearing_Hat", "Young")
    modalities["w"] = tj.Modality(
        (3,), "gaussian", entry_names=entries, encoder=tj.networks.mlp([8]), decoder=tj.networks.mlp([8])
    )
    batch = small_batch()
    batch["w"] = np.where(batch["w"] > 0, 1, -1).astype(np.float32)
    model = tj.JMVAEKL(modalities, 2)
    model.compile(tj.optimizers.FusedAdam(0.01), run_eagerly=True)
    model.fit(batch, verbose=0, callbacks=[TensorBoard(tmp_path, batch, write_graph=False)])
    header, *rows = (tmp_path / "validation" / "metadata.tsv").read_text().splitlines()
    assert header.split("\t") == list(entries)
    assert [row.split("\t") for row in rows] == [["yes" if v > 0 else "no" for v in row] for row in batch["w"]]
    text = tf.make_ndarray(_read(tmp_path / "validation").Tensors("words/x_from_w")[-1].tensor_proto).item()
    given = re.findall(r"^\| \d+ \| (.+) \|$", text.decode(), re.MULTILINE)
    assert given == [entries[row.argmax()].replace("_", " ") for row in batch["w"][:10]]


def test_bad_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="pictures_every must be a whole number of 1 or more; got 0"):
        TensorBoard(tmp_path, pictures_every=0)
    with pytest.raises(ValueError, match="w"):
        _fit(_model(), [TensorBoard(tmp_path, {"x": small_batch()["x"]})])


def test_of_incomplete_data_the_examples_that_hold_both_sides_are_shown(tmp_path):
    keras.utils.set_random_seed(1)
    modalities = small_modalities("xwv")
    for modality in modalities.values():
        modality.optional = True
    model, data = tj.JMVAEKL(modalities, 2), small_batch("xwv")
    data["x"][:3], data["w"][2:5], data["v"][:] = np.nan, np.nan, np.nan
    data = {name: np.delete(value, 2, axis=0) for name, value in data.items()}  # it holds nothing
    model.compile("sgd", run_eagerly=True)
    model.fit(data, epochs=1, verbose=0, callbacks=[TensorBoard(tmp_path, data, class_names=NAMES, num_pictures=4)])
    tags = _read(tmp_path / "validation").Tags()["tensors"]
    of_classes = {"pictures/x_from_w", "words/v_from_w"}  # which need no example
    assert {tag for tag in tags if "from" in tag} == {"pictures/w_from_x", "words/w_from_x"} | of_classes
    labels = [NAMES[row.argmax()] if row.any() else "unknown" for row in np.nan_to_num(data["w"])]
    (written,) = tmp_path.rglob("metadata.tsv")
    assert written.read_text().split() == labels


def test_the_projector_says_yes_where_a_probability_is_above_a_half(tmp_path):
    small = {"encoder": tj.networks.mlp([8]), "decoder": tj.networks.mlp([8])}
    modalities = small_modalities()
    modalities["w"] = tj.Modality((2,), "bernoulli", entry_names=("a", "b"), **small)
    batch = {**small_batch(size=2), "w": np.array([[0.3, 0.7], [1.0, 0.0]], np.float32)}
    model = tj.JMVAEKL(modalities, 2)
    model.compile(tj.optimizers.FusedAdam(0.01), run_eagerly=True)
    model.fit(batch, verbose=0, callbacks=[TensorBoard(tmp_path, batch, write_graph=False)])
    rows = (tmp_path / "validation" / "metadata.tsv").read_text().splitlines()
    assert rows == ["a\tb", "no\tyes", "yes\tno"]
