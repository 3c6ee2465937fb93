from django.apps import AppConfig


class EnvforgeConfig(AppConfig):
    name = "envforge"
    verbose_name = "EnvForge"
