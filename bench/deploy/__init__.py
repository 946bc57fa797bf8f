"""A trained model outside of training: load it, label image files, export it."""
