"""What the names of image files end in."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
)
# Formats that may not be readable: they are reported with the program that reads them, not skipped.
OTHER_SUFFIXES = frozenset(
    {".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".psd", ".svg"}
)
