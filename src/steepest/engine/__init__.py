"""The engine: runs rules over tables of tensors, and knows no part.

``trace`` writes a rule down as a program; ``native`` prints a program as one loop over a table of tensors and ``build``
compiles it; ``pieces`` runs it without a compiler, piece by piece; ``lift`` chooses who runs a rule.  ``codec`` stores
state, ``layout`` knows where elements lie in memory, ``shard`` what is spread over processes.
"""
