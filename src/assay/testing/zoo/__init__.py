"""Models that other people wrote, brought, written and proven against themselves.

    python -m assay.testing zoo --source torchvision --case 'resnet*' --json results.json

A source is a module of this folder. It has

    FRAMEWORK: str                       the framework whose objects its models are: "pytorch"
    DISTRIBUTIONS: tuple[str, ...]       what has to be installed; versions go into the results
    ENVIRONMENT: dict[str, str]          set before its process starts (may be empty)
    cases() -> tuple[Case, ...]          the models by name; listing them imports nothing heavy

Every case runs in a process of its own: there the model is made, brought, written in each framework, and computed once in
float64 by its own framework (`originals/<framework>.py`). Those numbers are the truth that the written packages are held
against, each in a worker process of its framework.
"""

from assay.testing.zoo.case import Case, Made, Source, choose, find_source

__all__ = ["Case", "Made", "Source", "choose", "find_source"]
