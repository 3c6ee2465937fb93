from django.apps import AppConfig


class SecretsRefConfig(AppConfig):
    name = "secrets_ref"
    verbose_name = "Secrets by reference"
