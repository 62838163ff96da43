"""Fakes of every provider, for one suite of tests over all of them."""

from hosted_fakes.fireworks_tuning import FireworksTuning
from hosted_fakes.openai_tuning import OpenAITuning
from hosted_fakes.together_tuning import TogetherTuning
from hosted_fakes.vertex_tuning import VertexTuning

FAKES = (OpenAITuning, TogetherTuning, FireworksTuning, VertexTuning)
