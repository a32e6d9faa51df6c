"""The router of a language model: a mixture inside a small transformer, and the text that it reads."""

from moe_lib.language.layer import RoutedLayer, Routing, ZLoss
from moe_lib.language.text import Text, austen, windows
from moe_lib.language.transformer import LanguageModel

__all__ = ["LanguageModel", "RoutedLayer", "Routing", "Text", "ZLoss", "austen", "windows"]
