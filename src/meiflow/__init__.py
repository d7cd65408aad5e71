"""meiflow: from a recording session to each neuron's most exciting input (MEI)."""

__version__ = "0.1.0"
