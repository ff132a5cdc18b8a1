"""What `metrics.json` of a run says: the terms of the bound on the test set, and how often labels are named right."""

from tf_jmvae import data
from tf_jmvae.evaluation import attribute_accuracy, conditional_coherence
from tf_jmvae.models import MultimodalVAE

__all__ = ["evaluate"]


def evaluate(model: MultimodalVAE, source: data.Source) -> dict[str, float]:
    """Bound terms on the test set, and how often labels and attributes are named from the other modalities.

    A label counts as named when it is the argmax of p(w | z) at the mean of q(z | the others), for
    models without an encoder for them after iterated sampling; an attribute when its sign is right.
    """
    metrics = model.evaluate(source.test_batches(), verbose=0, return_dict=True)
    metrics = {name: float(value) for name, value in metrics.items()}
    for name in model.targets:
        others = [other for other in model.modalities if other != name]
        kind, options = model.modalities[name].spec.kind, {"target": name, "given": others, "verbose": 0}
        if not others:
            continue
        if kind == "label":
            labels = source.test[name].argmax(-1)
            named = conditional_coherence(model, source.test, labels=labels, latent="mean", **options)
        elif kind == "attributes":
            named = attribute_accuracy(model, source.test, **options)
        else:
            continue
        metrics[f"accuracy_{name}_from_{'_and_'.join(others)}"] = named.mean
    return metrics
