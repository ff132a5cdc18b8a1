"""JMVAE-kl with a GAN: the image decoder is also the generator of a GAN.

    encoders, other decoders   maximise  L_kl                                        Eq. (10)
    image decoder              maximises a E_q[log p(x|z)] + b (log D(x~) + log D(x_p))
    discriminator              maximises log D(x) + log(1 - D(x~)) + log(1 - D(x_p))

with x the real image, x~ the decoding of z ~ q(z|x,w) and x_p that of z ~ p(z); D is the sigmoid of the
discriminator's logit. Encoder, generator and discriminator have an optimizer each, whose gradient is that of its own
line only.

References:
  [1] Suzuki and Matsuo, sections 4.6.3 and 4.6.4.
  [2] Larsen et al., Autoencoding beyond pixels using a learned similarity metric, 2016 (arXiv 1512.09300).
  [3] Goodfellow et al., Generative adversarial nets, 2014: the non-saturating objective of the generator.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tf_jmvae import networks
from tf_jmvae._utils import checks
from tf_jmvae.distribute import replicas
from tf_jmvae.distributions import diagonal_gaussian, standard_gaussian
from tf_jmvae.models import missing
from tf_jmvae.models.components import Component
from tf_jmvae.models.jmvae_kl import JMVAEKL
from tf_jmvae.models.modality_names import checked_modalities
from tf_jmvae.models.objective import Batch, Term, Terms
from tf_jmvae.networks import prototypes
from tf_jmvae.random import sampling
from tf_jmvae.registry import MODELS


@MODELS.register("jmvae-kl-gan")
@keras.saving.register_keras_serializable("tf_jmvae")
class JMVAEKLGAN(JMVAEKL):
    """JMVAE-kl whose image decoder is the generator of a GAN: Eq. (10) of [1], as in VAE-GAN [2].

    Besides the terms of the bound, `fit` reports `generator_loss`, `discriminator_loss` and the accuracy of the
    discriminator on real images, reconstructions and images decoded from the prior. `alpha`, `subsets` and `trunk` are
    those of `JMVAEKL`.

    Args:
      modalities: dict of `Modality` objects by name, two or more; their order is kept.
      latent_dim: D, the number of entries of z, a positive integer.
      image: name of the modality whose decoder is the generator; `"x"` by default.
      discriminator: prototype of a network from the image to features, `[B, *event_shape]` to `[B, ...]`; a linear
        layer to the logit follows. By default C64R-C128BR-C256BR-C256BR-F-D1024R, as in [1].
      likelihood_weight: a, the weight of the image's log-likelihood in the image decoder's objective, 0 or more; 1 by
        default.
      adversarial_weight: b, the weight of the adversarial term in that objective, 0 or more; 1 by default.
      reconstruction: the likelihood of the image in training: `"pixels"`, the default, p(x | z) itself, as in [1]; or
        `"features"`, a Gaussian of variance 1 around the discriminator's features of x~, as in [2]. `evaluate`
        and validation always use p(x | z).

    Raises:
      ValueError: if the image modality or an option is unknown.

    Examples:
      >>> model = JMVAEKLGAN(modalities, latent_dim=128, image="x")
      >>> model.compile("adam")
      >>> model.fit(train, epochs=10, callbacks=[callbacks.DiscriminatorCollapse()])
    """

    extra_metrics = (
        "generator_loss",
        "discriminator_loss",
        "accuracy_real",
        "accuracy_reconstructed",
        "accuracy_sampled",
    )

    def __init__(
        self,
        modalities: Mapping[str, Any],
        latent_dim: int,
        *,
        image: str = "x",
        discriminator: keras.layers.Layer | None = None,
        likelihood_weight: float = 1.0,
        adversarial_weight: float = 1.0,
        reconstruction: str = "pixels",
        **kwargs: Any,
    ):
        checks.check_option("reconstruction", reconstruction, ("pixels", "features"))
        checked_modalities(type(self), modalities)
        checks.check_names(modalities, {image: None})
        super().__init__(modalities, latent_dim, **kwargs)
        self.image = image
        self.likelihood_weight = checks.non_negative_number("likelihood_weight", likelihood_weight)
        self.adversarial_weight = checks.non_negative_number("adversarial_weight", adversarial_weight)
        self.reconstruction = reconstruction
        default = discriminator is None
        network = networks.conv_encoder(units=[1024]) if default else prototypes.checked("discriminator", discriminator)
        self._discriminator = prototypes.Template(network)
        self.discriminator = Discriminator(network, self.modalities[image].event_shape)

    def take_joint(self, trained):
        """Raises `NotImplementedError`, because the image decoder cannot be frozen."""
        raise NotImplementedError("take_joint freezes the decoders, but a GAN trains its image decoder: use a JMVAEKL.")

    def compile(self, optimizer="adam", *, decoder_optimizer=None, discriminator_optimizer=None, **kwargs) -> None:
        """Compiles the model as Keras does, with one optimizer each for encoder, generator and discriminator.

        Loss scaling and weight averaging (`use_ema`) apply to each optimizer. When a callback sets
        `optimizer.learning_rate`, the other two learning rates are scaled by the same factor unless the callback sets
        them too. An optimizer with a `LearningRateSchedule` cannot follow: the next step then raises an error, unless
        the callback sets all the others.

        Args:
          optimizer: Keras optimizer, or its name, of the encoders and of the decoders of other modalities than the
            image; `"adam"` by default.
          decoder_optimizer: Keras optimizer of the generator, which is the image decoder; a copy of `optimizer` with
            the same settings by default.
          discriminator_optimizer: Keras optimizer of the discriminator; a copy of `optimizer` by default.
          **kwargs: other options of `keras.Model.compile`.

        Raises:
          ValueError: if the same optimizer object is passed twice.
        """
        super().compile(optimizer=optimizer, **kwargs)
        self.decoder_optimizer = _optimizer(decoder_optimizer, self.optimizer)
        self.discriminator_optimizer = _optimizer(discriminator_optimizer, self.optimizer)
        optimized = self._optimized()
        innermost = [getattr(optimizer, "inner_optimizer", optimizer) for optimizer, _ in optimized]
        if len({id(optimizer) for optimizer in innermost}) < 3:
            raise ValueError(
                "Encoder, generator and discriminator each need their own optimizer; the same one was passed twice."
            )
        with self.distribute_strategy.scope():
            for own, variables in optimized:
                own.build(variables)
        # After training Keras calls finalize_variable_values of the first optimizer only.
        self.optimizer.finalize_variable_values = self._finalize_variable_values
        self._learning_rates = _LearningRates(innermost)

    def get_compile_config(self):
        own = {name: getattr(self, name, None) for name in ("decoder_optimizer", "discriminator_optimizer")}
        config = super().get_compile_config()
        return config and {**config, **keras.saving.serialize_keras_object(own)}

    def fit(self, *args, **kwargs):
        given = inspect.signature(keras.Model.fit).bind(self, *args, **kwargs).arguments.get("callbacks")
        given = tf.nest.flatten(getattr(given, "callbacks", given))  # of a CallbackList, of a list, or one alone
        if any(isinstance(callback, keras.callbacks.SwapEMAWeights) for callback in given):
            raise ValueError(
                "SwapEMAWeights knows one optimizer, but this model has three. Without it, fit replaces the weights "
                "with the averages of each optimizer with use_ema=True when training ends."
            )
        return super().fit(*args, **kwargs)

    def make_train_function(self, force=False):
        if self.train_function is None or force:
            super().make_train_function(force)
            train, follow = self.train_function, self._learning_rates.follow
            self.train_function = lambda iterator: (follow(), train(iterator))[1]
        return self.train_function

    @replicas.on_shard
    def train_step(self, data):
        batch, sample_weight = self._unpack(data)
        seed = self._next_seed()
        optimized, log_p = self._optimized(), f"log_p_{self.image}"
        with tf.GradientTape(persistent=True) as tape:
            terms, fit, adversarial = self._adversarial_pass(batch, seed)
            weight = 1.0 if sample_weight is None else tf.cast(sample_weight, tf.float32)
            mean = {name: replicas.mean(weight * term.value) for name, term in adversarial.items()}
            encoder_terms = {**terms, log_p: Term(1.0, fit)}
            generator_terms = {log_p: Term(self.likelihood_weight, fit)}
            losses = (  # each has all regularisers, but its gradient is that of its own weights only
                self._loss(encoder_terms, sample_weight, self.kl_weight),
                self._loss(generator_terms, sample_weight) + self.adversarial_weight * mean["generator_loss"],
                self._regularization() + mean["discriminator_loss"],
            )
            scaled = [optimizer.scale_loss(loss) for (optimizer, _), loss in zip(optimized, losses, strict=True)]
        # All gradients are computed before any update, so that they belong to the weights of this step.
        gradients = [tape.gradient(loss, variables) for (_, variables), loss in zip(optimized, scaled, strict=True)]
        for (optimizer, variables), own in zip(optimized, gradients, strict=True):
            replicas.apply_gradients(optimizer, own, variables)
        return self._track(terms, sample_weight, adversarial, loss=losses[0])

    def get_config(self):
        return {
            **super().get_config(),
            "image": self.image,
            "discriminator": prototypes.serialize(self._discriminator.layer),
            "likelihood_weight": self.likelihood_weight,
            "adversarial_weight": self.adversarial_weight,
            "reconstruction": self.reconstruction,
        }

    def _adversarial_pass(self, batch: Batch, seed: tf.Tensor) -> tuple[Terms, tf.Tensor, Terms]:
        """Computes the bound's terms, the image's fit `[B]`, and the `extra_metrics` of the rows with an image."""
        latent_seed, prior_seed = tf.unstack(tf.random.split(seed, 2))
        held = self._held(batch)
        posteriors = self._posteriors(held, True)
        q = self._own(held, posteriors)
        z = sampling.draw(q, latent_seed)
        z_prior = sampling.draw(standard_gaussian(self.latent_dim, tf.shape(z)[0]), prior_seed)
        p = self._decoded(held, z, True)
        terms = self._kl_terms(held, q, z, posteriors, p, True)
        rows, (real,) = held.rows([self.image]), held.of([self.image]).values()
        decoder = self.decoders[self.image]
        with rows.seen_by(decoder, True), rows.seen_by(self.discriminator, True):
            sampled = decoder(rows.of(z_prior), training=True).mean()
            # Missing entries are 0 in all three, or they would tell the discriminator which image is real.
            images = [missing.without_gaps_of(real, image) for image in (real, p[self.image].mean(), sampled)]
            features, logits = self.discriminator(tf.concat(images, axis=0), training=True)
        fit = terms[f"log_p_{self.image}"].value
        if self.reconstruction == "features":
            real, similar, _ = _thirds(features)
            fit = rows.back(diagonal_gaussian(similar, tf.ones_like(similar)).log_prob(real))
        return terms, fit, _adversarial_terms(rows, *_thirds(logits))

    def _finalize_variable_values(self, _: Any) -> None:
        for optimizer, variables in self._optimized():
            type(optimizer).finalize_variable_values(optimizer, variables)

    def _optimized(self) -> list[tuple[keras.optimizers.Optimizer, list[keras.Variable]]]:
        """Returns the optimizers of encoder, generator and discriminator, each with the weights that it updates."""
        decoder, discriminator = self.decoders[self.image], self.discriminator
        theirs = {id(variable) for layer in (decoder, discriminator) for variable in layer.trainable_variables}
        rest = [variable for variable in self.trainable_variables if id(variable) not in theirs]
        return [
            (self.optimizer, rest),
            (self.decoder_optimizer, decoder.trainable_variables),
            (self.discriminator_optimizer, discriminator.trainable_variables),
        ]


class Discriminator(Component):
    """GAN discriminator: a network from images to features `[B, F]`, then a linear layer to the logit `[B]`."""

    def __init__(self, network: keras.layers.Layer, event_shape: tuple[int, ...]):
        super().__init__(name="discriminator")
        self.network = prototypes.clone(network, name="network")
        self.logit = keras.layers.Dense(1, dtype="float32", name="logit")
        prototypes.make_weights(self, tf.zeros((1, *event_shape)))
        self._made()

    def call(self, images: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        features = prototypes.read("discriminator", self.network, images, training=training, flat=True)
        features = tf.cast(features, tf.float32)
        return features, self.logit(features)[:, 0]


def _thirds(values: tf.Tensor) -> list[tf.Tensor]:
    """Splits `[3 R, ...]` into three equal parts; by reshaping, because XLA cannot split an axis of unknown size."""
    return tf.unstack(tf.reshape(values, (3, -1, *values.shape[1:])))


def _adversarial_terms(rows: missing.Rows, real: tf.Tensor, reconstructed: tf.Tensor, sampled: tf.Tensor) -> Terms:
    """Computes the `extra_metrics`, `[B]` each, from the discriminator's logits of x, x~ and x_p for `rows`."""
    softplus = tf.nn.softplus  # softplus(-l) = -log D, softplus(l) = -log(1 - D)
    values = {
        "generator_loss": softplus(-reconstructed) + softplus(-sampled),
        "discriminator_loss": softplus(-real) + softplus(reconstructed) + softplus(sampled),
        "accuracy_real": tf.cast(real > 0, tf.float32),
        "accuracy_reconstructed": tf.cast(reconstructed < 0, tf.float32),
        "accuracy_sampled": tf.cast(sampled < 0, tf.float32),
    }
    return {name: Term(1.0, rows.back(value), rows=rows.mask) for name, value in values.items()}


class _LearningRates:
    """Scales the learning rates of the other optimizers by the same factor as the first one's."""

    def __init__(self, optimizers: list[keras.optimizers.Optimizer]):
        self._optimizers = [o for o in optimizers if isinstance(o.learning_rate, keras.Variable)]
        self._follows = optimizers[0] in self._optimizers
        self._scheduled = len(self._optimizers) < len(optimizers)
        self._seen = self._start = self._now()

    def follow(self) -> None:
        """Applies a change of the first learning rate to those not set separately; a schedule is a `ValueError`."""
        now = self._now()
        if self._follows and now[0] != self._seen[0] and self._start[0] > 0:
            others = list(zip(now[1:], self._seen[1:], strict=True))
            if self._scheduled and not (others and all(rate != seen for rate, seen in others)):
                raise ValueError(
                    f"optimizer.learning_rate was set to {now[0]:g}, which an optimizer with a LearningRateSchedule "
                    "cannot follow. Give all three optimizers numbers, which then change in proportion, or all three "
                    "schedules."
                )
            for optimizer, rate, seen, start in zip(self._optimizers, now, self._seen, self._start, strict=True):
                if rate == seen:
                    optimizer.learning_rate = start * now[0] / self._start[0]
        self._seen = self._now()

    def _now(self) -> list[float]:
        return [float(keras.ops.convert_to_numpy(optimizer.learning_rate)) for optimizer in self._optimizers]


def _optimizer(optimizer: Any, like: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Returns `optimizer`, with loss scaling if `like` has it, or for None a new one with the settings of `like`."""
    if optimizer is None:
        return type(like).from_config(like.get_config())
    optimizer, scaled = keras.optimizers.get(optimizer), keras.optimizers.LossScaleOptimizer
    return scaled(optimizer) if isinstance(like, scaled) and not isinstance(optimizer, scaled) else optimizer
