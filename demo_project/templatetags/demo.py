from __future__ import annotations

import inspect

from django import template

register = template.Library()


@register.inclusion_tag("demo/source.html")
def source(name):
    """Show the code of a view as it runs."""
    from demo_project import views  # here, as the views import what needs loaded apps

    return {"code": inspect.getsource(getattr(views, name))}
