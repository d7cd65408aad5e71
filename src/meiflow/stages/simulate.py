"""The simulation stage: a session with known ground truth."""

from __future__ import annotations

from meiflow.config.sections import Config
from meiflow.io.files import write_array, write_csv
from meiflow.io.writing import atomic
from meiflow.results.layout import Layout
from meiflow.simulation.nwb_writer import write_nwb
from meiflow.simulation.simulate import simulate_session


def simulate(config: Config, results: Layout) -> None:
    """Simulate a session: AllenSDK session file, natural-like images and ground truth.

    A separate seed of the session determines its neurons, schedule and spikes, but the images
    depend on the seed of the workflow.
    """
    from PIL import Image

    sizes = config.session.simulation
    seed = config.seed if sizes.seed is None else sizes.seed
    made = simulate_session(sizes, config.session.id, seed, config.seed)
    if len(made.frames):
        results.scenes.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(made.frames):
        with atomic(results.scenes / f"{number:03d}.png") as temporary:
            Image.fromarray(frame).save(temporary)
    for name, movie in made.movies.items():
        write_array(movie, results.movies / f"{name}.npy")
    write_nwb(made.recording, results.session_file, seed)
    write_csv(made.truth, results.truth)
