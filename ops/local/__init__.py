"""The local cloud: the ``local`` environment deployed onto an emulator of AWS on loopback."""
