"""ctconsole: see, forecast and change the BPF conntrack tables of a Cilium node."""

__version__ = "0.1.0"
