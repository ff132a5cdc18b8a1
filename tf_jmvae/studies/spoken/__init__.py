"""The study of spoken digits: an image, a recording and a label, each made of the others."""
