"""A benchmark of multi-label image classification methods, described in one sentence.

A **dataset card** becomes a **prepared store**, which **batches** turns into tensors on which a **method**
learns in **stages** until **inference** writes a **predictions file**, from which **metrics** alone computes
the **record** that **table** sets beside the published numbers.

Each noun is a file and each arrow is a function. Code before the store knows nothing about models; code after
the predictions file needs neither torch nor a GPU.
"""
