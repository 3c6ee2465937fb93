"""P2: each line of what a surface blocks is proved by a test as soon as the surface exists."""

from importlib import import_module

from django.conf import settings

from orgs.policy.surfaces import SURFACES

# By line: the tests that prove it, below `tests`.
PROVED = {
    "another organization's anything: it looks as if it did not exist": (
        "product.test_every_url.test_i5_what_is_hidden_looks_like_what_is_not_there",
        "product.test_every_url.test_who_gets_what",
        "product.test_people_pages.test_n1_ids_of_another_organization_are_nothing",
    ),
    "a secret's value: names and versions alone are shown": (
        "product.test_secret_value.test_text_of_it_is_a_mask",
        "product.test_secret_value.test_it_cannot_be_serialized_or_taken_apart",
        "product.test_audit_append.test_a2_undeclared_and_unfit_facts_are_refused",
    ),
    "every action of the roles table": (
        "product.devlinks.test_no_actor.test_p2_a_dev_session_gets_what_anybody_gets_at_every_address",
    ),
    "other services, workspaces and organizations": (
        "product.devlinks.test_gateway_api.test_g4_a_session_is_good_at_its_own_host_alone",
        "gateway.test_headers.test_a_session_holds_at_its_own_host_alone",
    ),
    "shell, consoles, databases and logs": (
        "product.devlinks.test_gateway_api.test_l5_a_console_is_never_among_what_is_reached",
        "product.devlinks.test_links.test_l1_l5_only_apps_of_approved_contracts_take_links",
    ),
    "a VM's own name, address and login: it has a number of EnvForge's alone": (
        "product.hosts.test_pages.test_w4_no_product_surface_names_the_cloud",
    ),
    "a login for members": (
        "daemon.test_shell_access.test_h7_only_the_organizations_valid_certificate_for_this_workspace_counts",
    ),
    "cloud credentials": ("daemon.test_walls.test_h1_metadata_and_host_api_are_out_of_reach",),
    "a VM shared with another organization": (
        "product.hosts.test_placement.test_v1_a_placement_that_joins_two_organizations_cannot_be_stored",
        "product.hosts.test_placement.test_v1_a_random_walk_over_fifty_organizations_shares_no_vm",
    ),
}
# By surface or line: the app that brings what it speaks of. Once that is installed, its lines need tests above.
NOT_YET = {
    "workspaces that are not connected": "private_access",
    "the runtime host's own services": "private_access",
    "signed dev links to a workspace that is private only": "private_access",
}


def test_p2_each_blocked_line_is_proved_or_its_surface_is_not_there_yet() -> None:
    lines = {line for surface in SURFACES for line in surface.blocked}
    assert lines == PROVED.keys() | NOT_YET.keys()
    assert not PROVED.keys() & NOT_YET.keys()
    built = {line: app for line, app in NOT_YET.items() if app in settings.INSTALLED_APPS}
    assert built == {}, "these surfaces exist now: name the tests that prove what they block"


def test_p2_what_is_said_to_be_proved_has_its_tests() -> None:
    for proofs in PROVED.values():
        for proof in proofs:
            module, _, name = proof.rpartition(".")
            assert callable(getattr(import_module(f"tests.{module}"), name)), proof
