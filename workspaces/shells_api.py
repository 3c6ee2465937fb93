"""Shells over the API: certificates, and who is connected."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from envforge.api.bodies import read_body
from envforge.api.schema import REFUSALS, WRITES
from workspaces.api import OneOf
from workspaces.operations.certificates import end_session, issue_certificate
from workspaces.selectors import shells


class CertificateIn(serializers.Serializer[Any]):
    public_key = serializers.CharField(
        max_length=9000, help_text="One OpenSSH line: ed25519, ecdsa, or rsa of at least 3072 bits."
    )
    forwarding = serializers.BooleanField(required=False, default=False)


class IssuedOut(serializers.Serializer[Any]):
    """A certificate, and what an SSH client needs beside it: whoever answers must show `host_key`."""

    certificate = serializers.CharField(help_text="One line for the key's `-cert.pub` file.")
    serial = serializers.CharField(help_text="A number; as text, since it is longer than JSON's are safe.")
    issued_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    login = serializers.CharField()
    host_key = serializers.CharField()
    host_key_alias = serializers.CharField()
    forwarding = serializers.BooleanField()


class CertificateOut(serializers.Serializer[Any]):
    serial = serializers.CharField()
    holder = serializers.CharField()
    forwarding = serializers.BooleanField()
    issued_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)
    revoked_cause = serializers.CharField()
    works = serializers.BooleanField()


class SessionOut(serializers.Serializer[Any]):
    """A connection; `end` is a word for how it ended, empty while it lasts."""

    id = serializers.UUIDField()
    holder = serializers.CharField()
    connected_at = serializers.DateTimeField()
    disconnected_at = serializers.DateTimeField(allow_null=True)
    end = serializers.CharField()


class ShellOut(serializers.Serializer[Any]):
    """The latest connections and certificates of a workspace's shell, at most 100 each."""

    state = serializers.CharField()
    sessions = SessionOut(many=True)
    certificates = CertificateOut(many=True)


class ShellAccess(OneOf):
    @extend_schema(
        operation_id="get_shell",
        summary="Who is connected to the shell, and who was let in",
        responses={200: ShellOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        seen = shells.shell(actor=self.actor, slug=slug, workspace_id=workspace_id)
        return Response(ShellOut(seen).data)


class Certificates(OneOf):
    @extend_schema(
        operation_id="issue_certificate",
        summary="Have a public key certified for the shell, for five minutes",
        request=CertificateIn,
        responses={201: OpenApiResponse(IssuedOut), **WRITES},
    )
    def post(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        given = read_body(CertificateIn, request.data)
        issued = issue_certificate(
            **self.of(workspace_id), public_key=given["public_key"], forwarding=given["forwarding"]
        )
        return Response(IssuedOut(issued).data, status=201)


class EndSession(OneOf):
    @extend_schema(
        operation_id="end_session",
        summary="End a connection, and the certificate it began with",
        request=None,
        responses={204: None, **WRITES},
    )
    def post(self, request: Request, slug: str, workspace_id: UUID, session_id: UUID) -> Response:
        end_session(**self.of(workspace_id), session_id=session_id)
        return Response(status=204)
