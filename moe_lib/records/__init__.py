"""Records, what is kept in files: models (`saving`), the results of long experiments, and the code that made them."""

from moe_lib.records.experiment import Experiment, outcome
from moe_lib.records.results import load_results, save_results
from moe_lib.records.saving import load, save

__all__ = ["Experiment", "load", "load_results", "outcome", "save", "save_results"]
