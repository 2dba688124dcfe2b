"""Blind super-resolution without training data (HAC-MoE): a network and a blur kernel are fitted to one picture.

Source: Zhao et al., History-Augmented Contrastive Learning With Soft Mixture of Experts for Blind Super-Resolution of
Planetary Remote Sensing Images, arXiv 2511.20045. Parts: ``skip_net`` and ``spectral_moe`` (image estimator G_x),
``kernel_net`` (kernel generator G_k), ``sampling`` (contrastive kernel sampling), ``features`` and ``history`` (the
contrastive term), ``solver`` (Algorithm 1), ``tiles`` (large scenes), ``enhancer`` (what the task calls), ``result``.
"""
