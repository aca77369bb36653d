"""Networks by name. Nothing in here knows of pruning."""

from prunecheck.models import mobilenet, resnet, synaptic_flow, vgg, vit  # noqa: F401 - which registers their networks
from prunecheck.models.registry import (
    MODELS,
    AnyModel,
    Model,
    build_model,
    find_model,
    published_width,
    register_model,
    require_input,
)

__all__ = [
    "MODELS",
    "AnyModel",
    "Model",
    "build_model",
    "find_model",
    "published_width",
    "register_model",
    "require_input",
]
