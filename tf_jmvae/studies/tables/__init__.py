"""The study of tables of which a fifth of the cells is removed, and filled by a model and by scikit-learn."""
