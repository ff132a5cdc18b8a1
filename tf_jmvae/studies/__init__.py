"""The paper's experiments, run anew: a folder for each study, and what they have in common."""
