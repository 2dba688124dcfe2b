# All of rsdet; PyTorch for the CPU, or for a GPU by another index:
#   docker build -f docker/full.Dockerfile -t rsdet .
#   docker build -f docker/full.Dockerfile -t rsdet --build-arg TORCH=https://download.pytorch.org/whl/cu128 .
#   docker run --rm --shm-size=2g -v "$PWD:/work" rsdet train model=vmc-detr-demo.yaml data=data.yaml
FROM python:3.12-slim
ARG TORCH=https://download.pytorch.org/whl/cpu
ARG EXTRAS=geo
# opencv-python, which Ultralytics asks for, opens windows: its wheel is linked to these.
RUN apt-get update && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 libxcb1 \
    && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir torch torchvision --index-url "$TORCH"
COPY . /src
RUN pip install --no-cache-dir "/src[$EXTRAS]" && rm -rf /src && useradd --create-home rsdet
USER rsdet
WORKDIR /work
ENTRYPOINT ["rsdet"]
CMD ["--help"]
