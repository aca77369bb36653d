"""Channels of networks: which can only be removed together, and networks with channels cut out."""

from prunecheck.pruning.channels.units import ChannelUnits, find_channel_units

__all__ = ["ChannelUnits", "find_channel_units"]
