"""Weights in files go to the networks that they are of, or nowhere."""

import keras
import numpy as np
import pytest
from small_models import small_batch, small_modalities

import tf_jmvae as tj


def _model(names="xw", cls=tj.JMVAEKL, **options):
    # Equal shapes: only names tell the modalities apart.
    network = tj.networks.mlp([8])
    modalities = {
        name: tj.Modality((6,), tj.heads.Gaussian(variance=1.0), encoder=network, decoder=network) for name in names
    }
    return cls(modalities, 2, **options)


def _weights(model):
    return [np.asarray(weight) for weight in model.weights]


@pytest.mark.parametrize("file", ["m.weights.h5", "m.keras"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": "wx"}, "its modalities are 'x', 'w', in this order, and this model's are 'w', 'x'"),
        ({"names": "xv"}, "its modalities are 'x', 'w', in this order, and this model's are 'x', 'v'"),
        ({"cls": tj.JMVAE}, "of a JMVAEKL, but this is a JMVAE"),
        ({"trunk": tj.networks.mlp([4])}, "only this model has 'encoder/towers/trunk'"),
    ],
    ids=["order", "names", "kind", "layers"],
)
def test_weights_of_another_model_are_refused_and_change_nothing(tmp_path, file, options, message):
    trained, other = _model(), _model(**options)
    (trained.save if file.endswith(".keras") else trained.save_weights)(tmp_path / file)
    before = _weights(other)
    with pytest.raises(ValueError, match=f"holds weights of another model: .*{message}"):
        other.load_weights(tmp_path / file)
    for now, then in zip(_weights(other), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("file", ["m.weights.h5", "m.keras"])
def test_weights_of_the_same_model_are_loaded(tmp_path, file):
    trained, other = _model(), _model()
    (trained.save if file.endswith(".keras") else trained.save_weights)(tmp_path / file)
    other.load_weights(tmp_path / file)
    for now, wanted in zip(_weights(other), _weights(trained), strict=True):
        np.testing.assert_array_equal(now, wanted)


def test_a_checkpoint_is_not_restored_into_another_order_of_modalities(tmp_path):
    trained, other = (tj.JMVAE(small_modalities(names), 2) for names in ("xw", "wx"))
    for model in (trained, other):
        model.compile("sgd", run_eagerly=True)
    trained.fit(small_batch(), verbose=0, callbacks=[tj.callbacks.Checkpoint(tmp_path)])
    with pytest.raises(ValueError, match="holds weights of another model"):
        tj.callbacks.Checkpoint(tmp_path).restore(other)


def test_what_fits_is_loaded_where_it_is_asked_for(tmp_path):
    trained, other = _model(), _model(cls=tj.JMVAE)
    trained.save_weights(tmp_path / "m.weights.h5")
    with pytest.warns(UserWarning, match="of a JMVAEKL, but this is a JMVAE"):
        other.load_weights(tmp_path / "m.weights.h5", skip_mismatch=True)
    for now, wanted in zip(other.encoder.get_weights(), trained.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(now, wanted)


WAYS = {
    "in shards": lambda model, folder: model.load_weights(folder / "m.weights.json"),
    "by Keras": lambda model, folder: keras.saving.load_weights(model, folder / "m.weights.h5"),
}


@pytest.mark.parametrize("load", WAYS.values(), ids=WAYS)
def test_weights_of_another_model_are_refused_by_every_way_in(tmp_path, load):
    trained = _model()
    trained.save_weights(tmp_path / "m.weights.json", max_shard_size=1e-5)
    trained.save_weights(tmp_path / "m.weights.h5")
    same = _model()
    load(same, tmp_path)
    for now, wanted in zip(_weights(same), _weights(trained), strict=True):
        np.testing.assert_array_equal(now, wanted)
    for options in ({"names": "wx"}, {"cls": tj.JMVAE}):
        with pytest.raises(ValueError, match="holds weights of another model"):
            load(_model(**options), tmp_path)


def test_a_file_without_a_description_is_loaded_as_keras_does(tmp_path, monkeypatch):
    trained, other = _model(), _model()
    monkeypatch.setattr(tj.MultimodalVAE, "save_own_variables", keras.layers.Layer.save_own_variables)
    trained.save_weights(tmp_path / "m.weights.h5")
    other.load_weights(tmp_path / "m.weights.h5")
    for now, wanted in zip(_weights(other), _weights(trained), strict=True):
        np.testing.assert_array_equal(now, wanted)
