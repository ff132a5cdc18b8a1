"""Evaluation of models: log-likelihoods by every estimator of the field, coherence, and accuracy of attributes."""

from tf_jmvae.evaluation.coherence import attribute_accuracy, conditional_coherence, joint_coherence
from tf_jmvae.evaluation.estimate import Estimate, table
from tf_jmvae.evaluation.log_likelihood import conditional_log_likelihood, joint_log_likelihood, marginal_log_likelihood

__all__ = [
    "Estimate",
    "attribute_accuracy",
    "conditional_coherence",
    "conditional_log_likelihood",
    "joint_coherence",
    "joint_log_likelihood",
    "marginal_log_likelihood",
    "table",
]
