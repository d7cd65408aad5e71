"""Record neurons, ask methods for stimuli, and show these to the neurons themselves.

The unit of work is a session: a method is called once with its recording. What is finished is kept
(a file per session and method), so that a killed run resumes, methods can be added later, and the
results do not depend on the number of jobs.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import re
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from meiflow.benchmark.entry import Answer, NotInstalledError, Recording, as_answer, fault_of
from meiflow.benchmark.methods import load_method
from meiflow.benchmark.sources import CONTRAST, MEAN, SIZE, Session, Source
from meiflow.benchmark.table import FRACTION
from meiflow.errors import MeiflowError, out_of_memory
from meiflow.io.files import read_csv, write_array, write_csv
from meiflow.io.tracking import code_files, fingerprint
from meiflow.models.threads import one_torch_thread
from meiflow.progress import logger, track

UNTUNED = 3  # neurons of every session whose responses do not depend on the image
GAIN_SD = 0.3
OK, FAILED, NOT_INSTALLED = "ok", "failed", "not installed"
_EXCEEDED = 1.02  # of the optimum: worth a line in the log


@dataclass(frozen=True)
class Plan:
    """What is scored, and where the results are kept.

    Parameters
    ----------
    source : Source
    neurons : int
        Number of neurons; `SIZE` per session, fewer in the last one.
    images, repeats : int
        Number of images, and of presentations of each.
    seed : int
        Of counts and methods.
    folder : Path
    """

    source: Source
    neurons: int
    images: int
    repeats: int
    seed: int
    folder: Path

    @property
    def sessions(self) -> list[tuple[int, int]]:
        """Number of every session, and of neurons in it."""
        whole, rest = divmod(self.neurons, SIZE)
        return [(i, SIZE) for i in range(whole)] + ([(whole, rest)] if rest else [])

    def unit(self, session: tuple[int, int], method: str) -> Path:
        """File of the results of a method in a session; another one if its code changes."""
        name = re.sub(r"\W", "_", method)
        if ":" in method:
            name += f"_{fingerprint(code_files(method))}"
        return self.folder / "sessions" / f"{session[0]:03d}_{session[1]}_{name}.csv"

    def optima(self, session: tuple[int, int]) -> Path:
        """File of the maximal drives of a session."""
        return self.folder / "sessions" / f"{session[0]:03d}_{session[1]}_optima.csv"


def record(session: Session, repeats: int, key: tuple[int, ...]) -> Recording:
    """Counts of the neurons of a session, and of untuned ones after them.

    Poisson, with a log-normal gain (standard deviation of the log `GAIN_SD`) shared by all neurons
    of a presentation. Mean counts are log-uniform.

    Parameters
    ----------
    session : Session
    repeats : int
    key : tuple of int
        Seed.
    """
    rng = np.random.default_rng([20_272, *key])
    rates = session.truth.rates(session.images)
    rates = np.concatenate([rates, np.ones((len(rates), UNTUNED))], axis=1)
    low, high = np.log(session.mean_counts)
    rates *= np.exp(rng.uniform(low, high, rates.shape[1])) / rates.mean(axis=0)
    gain = np.exp(GAIN_SD * rng.standard_normal((repeats, len(rates), 1)) - GAIN_SD**2 / 2)
    counts = rng.poisson(gain * rates)
    seed = int(rng.integers(2**31))
    for given in (session.images, counts):  # no method changes what others are given
        given.flags.writeable = False
    return Recording(session.images, counts, session.screen, MEAN, CONTRAST, seed)


def ask(method: str, recording: Recording) -> tuple[Answer, float]:
    """Stimuli of a method, and the CPU time that they took in seconds.

    Raises
    ------
    MeiflowError
        If the method fails in any way.
    """
    np.random.seed(recording.seed)  # noqa: NPY002  whatever generator a method uses
    random.seed(recording.seed)
    torch.manual_seed(recording.seed)
    began = time.process_time()
    try:
        answer = as_answer(load_method(method)(recording), recording)
    except (MeiflowError, KeyboardInterrupt):
        raise
    except BaseException as error:  # custom code may raise or exit
        if out_of_memory(error):  # which says nothing about the method
            raise
        raise MeiflowError(f"{type(error).__name__}: {error}") from None
    return answer, time.process_time() - began + answer.shared_cpu_s


def scored(method: str, recording: Recording, session: Session) -> tuple[pd.DataFrame, NDArray]:
    """Drive of every neuron by a method's stimulus, one row per neuron, and the stimuli.

    A stimulus that cannot be scored, or a method that fails, is reported in the columns status and
    reason.
    """
    tuned = len(session.truth.names)
    rows = pd.DataFrame({"status": [OK] * recording.neurons, "reason": ""})
    stimuli = np.full((recording.neurons, *recording.screen.shape), np.nan, np.float32)
    try:
        answer, cpu_s = ask(method, recording)
    except MeiflowError as error:
        status = NOT_INSTALLED if isinstance(error, NotInstalledError) else FAILED
        logger.warning(f"{method}: {status}: {error}")
        return rows.assign(status=status, reason=str(error), drive=np.nan), stimuli
    stimuli = answer.stimuli
    rows["reason"] = [fault_of(stimulus, recording) for stimulus in stimuli]
    rows["status"] = np.where(rows["reason"] == "", OK, FAILED)
    faults = rows.loc[rows.index < tuned, "reason"]
    if (faults != "").any():
        some = faults[faults != ""]
        logger.warning(f"{method}: {len(some)} of {tuned} stimuli failed: {some.iloc[0]}")
    grey = np.full((1, *recording.screen.shape), recording.mean, np.float32)
    shown = np.concatenate([grey, np.nan_to_num(stimuli[:tuned], nan=recording.mean)])
    rates = session.judge.rates(shown)
    drive = np.full(recording.neurons, np.nan)
    drive[:tuned] = np.diagonal(rates[1:]) - rates[0]
    rows["drive"] = np.where(rows["status"] == OK, drive, np.nan)
    if answer.trusted is not None:
        rows["trusted"] = np.asarray(answer.trusted, bool)
    rows["cpu_s"] = round(cpu_s / recording.neurons, 2)
    return rows.assign(**answer.details), stimuli


def run_session(plan: Plan, session: tuple[int, int], methods: list[str]) -> None:
    """Score the methods that are not finished in a session, and find the optima."""
    units = {method: plan.unit(session, method) for method in methods}
    if all(path.exists() for path in (*units.values(), plan.optima(session))):
        return
    number, neurons = session
    opened = plan.source.session(number, neurons, plan.images)
    recording = record(opened, plan.repeats, (plan.seed, number, neurons))
    with one_torch_thread():
        if not plan.optima(session).exists():
            drive = opened.judge.maximal_drive(recording.mean, recording.contrast)
            table = pd.DataFrame({"name": opened.truth.names, "optimum": drive})
            write_csv(table, plan.optima(session))
        for method, path in units.items():
            if path.exists():
                continue
            logger.info(f"session {number}: {method}")
            rows, stimuli = scored(method, recording, opened)
            if not (rows["status"] == NOT_INSTALLED).all():
                write_array(stimuli, path.with_suffix(".npy"))
                write_csv(rows, path)  # last: its existence means that the method is finished


def run_sessions(plan: Plan, methods: list[str], jobs: int) -> None:
    """Run all sessions, several at once.

    Raises
    ------
    MeiflowError
        If a process ends, for example because memory ran out. Finished parts are kept.
    """
    arguments = [(plan, session, methods) for session in plan.sessions]
    if jobs == 1 or len(arguments) == 1:
        for given in track(arguments, "benchmark", len(arguments)):
            run_session(*given)
        return
    shown = logger.isEnabledFor(logging.INFO)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, _begin, (shown,)) as pool:
        waiting = [pool.submit(run_session, *given) for given in arguments]
        try:
            for done in track(as_completed(waiting), "benchmark", len(waiting)):
                done.result()
        except BrokenProcessPool:
            raise MeiflowError(
                "a process of the benchmark ended abruptly, perhaps because memory ran out; "
                "finished parts are kept: run again, with fewer --jobs"
            ) from None


def _begin(shown: bool) -> None:
    """Prepare a process: messages as in the first one, with which it ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if shown:
        logger.addHandler(logging.StreamHandler())
        logger.setLevel(logging.INFO)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def results_of(plan: Plan, methods: list[str]) -> pd.DataFrame:
    """Every neuron and method: the fraction of the optimum, and what the method adds.

    Returns
    -------
    DataFrame
        One row per source, neuron and method. ``neuron`` counts the neurons of the source from 0,
        and is negative for untuned ones. Methods that are not installed have a row per neuron,
        too.
    """
    tables = []
    for session in plan.sessions:
        number, neurons = session
        optima = read_csv(plan.optima(session), ("name", "optimum"))
        for method in methods:
            path = plan.unit(session, method)
            rows = _missing(neurons + UNTUNED) if not path.exists() else _read(path)
            rows["optimum"] = optima["optimum"].reindex(rows.index)
            tuned = rows.index < neurons
            untuned = UNTUNED * number + rows.index - neurons
            neuron = np.where(tuned, SIZE * number + rows.index, -1 - untuned)
            names = optima["name"].reindex(rows.index).fillna("untuned")
            keys = {
                "source": plan.source.label, "images": plan.images, "repeats": plan.repeats,
                "session": number, "neuron": neuron, "structure": names, "method": method,
            }  # fmt: skip
            fraction = (rows["drive"] / rows["optimum"]).where(rows["status"] != FAILED, 0.0)
            rows.insert(0, FRACTION, fraction.where(tuned))
            tables.append(pd.concat([pd.DataFrame(keys, index=rows.index), rows], axis=1))
    every = pd.concat(tables, ignore_index=True)
    above = every[every[FRACTION] > _EXCEEDED]
    if len(above):
        logger.warning(
            f"{len(above)} stimuli exceed the optimum that was found, by up to "
            f"{100 * (above[FRACTION].max() - 1):.0f} %"
        )
    return every


def _read(path: Path) -> pd.DataFrame:
    rows = read_csv(path, ("status", "reason", "drive"))
    return rows.assign(reason=rows["reason"].fillna(""))


def _missing(neurons: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"status": [NOT_INSTALLED] * neurons, "reason": NOT_INSTALLED, "drive": np.nan}
    )
