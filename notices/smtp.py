"""The only way to the mail server; takes our letters, raises our errors."""

import smtplib
from email.utils import format_datetime, parseaddr

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import BadHeaderError

from notices.letters import Letter

FIRST_PERMANENT_CODE = 500


class DeliveryFailed(Exception):
    """The server did not take a letter; `reason` is one word of ours, never what the server said.

    `permanent`: asking again cannot help. `server_away`: it would be the same for any other letter now.
    """

    def __init__(self, reason: str, *, permanent: bool = False, server_away: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent
        self.server_away = server_away


def deliver(letter: Letter) -> None:
    """Hand a letter to the server; it has it when this returns.

    Raises:
        DeliveryFailed: it has not, or it is not known whether it has.
    """
    if settings.MAIL_SERVER is None:
        raise DeliveryFailed("not_configured", server_away=True)
    message = EmailMultiAlternatives(
        letter.subject,
        letter.text,
        to=[letter.recipient],
        connection=EmailBackend(),
        headers={
            "Message-ID": message_id(letter),
            "Date": format_datetime(letter.written_at),
            "Auto-Submitted": "auto-generated",  # RFC 3834: nobody's absence note should answer
        },
    )
    message.attach_alternative(letter.html, "text/html")
    try:
        message.send()
    except BadHeaderError:
        raise DeliveryFailed("malformed", permanent=True) from None
    except smtplib.SMTPRecipientsRefused as refused:
        raise _refused(min(code for code, _ in refused.recipients.values())) from None
    except smtplib.SMTPDataError as refused:
        raise _refused(refused.smtp_code) from None
    except (smtplib.SMTPAuthenticationError, smtplib.SMTPSenderRefused):
        raise DeliveryFailed("not_accepted", server_away=True) from None
    except OSError:
        # Every other SMTP error is one, too: no connection, no greeting, cut off.
        raise DeliveryFailed("unreachable", server_away=True) from None


def message_id(letter: Letter) -> str:
    """The same for each attempt, so that a letter that arrives twice is seen to be one (RFC 5322, 3.6.4)."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return f"<{letter.id}@{domain}>"


def _refused(code: int) -> DeliveryFailed:
    if code >= FIRST_PERMANENT_CODE:
        return DeliveryFailed("rejected", permanent=True)
    return DeliveryFailed("deferred")
