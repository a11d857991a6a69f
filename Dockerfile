# docker build -t limner . && docker run --rm -p 127.0.0.1:8000:8000 -e LIMNER_TOKEN="$(openssl rand -hex 16)" limner
FROM python:3.12-slim
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir ".[serve]" && rm -r /src/* && useradd --create-home limner
USER limner
WORKDIR /home/limner
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
CMD ["limner", "serve", "--host", "0.0.0.0"]
