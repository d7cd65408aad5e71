"""What to cite for a table of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence

from meiflow import __version__
from meiflow.benchmark.score import Plan
from meiflow.benchmark.sources import fingerprint

_MEIFLOW = f"""@software{{meiflow,
  title = {{meiflow: from a recording session to each neuron's most exciting input}},
  author = {{{{The meiflow developers}}}},
  version = {{{__version__}}}
}}"""
_WALKER = """@article{walker2019,
  title = {Inception loops discover what excites neurons most using deep predictive models},
  author = {Walker, Edgar Y. and others},
  journal = {Nature Neuroscience},
  volume = {22},
  pages = {2060--2065},
  year = {2019},
  doi = {10.1038/s41593-019-0517-x}
}"""
_OPENRETINA = """@software{openretina,
  title = {openretina: optimisation of stimuli (insilico.stimulus_optimization)},
  author = {{The openretina developers}},
  url = {https://github.com/open-retina/open-retina}
}"""
_OF_METHODS = {"walker": _WALKER, "openretina": _OPENRETINA}


def citation(plan: Plan, methods: Sequence[str]) -> str:
    """One sentence that identifies a table, and BibTeX entries of what it is made with."""
    about = (
        f"Benchmark of meiflow {__version__}: source {plan.source.label} (fingerprint "
        f"{fingerprint(plan.source)}), {plan.neurons} neurons, {plan.images} images x "
        f"{plan.repeats} repeats; methods {', '.join(methods)}."
    )
    entries = [_OF_METHODS[method] for method in methods if method in _OF_METHODS]
    return "\n\n".join([about, _MEIFLOW, *entries]) + "\n"
