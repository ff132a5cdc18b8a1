"""JMVAE-kl of the same networks in MultiVae and in Pixyz, each as its documentation shows."""

import torch
from networks import Architecture, Gaussian
from torch import nn


def multivae(architecture: Architecture, alpha: float = 1.0):
    """MultiVae's `JMVAE`; it is called with a `MultimodalBaseDataset`."""
    from multivae.models import JMVAE, JMVAEConfig
    from multivae.models.base import BaseDecoder, BaseEncoder, ModelOutput
    from multivae.models.nn import BaseJointEncoder

    names = tuple(architecture.modalities)

    def output(mean, variance):
        return ModelOutput(embedding=mean, log_covariance=variance.log())

    class Single(BaseEncoder):
        def __init__(self, name):
            super().__init__()
            self.latent_dim = architecture.latent_dim
            self.network = Gaussian(architecture, (name,))

        def forward(self, x):
            return output(*self.network(x))

    class Joint(BaseJointEncoder):
        def __init__(self):
            super().__init__()
            self.latent_dim = architecture.latent_dim
            self.network = Gaussian(architecture, names)

        def forward(self, x):
            return output(*self.network(*(x[name] for name in names)))

    class Decoder(BaseDecoder):
        def __init__(self, name):
            super().__init__()
            self.latent_dim = architecture.latent_dim
            self.network = architecture.modalities[name].decoder(architecture.latent_dim)

        def forward(self, z):
            return ModelOutput(reconstruction=self.network(z))

    config = JMVAEConfig(
        n_modalities=len(names),
        latent_dim=architecture.latent_dim,
        input_dims={name: modality.shape for name, modality in architecture.modalities.items()},
        decoders_dist={
            name: modality.likelihood.replace("gaussian", "normal")
            for name, modality in architecture.modalities.items()
        },
        alpha=alpha,
        warmup=0,
    )
    return JMVAE(
        config,
        encoders={name: Single(name) for name in names},
        decoders={name: Decoder(name) for name in names},
        joint_encoder=Joint(),
    )


def pixyz(architecture: Architecture):
    """Pixyz's `VAE` with JMVAE-kl's regulariser, alpha 1."""
    from pixyz.distributions import Bernoulli, Categorical, Normal
    from pixyz.losses import KullbackLeibler
    from pixyz.models import VAE

    class Posterior(Normal):
        def __init__(self, names, name):
            super().__init__(var=["z"], cond_var=list(names), name=name)
            self.network = Gaussian(architecture, tuple(names))
            self.names = names

        def forward(self, **values):
            mean, variance = self.network(*[values[name] for name in self.names])
            return {"loc": mean, "scale": variance.sqrt()}

    def likelihood(name):
        kind, to_parameters = {
            "bernoulli": (Bernoulli, lambda raw: {"probs": torch.sigmoid(raw)}),
            "categorical": (Categorical, lambda raw: {"probs": torch.softmax(raw, dim=-1)}),
            "gaussian": (Normal, lambda raw: {"loc": raw, "scale": torch.ones_like(raw)}),
        }[architecture.modalities[name].likelihood]

        class Likelihood(kind):
            def __init__(self):
                super().__init__(var=[name], cond_var=["z"], name="p")
                self.network = architecture.modalities[name].decoder(architecture.latent_dim)

            def forward(self, z):
                return to_parameters(self.network(z))

        return Likelihood()

    names = list(architecture.modalities)
    joint = Posterior(names, "q")
    singles = [Posterior([name], f"q_{name}") for name in names]
    prior = Normal(
        loc=torch.tensor(0.0),
        scale=torch.tensor(1.0),
        var=["z"],
        features_shape=[architecture.latent_dim],
        name="p_prior",
    )
    regularizer = KullbackLeibler(joint, prior)
    for single in singles:
        regularizer = regularizer + KullbackLeibler(joint, single)
    first, *rest = [likelihood(name) for name in names]
    for other in rest:
        first = first * other
    return VAE(
        joint,
        first,
        other_distributions=singles,
        regularizer=regularizer,
        optimizer=torch.optim.Adam,
        optimizer_params={"lr": 1e-3},
    )


def pixyz_networks(model) -> list[nn.Module]:
    """The networks of a Pixyz model in the order joint, singles, decoders."""
    found = [module for module in model.distributions.modules() if hasattr(module, "network")]
    kinds = {"q": 0, "p": 2}
    return [module.network for module in sorted(found, key=lambda module: kinds.get(module.name, 1))]
