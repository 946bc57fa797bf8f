"""Records, published rows and the tables that set them side by side."""
