"""Prints the model table of docs/tasks/detect.md: parameters and both FLOP counts at 640 x 640 with 8 classes.

python benchmarks/model_table.py
"""

from __future__ import annotations

ROWS = [("vmc-detr.yaml", s) for s in "nsmlx"] + [("rtdetr-r18.yaml", "")]
ROWS += [(f"vmc-detr-ablate-{p}.yaml", "") for p in ("h", "c", "m", "hc", "hm", "mc")]


def main() -> None:
    from rsdet.deploy.complexity import complexity
    from rsdet.modelyaml import load_model_yaml
    from rsdet.tasks.detect.model import build

    for name, scale in ROWS:
        cost = complexity(build(load_model_yaml(name, scale or None), nc=8), imgsz=640)
        label = f"`{name}`" + (f" {scale}" if scale else "")
        print(f"| {label} | {cost.params / 1e6:.2f} | {cost.gflops_legacy:.2f} | {cost.gflops_true:.2f} |")


if __name__ == "__main__":
    main()
