"""Several devices and workers of `tf.distribute`, whose training equals that of one device."""
