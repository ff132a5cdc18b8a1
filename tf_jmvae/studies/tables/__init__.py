"""The study of tables: a fifth of the cells is removed, and filled by a model and by scikit-learn."""
