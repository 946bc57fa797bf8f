"""Measurements of speed and memory: one file each, with a `main(argv)`, compared with a plain alternative."""
