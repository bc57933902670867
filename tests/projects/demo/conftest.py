"""The demo has its own settings: pytest tests/projects/demo --ds=demo_project.settings"""

from __future__ import annotations

import os

import pytest

if os.environ.get("DJANGO_SETTINGS_MODULE") != "demo_project.settings":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    """Keep uploads in a folder of the test, and hash passwords cheaply."""
    settings.MEDIA_ROOT = tmp_path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return tmp_path


@pytest.fixture
def alice(db, django_user_model):
    return django_user_model.objects.create_user("alice", password="demo")


@pytest.fixture
def bob(db, django_user_model):
    return django_user_model.objects.create_user("bob", password="demo")


@pytest.fixture
def site(client, alice):
    """A browser in which alice is signed in."""
    client.force_login(alice)
    return client
