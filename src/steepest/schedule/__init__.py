"""Schedules: how the learning rate changes over a run; they multiply ``lr``, whatever the method makes of it.

Each is a ``torch.optim.lr_scheduler.LRScheduler`` and works on any torch optimizer, as torch's own work on any method
here.  What torch has is not repeated: cosine and step schedules are torch's.  A batch size can have a schedule, too.
"""

from steepest.schedule.batch import GrowingBatchSampler, NormTest, row_gradients
from steepest.schedule.edge import EdgeRule, scale_lr
from steepest.schedule.models import ModelSteps
from steepest.schedule.norms import Norms, Record
from steepest.schedule.refined import Refined, refine
from steepest.schedule.restarts import Snapshots
from steepest.schedule.shape import LinearDecay, Shape, Table, stretched

__all__ = [
    "EdgeRule",
    "GrowingBatchSampler",
    "LinearDecay",
    "ModelSteps",
    "NormTest",
    "Norms",
    "Record",
    "Refined",
    "Shape",
    "Snapshots",
    "Table",
    "refine",
    "row_gradients",
    "scale_lr",
    "stretched",
]
