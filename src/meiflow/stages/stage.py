"""What rules, commands and the documentation need to know of a stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A step of the workflow: a rule, and the command ``meiflow NAME`` that the rule calls.

    Parameters
    ----------
    name : str
        Name of the rule; the command has dashes instead of underscores.
    about : str
        One sentence on its purpose, used as the help of the command.
    call : str
        ``module:function`` in `meiflow.stages`.
    keys : tuple of str
        All parts of the configuration that it reads: sections, or single keys. Changes of other
        keys do not rerun the stage.
    inputs : tuple of str
        Results that it reads, by their names in the layout: ``neuron.mei`` is the MEI of a neuron,
        ``procedure.best_gabors`` images and table of a procedure, ``picture.movies`` its picture,
        ``figure.oracle`` a figure of the selection. Results that a session does not have are not
        read.
    options : tuple of str
        Additional arguments of the function, which are options of the command.
    memory_mb, minutes : int
        Resources requested on a cluster; more with each attempt.
    threads : int
        Maximum number of threads of a job.
    sessions : bool
        Whether it reads the results of all sessions; it is given the folder that contains these.
    gradients : bool
        Whether it uses torch, which is then restricted to one thread.
    """

    name: str
    about: str
    call: str
    keys: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    memory_mb: int = 2000
    minutes: int = 60
    threads: int = 1
    sessions: bool = False
    gradients: bool = False

    @property
    def command(self) -> str:
        """Name of the command."""
        return self.name.replace("_", "-")
