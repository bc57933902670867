from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from . import views

urlpatterns = [
    path("", views.home, name="home"),
    path("imports/", views.imports, name="imports"),
    path("imports/<int:pk>/", views.import_result, name="import"),
    path("imports/samples/<slug:kind>.csv", views.sample, name="sample"),
    path("redirect/", views.redirect_while_working, name="redirect"),
    path("redirect/done/", views.redirected, name="redirected"),
    path("rollback/", views.rollback, name="rollback"),
    path("actions/", views.actions, name="actions"),
    path("exports/<slug:name>.csv", views.export, name="export"),
    path("send/", views.send, name="send"),
    path("polling/", views.polling, name="polling"),
    path("login/", views.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("notify/", include("notify.urls")),
    path("admin/", admin.site.urls),
]
