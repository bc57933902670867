"""What uvicorn and daphne serve: Django set up, then the application that BENCHMARK_PEER names."""

from __future__ import annotations

import os
from importlib import import_module

import django

django.setup()
application = import_module(f"benchmarks.servers.{os.environ['BENCHMARK_PEER']}").application
