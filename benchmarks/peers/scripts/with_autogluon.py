"""AutoGluon MultiModal with the same backbone, otherwise at its defaults."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from autogluon.multimodal import MultiModalPredictor
from contract import Probabilities, Task, main

BACKBONE = {"model.names": ["timm_image"], "model.timm_image.checkpoint_name": "tf_efficientnet_lite0"}


def train(task: Task) -> None:
    frame = pd.DataFrame({"image": task.paths, "label": task.labels})
    predictor = MultiModalPredictor(label="label", problem_type="multiclass", path=str(task.model))
    limit = task.left if task.budget else None
    predictor.fit(frame, time_limit=limit, hyperparameters=BACKBONE, seed=task.seed)


def predict(paths: list[str], model: Path) -> Probabilities:
    predictor = MultiModalPredictor.load(str(model))
    found = predictor.predict_proba(pd.DataFrame({"image": paths}), as_pandas=True)
    return [str(name) for name in found.columns], found.to_numpy().tolist()


if __name__ == "__main__":
    main(train, predict)
