# Runs exported files on the CPU, without PyTorch:
#   docker build -f docker/runtime.Dockerfile -t rsdet-runtime .
#   docker run --rm -v "$PWD:/work" rsdet-runtime predict model=best.onnx source=pictures
# Whole scenes need more: --build-arg MORE="rasterio pyogrio pyproj shapely".
FROM python:3.12-slim AS build
COPY . /src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /src

FROM python:3.12-slim
ARG MORE=""
COPY docker/runtime.txt /tmp/
RUN --mount=from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-compile -r /tmp/runtime.txt $MORE \
    && pip install --no-cache-dir --no-compile --no-deps /wheels/*.whl \
    && useradd --create-home rsdet
USER rsdet
WORKDIR /work
ENTRYPOINT ["rsdet"]
CMD ["--help"]
