# One file, three images: `mlflow`, `demo` (training pipelines and the receiver) and, last and so by default, `exporter`.
FROM python:3.12.12-slim AS python
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# The numbers are named in docker-compose.yml, where a file has to belong to somebody.
RUN useradd --uid 10001 --create-home app

# The published MLflow image has no PostgreSQL driver.
FROM python AS mlflow
RUN pip install mlflow==3.17.2 psycopg2-binary==2.9.11
RUN mkdir /artifacts && chown app /artifacts
USER app
EXPOSE 5000

FROM python AS package
WORKDIR /src
COPY pyproject.toml README.md LICENSE mixin.libsonnet ./
COPY exporter exporter
COPY alerts alerts
COPY dashboards dashboards
COPY provisioning provisioning
RUN pip wheel --no-deps --wheel-dir /wheels .

# Starts from the MLflow layer: the pipelines need the same 600 MB.
FROM mlflow AS demo
USER root
COPY --from=package /wheels /wheels
RUN pip install "$(ls /wheels/*.whl)[demo]"
USER app
ENTRYPOINT ["python", "-m"]

FROM python AS exporter
COPY --from=package /wheels /wheels
RUN pip install /wheels/*.whl
RUN mkdir /state /etc/ml-exporter && chown app /state /etc/ml-exporter
USER app
EXPOSE 9840
ENTRYPOINT ["ml-exporter"]
CMD ["run", "--config", "/config/ml-exporter.yaml"]
