"""Evaluation of models: log-likelihood estimators, coherence, Frechet distance, retrieval and clustering."""

from tf_jmvae.evaluation.coherence import attribute_accuracy, conditional_coherence, joint_coherence
from tf_jmvae.evaluation.coherence_by_subset import SubsetCoherence, subset_coherence
from tf_jmvae.evaluation.estimate import Estimate, Statistic, table
from tf_jmvae.evaluation.frechet import frechet_distance
from tf_jmvae.evaluation.latents import clustering, retrieval
from tf_jmvae.evaluation.log_likelihood import conditional_log_likelihood, joint_log_likelihood, marginal_log_likelihood

__all__ = [
    "Estimate",
    "Statistic",
    "SubsetCoherence",
    "attribute_accuracy",
    "clustering",
    "conditional_coherence",
    "conditional_log_likelihood",
    "frechet_distance",
    "joint_coherence",
    "joint_log_likelihood",
    "marginal_log_likelihood",
    "retrieval",
    "subset_coherence",
    "table",
]
