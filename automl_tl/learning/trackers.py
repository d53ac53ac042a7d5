"""Training runs in TensorBoard and MLflow: callbacks that hand on every epoch.

They look at epochs alone, so they can stand on either side of the seam for work.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from automl_tl.errors import OptionError
from automl_tl.learning.callbacks import Callback
from automl_tl.monitor import Epoch


class TensorBoard(Callback):
    """Writes loss, rate and score of every epoch to event files.

    Args:
        folder: of this run's event files.

    Raises:
        OptionError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.writer = _required("torch.utils.tensorboard", "tensorboard").SummaryWriter(str(folder))

    def on_epoch_end(self, epoch: Epoch) -> Epoch:
        """Write it."""
        for name, value in _values(epoch).items():
            self.writer.add_scalar(name, value, epoch.number)
        self.writer.flush()
        return epoch

    def on_train_end(self) -> None:
        """Close the file."""
        self.writer.close()


class MLflow(Callback):
    """Logs loss, rate and score of every epoch to a run of its own, where MLFLOW_TRACKING_URI says.

    Args:
        experiment: its name; made where there is none.
        name: of the run.

    Raises:
        OptionError: MLflow is not installed.
    """

    def __init__(self, experiment: str, name: str) -> None:
        mlflow = _required("mlflow", "mlflow")
        self.client = mlflow.MlflowClient()
        known = self.client.get_experiment_by_name(experiment)
        number = self.client.create_experiment(experiment) if known is None else known.experiment_id
        self.run = self.client.create_run(number, run_name=name).info.run_id

    def on_epoch_end(self, epoch: Epoch) -> Epoch:
        """Log it."""
        for name, value in _values(epoch).items():
            self.client.log_metric(self.run, name, value, step=epoch.number)
        return epoch

    def on_train_end(self) -> None:
        """End the run."""
        self.client.set_terminated(self.run)


def check_installed(name: str) -> None:
    """Raise OptionError unless "tensorboard" or "mlflow" is installed."""
    _required({"tensorboard": "torch.utils.tensorboard"}.get(name, name), name)


def _required(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise OptionError(f"--{extra} needs a package that is missing: pip install 'automl-tl[{extra}]'") from error


def _values(epoch: Epoch) -> dict[str, float]:
    values = {"loss": epoch.loss, "rate": epoch.rate}
    return values if epoch.score is None else {**values, "score": epoch.score}
