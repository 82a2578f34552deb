# The page for others: docker build -t dppa-studio . && docker run -p 7860:7860 dppa-studio
FROM python:3.12-slim

# The processor's PyTorch alone; the default brings 3 GB of CUDA along.
COPY requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -r /tmp/requirements.txt

RUN useradd --create-home studio
WORKDIR /srv/studio
COPY app.py ./
COPY dppa_core ./dppa_core
COPY components ./components
COPY assets ./assets
# Compiled once, by root: the page runs as somebody who may write nothing here.
RUN python -m compileall -q .
USER studio
# The inner loops, for a processor like this one; on others torch computes while they are compiled.
RUN python -c "from dppa_core.kernels.numba_backend import main; main()"

# Strangers may use it: embedded models alone. -e DPPA_PUBLIC=0 for yourself (docs/reference/settings.md).
ENV DPPA_PUBLIC=1 DPPA_LOG=json GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860 \
    GRADIO_ANALYTICS_ENABLED=False HF_HUB_OFFLINE=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
CMD ["python", "app.py"]
