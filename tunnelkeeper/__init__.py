"""tunnelkeeper keeps SSH tunnels up."""

__version__ = "0.1.0"
