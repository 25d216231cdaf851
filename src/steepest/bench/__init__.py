"""The benchmark: workloads × methods × seeds, three clocks, and an honest answer to "which one, and by how much?".

`steepest bench` on the command line is its face. In Python one needs two names, to add a workload of one's own. Put a
function of the seed into a file, say `mine.py`, and run `steepest bench --workload mine:ridge`:

    >>> import torch
    >>> from steepest.bench import Problem, minibatches
    >>> def ridge(seed: int) -> Problem:
    ...     "Ridge regression on made-up data."
    ...     x = torch.randn(256, 10, generator=torch.Generator().manual_seed(0))
    ...     y = x.sum(1, keepdim=True)
    ...     model = torch.nn.Linear(10, 1)  # its weights come from the seed: the runner has set it
    ...     return Problem(
    ...         model,
    ...         loss=lambda model, batch: (model(batch[0]) - batch[1]).square().mean(),
    ...         batch=minibatches((x[:192], y[:192]), size=32, seed=seed),
    ...         evaluate=lambda model: {"loss": (model(x[192:]) - y[192:]).square().mean().item()},
    ...         budget=300,  # gradient-equivalents: 100 plain steps
    ...     )
    >>> problem = ridge(0)
    >>> problem.loss(problem.model, problem.batch(0)).shape
    torch.Size([])

The modules, from the question to the answer: `problem` (what a workload is), `workloads/` (the built-in ones),
`contestants` (who takes part), `run` (one run), `store` and `pool` (many runs, kept safe), `plan` (which runs; tuning),
`stats`, `ranking` (what they mean), `show`, `figures`, `report` (how it is shown), `targets` (how targets were frozen).
"""

from steepest.bench.problem import Problem, Workload, classification, minibatches, regression

__all__ = ["Problem", "Workload", "classification", "minibatches", "regression"]
