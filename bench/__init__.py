"""The harness, in one sentence.

A **dataset card** becomes a **prepared store**, which **batches** turns into tensors on which a **method**
learns in **stages** until **inference** writes a **predictions file**, from which **metrics** alone computes
the **record** that **table** sets beside the published numbers.

Each noun is a file, each arrow a function. Left of the store nobody knows about models; right of the
predictions file nobody needs torch or a GPU.
"""
