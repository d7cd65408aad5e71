# docker build -t meiflow .
# docker run --rm -v "$PWD:/data" -w /data meiflow init project
#
# Everything at the versions of requirements.lock, with PyTorch for the CPU, as in apptainer.def.
FROM python:3.12-slim
WORKDIR /opt/meiflow
COPY requirements.lock requirements-nodeps.txt ./
RUN pip install --no-cache-dir --no-deps --index-url https://download.pytorch.org/whl/cpu \
        "$(grep '^torch==' requirements.lock)" \
    && pip install --no-cache-dir -r requirements.lock
ENV NUMBA_CACHE_DIR=/opt/meiflow/numba
COPY pyproject.toml README.md LICENSE config.yaml environment.yml ./
COPY src src
COPY workflow workflow
COPY profiles profiles
COPY config config
RUN pip install --no-cache-dir --no-deps -r requirements-nodeps.txt . \
    && python -c 'import rastermap' \
    && chmod -R a+rX /opt/meiflow
ENTRYPOINT ["meiflow"]
