"""The scene of ``data=demo-cube``: spectra of materials, ground with fields, roads and houses, light, sensor."""
