from __future__ import annotations

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser):
    """A user with a text primary key, without username or groups."""

    code = models.CharField(primary_key=True, max_length=40)
    email = models.EmailField(unique=True)

    objects = UserManager()

    USERNAME_FIELD = "email"
