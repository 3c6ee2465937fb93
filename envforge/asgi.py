"""The ASGI application: `uvicorn envforge.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "envforge.settings")

application = get_asgi_application()
