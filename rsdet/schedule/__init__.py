"""Which model to run when energy is short: an orbit, a table of measured artifacts, and policies that choose a row.

:mod:`.orbit` says how much energy each slot brings, :mod:`.rows` what each artifact costs and gives, :mod:`.simulation`
what comes of a choice. Policies are in :mod:`.policies` (simple ones), :mod:`.dynamic` (the reference optimum),
:mod:`.learning` and :mod:`.dqn`. ``rsdet schedule`` is :mod:`rsdet.modes.schedule`.
"""
