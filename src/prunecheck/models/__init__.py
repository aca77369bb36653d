"""Networks by name. Nothing in here knows of pruning."""

from prunecheck.models import (  # noqa: F401 - which registers their networks
    byte_transformer,
    mobilenet,
    resnet,
    synaptic_flow,
    transformers_folder,
    vgg,
    vit,
    wide_resnet,
)
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
