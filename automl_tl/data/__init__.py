"""Labelled pictures: opened, decoded, looked over and split. Imports no torch."""

from automl_tl.data.dataset import ImageDataset, Skipped, for_training, open_dataset
from automl_tl.data.decode import DECODER, MAX_PIXELS, Preprocessing, preprocess, read_rgb
from automl_tl.data.names import printable
from automl_tl.data.quality import Conflict, QualityReport, scan
from automl_tl.data.split import assign_splits, group_ids, make_folds, stratified_sample

__all__ = [
    "DECODER",
    "MAX_PIXELS",
    "Conflict",
    "ImageDataset",
    "Preprocessing",
    "QualityReport",
    "Skipped",
    "assign_splits",
    "for_training",
    "group_ids",
    "make_folds",
    "open_dataset",
    "preprocess",
    "printable",
    "read_rgb",
    "scan",
    "stratified_sample",
]
