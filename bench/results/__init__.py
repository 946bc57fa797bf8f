"""Records of runs, published results, and the tables that compare them."""
