"""Distributed training by `tf.distribute`, with the same results as on one device."""
